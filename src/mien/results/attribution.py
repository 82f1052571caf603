"""Attribution: the numbers of one explanation, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np

from mien.results.evidence import Evidence, Query
from mien.results.mosaic import Maps
from mien.types import FloatArray, ImageArray, IntArray, Prediction
from mien.vision.regions import REGIONS, areas, region_outlines, sum_by_region

#: What all parts of a map hold together below this is rounding, by their unit.
NOISE: Final = {"logits": 1e-4, "probability": 1e-6}
FLAT: Final = 1.0  # grey levels; a crop that varies less shows nothing


@dataclass(frozen=True, eq=False)
class Attribution:
    """Why one face got (or did not get) one answer: the query, the evidence, and the face.

    Where the method is efficient, the parts in ``regions`` and the pixels of ``values`` are shares
    of ``value - base``: what the model says of the crop, less what it says of the baseline.
    """

    query: Query  # resolved: its target and its baseline are filled in
    evidence: Evidence  # what the method found
    about_target: bool  # False where every expression would get the same map
    footnote: str  # what the numbers are, for people who have not read the documentation
    prediction: Prediction  # the answer that is explained
    crop: ImageArray = field(repr=False)  # [H, W, 3], what the model saw, larger for display
    labels: IntArray = field(repr=False)  # [h, w], index into ``regions`` for each pixel
    landmarks: FloatArray = field(repr=False)  # [24, 2] in pixels of the h x w grid
    seconds: float  # that the method took
    model: str  # name and SHA-256 of the model file
    versions: dict[str, str]  # of the packages that computed it
    prior: dict[str, float] | None = None  # shares that the answer expects, where known
    flip: bool = False  # whether the answer is the mean over the crop and its mirror image
    regions: dict[str, float] = field(init=False)  # summed over each facial region
    areas: dict[str, float] = field(init=False)  # share of the crop of each, sums to 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "regions", sum_by_region(self.evidence.values, self.labels))
        object.__setattr__(self, "areas", areas(self.labels))

    @cached_property
    def outlines(self) -> dict[str, tuple[FloatArray, ...]]:
        """The smooth outlines of the regions, closed lines ``[n, 2]`` in 0..1 across the crop."""
        return region_outlines(self.landmarks, len(self.labels))

    @property
    def method(self) -> str:
        """The method's name."""
        return self.query.method

    @property
    def target(self) -> str:
        """The expression whose score is explained."""
        return str(self.query.target)

    @property
    def against(self) -> str | None:
        """The expression that the target is set against, where there is one."""
        return self.query.against

    @property
    def values(self) -> FloatArray:
        """The map ``[h, w]``; each pixel holds its part of its player's value."""
        return self.evidence.values

    @property
    def base(self) -> float | None:
        """The explained score on the baseline; None where there is no such."""
        return self.evidence.base

    @property
    def value(self) -> float:
        """The explained score on the crop."""
        return self.evidence.value

    @property
    def baseline(self) -> str:
        """What stands where a part is hidden."""
        return self.evidence.baseline or self.query.baseline or "none"

    @property
    def seed(self) -> int | None:
        """The seed, where the method drew at random."""
        return self.evidence.seed

    @property
    def players(self) -> int:
        """How many parts share ``value - base``."""
        return self.evidence.players

    @property
    def evaluations(self) -> int:
        """Forward passes, counted in images."""
        return self.evidence.evaluations

    @property
    def efficient(self) -> bool:
        """Whether the method promises that its parts sum to ``value - base``."""
        return self.evidence.efficient

    @property
    def options(self) -> dict[str, Any]:
        """The method's options as they took effect."""
        return self.evidence.options

    @property
    def what(self) -> str:
        """What the values are: evidence, attention, relevance or activation."""
        return self.evidence.what

    @property
    def unit(self) -> str:
        """The unit of the values."""
        return self.evidence.unit

    @property
    def signed(self) -> bool:
        """Whether a value can speak against the target."""
        return self.evidence.signed

    @property
    def maps(self) -> Maps | None:
        """Layers, heads or features, to look at."""
        return self.evidence.maps

    @property
    def interactions(self) -> dict[str, dict[str, float]]:
        """Pairwise interactions of the regions, by name; empty where the method gives none."""
        matrix = self.evidence.interactions
        if matrix is None:
            return {}
        rows = zip(REGIONS, np.asarray(matrix, dtype=float).tolist(), strict=True)
        return {a: dict(zip(REGIONS, row, strict=True)) for a, row in rows}

    @property
    def total(self) -> float:
        """``value - base``, what the parts should add up to; ``value`` where there is no base."""
        return self.value - (self.base or 0.0)

    def check(self) -> float:
        """Efficiency gap: ``|sum(values) - total|`` relative to ``max(|total|, 1)``.

        Near 0 for every method that promises efficiency; methods that promise none
        (``dncshap`` with the printed update, ``gradcam``) report what they miss.
        """
        gap = abs(float(np.sum(self.values, dtype=np.float64)) - self.total)
        return gap / max(abs(self.total), 1.0)

    @property
    def empty(self) -> bool:
        """Whether there is no evidence: an even crop, or values that are rounding alone."""
        if float(self.crop.std(axis=(0, 1)).max()) < FLAT:
            return True
        whole = sum(abs(value) for value in self.regions.values())
        return whole <= NOISE.get(self.unit, 0.0)

    @property
    def background_share(self) -> float:
        """Share of the absolute evidence that lies on the background, in 0..1."""
        parts = {name: abs(value) for name, value in self.regions.items()}
        return parts.get("background", 0.0) / max(sum(parts.values()), 1e-12)

    @property
    def warning(self) -> str | None:
        """A sentence where the result must be read with care, else None.

        Where the background carries clearly more than its share of the area (by a tenth, and more
        than 5 %), and where the method's parts do not add up to a total that it has.
        """
        if not self.efficient and self.base is not None:
            return f"the parts of this method do not add up to its total of {self.total:+.2g}"
        if self.efficient and self.check() > 0.05:
            missed = f"the parts miss their total of {self.total:+.2g} by {self.check():.0%}"
            return f"{missed}; {self.evidence.remedy}" if self.evidence.remedy else missed
        share, area = self.background_share, self.areas.get("background", 0.0)
        if self.empty or share <= max(1.1 * area, 0.05):
            return None
        advice = "do not read this answer as being about the face alone"
        if not self.about_target:  # such a map does not say what this answer rests on
            advice = "the network looks beside the face, too"
        return (
            f"the background carries {share:.0%} of the {self.what} on {area:.0%} of the crop: "
            f"{advice}"
        )
