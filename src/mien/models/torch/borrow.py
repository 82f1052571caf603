"""Use a network and give it back as it was found: mode, hooks, gradients, options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True, eq=False)
class Lent:
    """A network in evaluation, on which hooks and attributes hold until it is given back."""

    net: nn.Module
    _hooks: list[Any] = field(default_factory=list)
    _attributes: list[tuple[nn.Module, str, Any]] = field(default_factory=list)

    def watch(self, name: str, note: Callable[[Any], Any]) -> None:
        """Hand the output of the module ``name`` to ``note``, each time it is computed.

        What later modules work on is a copy, so that one of them that overwrites its input (a
        ReLU in place) leaves alone what was noted, and its gradient.
        """

        def hook(_: nn.Module, _inputs: tuple[Any, ...], output: Any) -> Any:
            note(output)
            return output.clone() if isinstance(output, torch.Tensor) else None

        self._hooks.append(self.net.get_submodule(name).register_forward_hook(hook))

    def set(self, module: nn.Module, name: str, value: Any) -> None:
        """Give an attribute of a module another value until the network is given back."""
        self._attributes.append((module, name, getattr(module, name)))
        setattr(module, name, value)

    def give_back(self) -> None:
        """Remove the hooks and restore the attributes."""
        for hook in self._hooks:
            hook.remove()
        for module, name, value in reversed(self._attributes):
            setattr(module, name, value)


@contextmanager
def borrowed(net: nn.Module) -> Iterator[Lent]:
    """The network in evaluation; mode, hooks and attributes are restored in any case.

    Gradients are taken with respect to pixels and activations by ``torch.autograd.grad``, which
    leaves the parameters' own ``grad`` alone; a network whose parameters are frozen works too.

    >>> net = nn.Sequential(nn.Dropout(), nn.ReLU())
    >>> with borrowed(net) as lent:
    ...     net.training
    False
    >>> net.training
    True
    """
    modes = [(module, module.training) for module in net.modules()]
    lent = Lent(net)
    try:
        net.eval()
        yield lent
    finally:
        lent.give_back()
        for module, training in modes:
            module.training = training
