"""Where a model looks for each expression: mean maps on the registered face."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from mien.explainers import explain
from mien.judging.rows import recorded, rows_for
from mien.judging.sampling import Sampled
from mien.metrics import bootstrap_interval
from mien.recognizer import Recognizer
from mien.results.evidence import Query
from mien.results.explanation import Explanation
from mien.results.sheets import painted
from mien.types import FloatArray, ImageArray, InputError, IntArray
from mien.vision.regions import REGIONS, region_labels

SIZE: Final = 96  # pixels, the side of a registered map
SHOWN: Final = 28  # faces of each expression on its contact sheet
#: Points of the crop's rim, which stay where they are.
RIM: Final = np.array([(x, y) for x in (0, 0.5, 1) for y in (0, 0.5, 1) if (x, y) != (0.5, 0.5)])


@dataclass(frozen=True, eq=False)
class MeanMap:
    """The mean map of one method over the faces that were rightly given one expression."""

    values: FloatArray = field(repr=False)  # [SIZE, SIZE], on the registered face
    faces: int
    unit: str
    signed: bool
    regions: dict[str, tuple[float, float, float]]  # mean value of each, its 95 % interval


@dataclass(frozen=True, eq=False)
class Atlas:
    """Mean maps by method and expression, and the explanations that contact sheets show."""

    model: str
    prior: dict[str, float] | None  # shares that the answers expect, where known
    seed: int
    rows: dict[str, Query]
    counts: dict[str, tuple[int, int]]  # expression -> faces that show it, and rightly answered
    means: dict[str, dict[str, MeanMap]]  # row -> expression
    face: ImageArray = field(repr=False)  # [SIZE, SIZE, 3], the mean of the registered faces
    labels: IntArray = field(repr=False)  # [SIZE, SIZE], regions of the registered face
    examples: dict[str, list[tuple[str, list[Explanation]]]] = field(repr=False)
    known: str = ""  # how the faces stand to the images that the model was trained on


def registration(landmarks: FloatArray, onto: FloatArray, size: int) -> FloatArray:
    """Where each pixel of the registered face lies in a crop: ``[size, size, 2]`` in 0..1, x and y.

    A thin-plate spline carries the 24 landmarks ``onto`` ``[24, 2]``, in 0..1, to those of the
    crop; the rim stays.

    >>> import numpy as np
    >>> points = np.random.default_rng(0).uniform(0.2, 0.8, (24, 2))
    >>> np.allclose(registration(points, points, 4)[0, 0], [0.125, 0.125])
    True
    """
    from scipy.interpolate import RBFInterpolator

    centres = (np.arange(size) + 0.5) / size
    grid = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 2)
    spline = RBFInterpolator(np.vstack([onto, RIM]), np.vstack([landmarks, RIM]))
    return np.asarray(spline(grid).reshape(size, size, 2))


def warped(picture: FloatArray, places: FloatArray) -> FloatArray:
    """A map ``[h, w]`` or picture ``[h, w, 3]`` looked up at places in 0..1, between its pixels."""
    import cv2

    height, width = picture.shape[:2]
    x, y = places[..., 0] * width - 0.5, places[..., 1] * height - 0.5
    return np.asarray(
        cv2.remap(
            picture.astype(np.float32),
            x.astype(np.float32),
            y.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def atlas(
    recognizer: Recognizer,
    faces: Sequence[Sampled],
    *,
    methods: Sequence[str] = ("regions",),
    shown: int = SHOWN,
    seed: int = 0,
    on_face: Callable[[], None] = lambda: None,
) -> Atlas:
    """Explain the answer on each face, and average the maps of each expression.

    Parameters
    ----------
    faces
        Of :func:`mien.judging.sampling.sample_faces`.
    methods
        As ``mien judge`` takes them: names that may carry options.
    shown
        At most so many faces of each expression are kept for its contact sheet.
    on_face
        Called after each face.

    Only faces whose answer is right are averaged: what a model sees in a sad face that it calls
    neutral says nothing about sadness. Raises InputError where no answer is right.
    """
    rows = rows_for(recognizer.model, methods)
    right = [f for f in faces if f.prediction.dominant_emotion == f.truth]
    if not right:
        raise InputError(f"expected faces that the model answers rightly, got none of {len(faces)}")
    layout = np.mean([f.crop.landmarks for f in right], axis=0)
    sums = {row: {label: Sum() for label in recognizer.labels} for row in rows}
    mean_face = np.zeros((SIZE, SIZE, 3))
    examples: dict[str, list[tuple[str, list[Explanation]]]] = {}
    for face in faces:
        answered = face.prediction.dominant_emotion == face.truth
        kept = examples.setdefault(face.truth, [])
        if answered or len(kept) < shown:
            found = _explained(recognizer, face, rows.values(), seed)
        if len(kept) < shown:
            kept.append((face.name, found))
        if answered:
            places = registration(face.crop.landmarks, layout, SIZE)
            mean_face += warped(face.crop.image.astype(np.float64), places) / len(right)
            for row, e in zip(rows, found, strict=True):
                sums[row][face.truth].add(e, places)
        on_face()
    truths = [label for label in recognizer.labels if label in examples]
    return Atlas(
        model=recognizer.model.identity,
        prior=recognizer.prior,
        seed=seed,
        rows=rows,
        counts={label: (_shows(label, faces), _shows(label, right)) for label in truths},
        means={
            row: {n: s.mean(seed) for n, s in of.items() if s.parts} for row, of in sums.items()
        },
        face=np.clip(mean_face, 0, 255).astype(np.uint8),
        labels=region_labels(layout * SIZE - 0.5, SIZE),
        examples={label: examples[label] for label in truths},
    )


def _explained(
    recognizer: Recognizer, face: Sampled, asked: Iterable[Query], seed: int
) -> list[Explanation]:
    """The answer on one face by every row's method."""
    seeded = (replace(query, seed=seed) for query in asked)
    model = face.model(recognizer)
    return [explain(model, face.crop, face.prediction, query) for query in seeded]


