"""Use a network and give it back as it was found: modes, hooks, attributes; one user at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock, RLock
from typing import Any, Final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mien.forks import unforked

#: Attributes by which timm and others recompute activations in the backward pass: what is watched
#: would then be computed without gradients, and twice.
CHECKPOINTING: Final = ("grad_checkpointing", "gradient_checkpointing")

_locks: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()
_adding: Final = Lock()


@dataclass(frozen=True, eq=False)
class Borrowed:
    """A network in evaluation, on which hooks and attributes hold until it is given back.

    ``net`` is the plain module, also where ``torch.compile`` wraps it: a compiled network does not
    see hooks that are set later.
    """

    net: nn.Module
    _hooks: list[RemovableHandle] = field(default_factory=list)
    _attributes: list[tuple[nn.Module, str, Any]] = field(default_factory=list)

    def watch(self, name: str, note: Callable[[Any], Any]) -> None:
        """Hand the output of the module ``name`` to ``note``, each time it is computed.

        What later modules work on is a copy, so that one of them that overwrites its input (a
        ReLU in place) leaves alone what was noted, and its gradient.
        """

        def hook(_: nn.Module, _inputs: tuple[Any, ...], output: Any) -> Any:
            note(output)
            return output.clone() if isinstance(output, Tensor) else None

        self._hooks.append(self.net.get_submodule(name).register_forward_hook(hook))

    def watch_inputs(self, name: str, note: Callable[[tuple[Any, ...]], Any]) -> None:
        """Hand the positional inputs of the module ``name`` to ``note`` before it runs."""

        def hook(_: nn.Module, inputs: tuple[Any, ...]) -> None:
            note(inputs)

        self._hooks.append(self.net.get_submodule(name).register_forward_pre_hook(hook))

    def set(self, module: nn.Module, name: str, value: Any) -> None:
        """Give an attribute of a module another value until the network is given back."""
        self._attributes.append((module, name, getattr(module, name)))
        setattr(module, name, value)

    def give_back(self) -> None:
        """Remove the hooks and restore the attributes, the last one first."""
        while self._hooks:
            self._hooks.pop().remove()
        while self._attributes:
            module, name, value = self._attributes.pop()
            setattr(module, name, value)


@contextmanager
def borrowed(net: nn.Module) -> Iterator[Borrowed]:
    """The network in evaluation; modes, hooks and attributes are restored in any case.

    A network is lent to one thread at a time, which may borrow it again; the others wait, so that
    they get the answers of a single thread. Every module's own mode is restored, so that parts of
    a network that stood in evaluation still do. Gradients are taken with respect to pixels and
    activations by ``torch.autograd.grad``, which leaves the parameters' own ``grad`` alone; a
    network whose parameters are frozen works too.

    >>> net = nn.Sequential(nn.Dropout(), nn.ReLU())
    >>> with borrowed(net) as lent:
    ...     lent.net.training, lent.net[0].training
    (False, False)
    >>> net.training, net[0].training
    (True, True)
    """
    plain = uncompiled(net)
    with unforked(), _lock_of(plain):
        lent = Borrowed(plain)
        try:
            for module in plain.modules():
                # not by eval(), which a network may have made to do more than this
                if getattr(module, "training", False):
                    lent.set(module, "training", False)
                for name in CHECKPOINTING:
                    if vars(module).get(name) is True:
                        lent.set(module, name, False)
            yield lent
        finally:
            lent.give_back()


def uncompiled(net: nn.Module) -> nn.Module:
    """The module under ``torch.compile``, or the module itself."""
    inner = getattr(net, "_orig_mod", None)
    return inner if isinstance(inner, nn.Module) else net


def _lock_of(net: nn.Module) -> Any:
    """The lock of a network, made when it is first lent and forgotten with it."""
    with _adding:
        return _locks.setdefault(net, RLock())


def _one_thread() -> None:
    """A forked process works alone: OpenMP would wait for the threads that its parent had."""
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_one_thread)
