"""Models: a network with its card; networks of torch are in :mod:`mien.models.torch`.

``create``, ``describe`` and ``names`` come from there, with torch, when they are first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.models.torch import create, describe, names

__all__ = ["create", "describe", "names"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("mien.models.torch"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
