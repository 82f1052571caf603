"""What a network gives for a batch, read as logits, whatever form it gives them in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from mien.types import MienError, ModelError, first_line


def like(net: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Where a network is and in which precision it computes, read from its first weights.

    A network without floating-point weights (quantised ones keep them packed) is asked on the
    CPU in 32 bits.

    >>> like(nn.Linear(2, 2).double())
    (device(type='cpu'), torch.float64)
    """
    for value in chain(net.parameters(), net.buffers()):
        if value.is_floating_point():
            return value.device, value.dtype
    return torch.device("cpu"), torch.float32


def logits_of(output: Any, rows: int, classes: int, name: str) -> Tensor:
    """The logits ``[rows, classes]`` in what a network gave.

    That is a tensor, a mapping or an object with ``logits``, or a tuple, list or mapping in which
    one tensor has this shape. Raises ModelError, which says what came, for anything else.

    >>> logits_of({"logits": torch.zeros(2, 7), "loss": None}, 2, 7, "mine").shape
    torch.Size([2, 7])
    """
    found = output
    named = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", None)
    if isinstance(named, Tensor):
        found = named
    elif isinstance(output, (Mapping, tuple, list)):
        parts = list(output.values()) if isinstance(output, Mapping) else list(output)
        fits = [p for p in parts if isinstance(p, Tensor) and tuple(p.shape) == (rows, classes)]
        found = fits[0] if len(fits) == 1 else output
    if not isinstance(found, Tensor) or tuple(found.shape) != (rows, classes):
        raise ModelError(
            f"{name}: expected logits of shape [{rows}, {classes}], got {_shown(found)}; "
            "take a network that ends in a classifier, or wrap it in one that gives its logits"
        )
    if not found.is_floating_point():
        raise ModelError(f"{name}: expected logits as floating-point numbers, got {found.dtype}")
    return found


@contextmanager
def failures_named(name: str, shape: tuple[int, ...]) -> Iterator[None]:
    """Turn what a network raises on a batch of ``shape`` into a ModelError that tells the cause."""
    try:
        yield
    except MienError:
        raise
    except Exception as error:  # a user's network may raise anything
        raise ModelError(
            f"{name}: the network fails on pixels of shape {list(shape)} "
            f"({type(error).__name__}: {first_line(error)}); "
            "check the size and the channels of its preprocessing, and its precision"
        ) from error


def _shown(value: Any) -> str:
    """A network's output in a few words."""
    if isinstance(value, Tensor):
        return f"{list(value.shape)}"
    if isinstance(value, Mapping):
        return "a dict of " + (", ".join(f"{k!s:.20} {_shown(v)}" for k, v in value.items()) or "0")
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of " + (", ".join(map(_shown, value)) or "nothing")
    return f"{type(value).__name__}"
