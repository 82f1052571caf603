"""The registry of networks: a builder, the parameters that it must give, and a small variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from torch import nn

from mien.models.torch.spec import Spec
from mien.registry import Registry

Builder = Callable[..., tuple[nn.Module, Spec]]
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True)
class NetworkEntry:
    """All that is known of a network before it is built.

    ``build(classes, **options)`` gives the network and its spec. ``counts`` are the numbers of
    parameters by classes that it must have by default, ``tiny`` the options that make it small
    enough for a pass in a fraction of a second.
    """

    build: Builder
    counts: Mapping[int, int] = field(default_factory=dict)
    tiny: Mapping[str, Any] = field(default_factory=dict)


MODELS: Final = Registry[NetworkEntry](
    "model", package="mien.models.torch.networks", group="mien.networks"
)


def register(
    name: str,
    build: Builder,
    counts: Mapping[int, int] | None = None,
    *,
    tiny: Mapping[str, Any] = NOTHING,
) -> None:
    """File a builder, the parameters that it must give by default, and its small variant.

    ``build`` takes the number of classes and keyword-only options whose types are annotated. A
    module that another distribution names in the entry point group ``mien.networks`` may register
    networks, too. ValueError where the name is taken.

    Parameters
    ----------
    name
        The registry's key.
    counts
        Parameters that it must have, by the number of classes.
    tiny
        Options that make it small, for tests and ``--smoke``.
    """
    MODELS.add(name, NetworkEntry(build, dict(counts or {}), dict(tiny)))


def shrunk(name: str, options: Mapping[str, Any] = NOTHING) -> dict[str, Any]:
    """A model's options with what makes it small; the rest of them stays, as far as it fits.

    A network that is not registered (``timm:NAME``) stays as it is.

    >>> shrunk("gimefive-13", {"dropout": 0.3})
    {'dropout': 0.3, 'channels': (8, 8, 8, 8)}
    """
    small = MODELS.get(name).tiny if name in MODELS.names() else NOTHING
    extra = {**options.get("extra", {}), **small.get("extra", {})}
    return {**options, **small} | ({"extra": extra} if extra else {})


def count(net: nn.Module) -> int:
    """How many parameters a network has, trainable or not.

    >>> count(nn.Linear(3, 2))
    8
    """
    return sum(p.numel() for p in net.parameters())
