"""What is asked of an explanation method, and what it finds: a query and its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mien.results.mosaic import Maps
from mien.types import FloatArray, checked_seed


@dataclass(frozen=True)
class Query:
    """One question about one face: why this expression, by which method, compared with what.

    The command line, Python, the page, the judge and the atlas all make and hand on this.

    Parameters
    ----------
    method
        A registered method, such as ``regions``, ``dncshap`` or ``gradcam``.
    target
        The expression whose score is explained; None is the answer.
    against
        Explain the target's lead over this expression; None explains the target's own score.
    baseline
        What stands where a part is hidden: ``mean``, ``black``, ``blur`` or ``face``; None is
        the usual one, ``mean``.
    options
        What the method takes besides, such as ``levels`` and ``contexts`` of ``dncshap``.
    seed
        Of methods that draw at random, 0 to 4294967295; InputError for another.

    >>> Query("dncshap", target="happy", options={"levels": 4}).options["levels"]
    4
    """

    method: str = "regions"
    target: str | None = None
    against: str | None = None
    baseline: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        checked_seed(self.seed)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a method found: in logits, signed and about the target, unless it says otherwise."""

    values: FloatArray = field(repr=False)  # [h, w]; each pixel holds its part of its player's
    base: float | None  # the score that nothing of the crop gives; None where there is no such
    value: float  # the score of the crop
    players: int  # how many parts share the value
    evaluations: int  # forward passes, counted in images
    interactions: FloatArray | None = field(default=None, repr=False)  # [regions, regions]
    efficient: bool = True  # whether the values are meant to sum to value - base
    baseline: str = ""  # where the method has one of its own
    reference: str = ""  # what has the score base, in words; "" is the crop with all of it hidden
    remedy: str = ""  # what helps where the parts miss their total, in words
    seed: int | None = None  # where the method drew at random
    options: dict[str, Any] = field(default_factory=dict)  # as they took effect, and what was found
    what: str = "evidence"  # a noun for the values: attention, relevance, activation
    unit: str = "logits"  # of the values
    signed: bool = True  # whether values below 0 are possible, and mean the opposite
    regional: bool = False  # whether a player is a whole facial region, painted in one colour
    maps: Maps | None = field(default=None, repr=False)  # layers, heads, features, to look at