def _shows(label: str, faces: Sequence[Sampled]) -> int:
    """How many faces show an expression."""
    return sum(face.truth == label for face in faces)


@dataclass(eq=False)
class Sum:
    """The maps of one method for one expression, added up on the registered face."""

    values: FloatArray = field(default_factory=lambda: np.zeros((SIZE, SIZE)))
    parts: list[list[float]] = field(default_factory=list)  # values of the regions, by face
    unit: str = ""
    signed: bool = True

    def add(self, e: Explanation, places: FloatArray) -> None:
        """Add one map, warped to ``places``."""
        shown, _, self.unit = painted(e)
        self.signed = e.signed
        self.values = self.values + warped(shown, places)
        self.parts.append(list(e.regions.values()))

    def mean(self, seed: int) -> MeanMap:
        """Their mean, with intervals of the regions' values."""
        count = len(self.parts)
        regions = _intervals(np.array(self.parts), seed)
        return MeanMap(self.values / count, count, self.unit, self.signed, regions)


def _intervals(values: FloatArray, seed: int) -> dict[str, tuple[float, float, float]]:
    """Mean of each region ``[faces, regions]`` with its bootstrap interval."""
    return {
        name: (float(column.mean()), *bootstrap_interval(column, draws=500, seed=seed))
        for name, column in zip(REGIONS, values.T, strict=True)
    }


def to_dict(found: Atlas) -> dict[str, Any]:
    """JSON-ready record: counts, mean values of the regions with intervals, mean maps."""
    return {
        "model": found.model,
        "images": found.known,
        "prior": found.prior,
        "seed": found.seed,
        "methods": recorded(found.rows),
        "counts": {n: {"faces": a, "answered so": b} for n, (a, b) in found.counts.items()},
        "means": {
            row: {
                label: {
                    "faces": mean.faces,
                    "unit": mean.unit,
                    "regions": {
                        name: {"value": v, "low": low, "high": high}
                        for name, (v, low, high) in mean.regions.items()
                    },
                    "values": mean.values.round(5).tolist(),
                }
                for label, mean in table.items()
            }
            for row, table in found.means.items()
        },
    }
