"""What an explainer gets and gives, and the registry of methods."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from mien.registry import Registry, choose
from mien.runtime import BaseModel
from mien.types import FloatArray, InputError, IntArray


@dataclass(frozen=True, eq=False)
class Case:
    """One question: which parts of this crop speak for a direction in the logits."""

    model: BaseModel
    pixels: FloatArray  # [C, h, w] in 0..255
    regions: IntArray  # [h, w], index into mien.regions.REGIONS
    direction: FloatArray  # [K]: 1 for the target, -1 for the class it is set against
    baseline: str

    def score(self, pixels: FloatArray) -> FloatArray:
        """Score ``[N, 1]`` of pixels ``[N, C, h, w]`` along the direction, in logits."""
        return np.asarray(self.model.logits(pixels).astype(np.float64) @ self.direction[:, None])


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a method found, in logits."""

    values: FloatArray  # [h, w], signed
    base: float
    value: float
    players: int  # how many parts share the value
    evaluations: int  # forward passes, counted in images
    interactions: FloatArray | None = None  # [players, players]
    efficient: bool = True  # whether the values are meant to sum to value - base
    baseline: str = ""  # where the method has one of its own
    options: dict[str, Any] = field(default_factory=dict)


Method = Callable[..., Evidence]
METHODS: Final = Registry[Method]("method")


def checked_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options that the method takes; UnknownNameError for one it does not, InputError for a type.

    >>> checked_options("dncshap", {"levels": 4})
    {'levels': 4}
    """
    parameters = inspect.signature(METHODS.get(name), eval_str=True).parameters
    known = {key: p for key, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    if options and not known:
        raise InputError(f"the method {name!r} takes no options, got {', '.join(options)}")
    for key, value in options.items():
        wanted = known[choose(f"option of {name!r}", key, known)].annotation
        if not isinstance(value, wanted):
            raise InputError(
                f"expected {wanted.__name__} for the option {key!r} of {name!r}, got {value!r}"
            )
    return options
