"""Networks in torch, for training and explaining; the base install runs their exported files."""

from __future__ import annotations

from mien.extras import need

need("torch", "train", "a network in torch")

from mien.models.torch.build import create, describe, names  # noqa: E402 - after the check
from mien.models.torch.registry import MODELS, count, register, shrunk  # noqa: E402
from mien.models.torch.spec import (  # noqa: E402
    Attention,
    ClassMap,
    Created,
    Layer,
    Loaded,
    Spec,
)

__all__ = [
    "MODELS",
    "Attention",
    "ClassMap",
    "Created",
    "Layer",
    "Loaded",
    "Spec",
    "count",
    "create",
    "describe",
    "names",
    "register",
    "shrunk",
]
