"""Where a model looks for each expression: mean maps on the registered face, and contact sheets."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from mien.explainers import explain_crop
from mien.files import whole_file
from mien.judging.judge import Entry, entries_for
from mien.judging.sampling import Sampled
from mien.metrics import bootstrap_interval
from mien.recognizer import Recognizer
from mien.results import draw
from mien.results.explanation import Explanation
from mien.results.sheets import overlaid, painted
from mien.types import FloatArray, ImageArray, InputError, IntArray
from mien.vision.regions import REGIONS, region_labels

SIZE: Final = 96  # pixels, the side of a registered map
TILE: Final = 144  # the side of a map in the picture
GAP: Final = 12
ROW: Final = 7  # faces in a row of a contact sheet
#: Points of the crop's rim, which stay where they are.
RIM: Final = np.array([(x, y) for x in (0, 0.5, 1) for y in (0, 0.5, 1) if (x, y) != (0.5, 0.5)])


@dataclass(frozen=True, eq=False)
class Mean:
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
    seed: int
    entries: tuple[Entry, ...]
    counts: dict[str, tuple[int, int]]  # expression -> faces that show it, of them answered so
    means: dict[str, dict[str, Mean]]  # row -> expression
    face: ImageArray = field(repr=False)  # [SIZE, SIZE, 3], the mean of the registered faces
    labels: IntArray = field(repr=False)  # [SIZE, SIZE], regions of the registered face
    examples: dict[str, list[tuple[str, list[Explanation]]]] = field(repr=False)


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
    shown: int = 4 * ROW,
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
    rows = entries_for(recognizer, methods)
    right = [f for f in faces if f.prediction.dominant_emotion == f.truth]
    if not right:
        raise InputError(f"expected faces that the model answers rightly, got none of {len(faces)}")
    layout = np.mean([f.crop.landmarks for f in right], axis=0)
    sums: dict[tuple[str, str], FloatArray] = {}
    parts: dict[tuple[str, str], list[list[float]]] = {}
    kinds: dict[str, tuple[str, bool]] = {}
    mean_face = np.zeros((SIZE, SIZE, 3))
    examples: dict[str, list[tuple[str, list[Explanation]]]] = {}
    for face in faces:
        answered = face.prediction.dominant_emotion == face.truth
        kept = examples.setdefault(face.truth, [])
        if answered or len(kept) < shown:
            found = [_explained(recognizer, face, row, seed) for row in rows]
            if len(kept) < shown:
                kept.append((face.name, found))
        if answered:
            places = registration(face.crop.landmarks, layout, SIZE)
            mean_face += warped(face.crop.image.astype(np.float64), places) / len(right)
            for row, e in zip(rows, found, strict=True):
                values, _, unit = painted(e)
                key = (row.name, face.truth)
                sums[key] = sums.get(key, np.zeros((SIZE, SIZE))) + warped(values, places)
                parts.setdefault(key, []).append(list(e.regions.values()))
                kinds[row.name] = (unit, e.signed)
        on_face()
    truths = [label for label in recognizer.labels if label in examples]
    return Atlas(
        model=recognizer.model.identity,
        seed=seed,
        entries=rows,
        counts={
            label: (
                sum(f.truth == label for f in faces),
                sum(f.truth == label for f in right),
            )
            for label in truths
        },
        means={
            row.name: {
                label: Mean(
                    sums[row.name, label] / len(parts[row.name, label]),
                    len(parts[row.name, label]),
                    *kinds[row.name],
                    _intervals(np.array(parts[row.name, label]), seed),
                )
                for label in truths
                if (row.name, label) in sums
            }
            for row in rows
        },
        face=np.clip(mean_face, 0, 255).astype(np.uint8),
        labels=region_labels(layout * SIZE - 0.5, SIZE),
        examples={label: examples[label] for label in truths},
    )


def _explained(recognizer: Recognizer, face: Sampled, row: Entry, seed: int) -> Explanation:
    crop = face.crop
    return explain_crop(
        recognizer.model,
        crop.pixels,
        crop.image,
        face.prediction,
        crop.landmarks,
        method=row.method,
        options=dict(row.options),
        seed=seed,
    )


def _intervals(values: FloatArray, seed: int) -> dict[str, tuple[float, float, float]]:
    """Mean of each region ``[faces, regions]`` with its bootstrap interval."""
    return {
        name: (float(column.mean()), *bootstrap_interval(column, draws=500, seed=seed))
        for name, column in zip(REGIONS, values.T, strict=True)
    }


def picture(found: Atlas) -> ImageArray:
    """All mean maps: a row for each method, a column for each expression."""
    names = list(found.counts)
    face = draw.enlarge(found.face, TILE)
    heads = [
        draw.stack(
            [
                draw.wrapped(name, TILE, 15),
                draw.wrapped(f"{right} of {seen} answered so", TILE, 12, draw.PALE),
            ]
        )
        for name, (seen, right) in found.counts.items()
    ]
    width = len(names) * TILE + (len(names) - 1) * GAP
    rows = [draw.side_by_side([_tile(head) for head in heads], GAP)]
    for entry in found.entries:
        means = found.means[entry.name]
        some = next(iter(means.values()))
        title = f"{entry.name}: regions with the largest mean {some.unit.split(' per ')[0]} below"
        tiles = []
        for name in names:
            if name not in means:
                tiles.append(_tile(draw.wrapped("no face answered so", TILE, 12, draw.PALE)))
                continue
            mean = means[name]
            limit = float(np.abs(mean.values).max())
            over = draw.overlay(face, mean.values, limit, signed=mean.signed)
            tiles.append(
                draw.stack(
                    [
                        draw.outlined(over, found.labels),
                        draw.wrapped(first(mean), TILE, 12, draw.PALE),
                    ],
                    4,
                )
            )
        rows += [
            draw.wrapped(title, width, 14),
            draw.side_by_side([_tile(tile) for tile in tiles], GAP),
        ]
    said = (
        f"Mean maps over the faces that {found.model.split(' ')[0]} answers rightly, on their mean "
        "face, each at its own scale"
    )
    rows.append(draw.legend(2 * TILE, 1.0, "of each map's largest value"))
    return draw.frame(draw.stack([draw.wrapped(said, width, 17), *rows], 12), 24)


def _tile(part: ImageArray) -> ImageArray:
    """A part as wide as a tile, whatever stands in it."""
    return np.pad(part, ((0, 0), (0, TILE - part.shape[1]), (0, 0)), constant_values=255)


def first(mean: Mean) -> str:
    """The two regions with the largest mean values, in words."""
    parts = sorted(mean.regions.items(), key=lambda item: -abs(item[1][0]))
    return ", ".join(
        f"{name} {value:{'+.2g' if mean.signed else '.2g'}}" for name, (value, _, _) in parts[:2]
    )


def contact_sheet(found: Atlas, expression: str) -> ImageArray:
    """The faces of one expression with their maps: a row of faces, below it a row per method."""
    shown = found.examples[expression]
    side = TILE
    width = ROW * side + (ROW - 1) * GAP
    seen, right = found.counts[expression]
    title = f"{expression}: {len(shown)} of {seen} faces; {right} of all are answered so"
    blocks = [draw.wrapped(title, width, 19)]
    for start in range(0, len(shown), ROW):
        part = shown[start : start + ROW]
        faces = [
            draw.stack(
                [
                    draw.enlarge(explained[0].crop, side),
                    draw.wrapped(
                        explained[0].target,
                        side,
                        12,
                        draw.INK if explained[0].target == expression else draw.FOR,
                    ),
                ],
                4,
            )
            for _, explained in part
        ]
        blocks.append(draw.side_by_side(faces, GAP))
        for i, entry in enumerate(found.entries):
            blocks += [
                draw.wrapped(
                    f"{entry.name}, for the answer; each map at its own scale", width, 12, draw.PALE
                ),
                draw.side_by_side([overlaid(explained[i], side) for _, explained in part], GAP),
            ]
    return draw.frame(draw.stack(blocks, 8), 24)


def to_dict(found: Atlas) -> dict[str, Any]:
    """JSON-ready record: counts, mean values of the regions with intervals, mean maps."""
    return {
        "model": found.model,
        "seed": found.seed,
        "methods": {e.name: {"method": e.method, **e.options} for e in found.entries},
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


def write(found: Atlas, folder: Path) -> list[Path]:
    """``atlas.png``, ``atlas.json`` and a contact sheet per expression, in a folder that exists.

    The pictures show the faces of the data set: they are as private as it is.
    """
    pictures = {"atlas": picture(found)}
    pictures |= {name: contact_sheet(found, name) for name in found.counts}
    written = []
    for name, image in pictures.items():
        written.append(folder / f"{name}.png")
        with whole_file(written[-1]) as part:
            Image.fromarray(image).save(part, format="PNG")
    written.insert(1, folder / "atlas.json")
    with whole_file(written[1]) as part:
        part.write_text(json.dumps(to_dict(found)) + "\n", encoding="utf-8")
    return written
