"""An atlas as pictures and files: mean maps side by side, and contact sheets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from mien.files import write_whole
from mien.judging.atlas import Atlas, MeanMap, to_dict
from mien.results import draw
from mien.results.explanation import Explanation
from mien.results.sheets import overlaid
from mien.types import ImageArray

TILE: Final = 144  # pixels, the side of a map
GAP: Final = 12
ROW: Final = 7  # faces in a row of a contact sheet


def picture(found: Atlas) -> ImageArray:
    """All mean maps: a row for each method, a column for each expression."""
    heads = [
        draw.stack(
            [
                draw.wrapped(name, TILE, 15),
                draw.wrapped(f"{right} of {seen} answered correctly", TILE, 12, draw.PALE),
            ]
        )
        for name, (seen, right) in found.counts.items()
    ]
    width = len(heads) * TILE + (len(heads) - 1) * GAP
    title = (
        f"Mean maps over the faces that {found.model.split(' ')[0]} answers rightly, on their mean "
        "face, each at its own scale"
    )
    parts = [draw.wrapped(title, width, 17)]
    if found.known:
        parts.append(draw.wrapped(f"The faces: {found.known}.", width, 12, draw.PALE))
    parts.append(_row(heads))
    face = draw.enlarge(found.face, TILE)
    for row, means in found.means.items():
        unit = next(iter(means.values())).unit.split(" per ")[0]
        parts += [
            draw.wrapped(f"{row}: regions with the largest mean {unit} below", width, 14),
            _row([_mean_tile(found, face, means.get(name)) for name in found.counts]),
        ]
    parts.append(draw.legend(2 * TILE, 1.0, "of each map's largest value"))
    return draw.frame(draw.stack(parts, 12), 24).raster()


def _row(tiles: list[draw.Drawing]) -> draw.Drawing:
    """Tiles side by side, each as wide as a map, whatever stands in it."""
    wide = [replace(tile, width=TILE) for tile in tiles]
    return draw.side_by_side(wide, GAP)


def _mean_tile(found: Atlas, face: ImageArray, mean: MeanMap | None) -> draw.Drawing:
    if mean is None:
        return draw.wrapped("none answered correctly", TILE, 12, draw.PALE)
    limit = float(np.abs(mean.values).max())
    over = draw.overlay(face, mean.values, limit, signed=mean.signed)
    note = draw.wrapped(first(mean), TILE, 12, draw.PALE)
    return draw.stack([draw.outlined(over, found.labels), note], 4)


def first(mean: MeanMap) -> str:
    """The two regions with the largest mean values, in words."""
    form = "+.2g" if mean.signed else ".2g"
    parts = sorted(mean.regions.items(), key=lambda item: -abs(item[1][0]))
    return ", ".join(f"{name} {value:{form}}" for name, (value, _, _) in parts[:2])


def contact_sheet(found: Atlas, expression: str) -> ImageArray:
    """The faces of one expression with their maps: a row of faces, below it a row per method."""
    shown = [explanations for _, explanations in found.examples[expression]]
    width = ROW * TILE + (ROW - 1) * GAP
    seen, right = found.counts[expression]
    title = f"{expression}: {len(shown)} of {seen} faces; {right} of all are answered correctly"
    blocks = [draw.wrapped(title, width, 19)]
    for start in range(0, len(shown), ROW):
        part = shown[start : start + ROW]
        blocks.append(draw.side_by_side([_face(e[0], expression) for e in part], GAP))
        for i, row in enumerate(found.rows):
            note = f"{row}, for the answer; each map at its own scale"
            blocks += [
                draw.wrapped(note, width, 12, draw.PALE),
                draw.side_by_side([overlaid(e[i], TILE) for e in part], GAP),
            ]
    return draw.frame(draw.stack(blocks, 8), 24).raster()


def _face(e: Explanation, expression: str) -> draw.Drawing:
    """A face over its answer, which is coloured where it is wrong."""
    colour = draw.INK if e.target == expression else draw.FOR
    return draw.stack([draw.enlarge(e.crop, TILE), draw.wrapped(e.target, TILE, 12, colour)], 4)


def write(found: Atlas, folder: Path) -> list[Path]:
    """``atlas.png``, ``atlas.json`` and a contact sheet per expression, in a folder that exists.

    The pictures show the faces of the data set: they are as private as it is.
    """
    written = [
        write_whole(folder / "atlas.png", draw.png(picture(found))),
        write_whole(folder / "atlas.json", json.dumps(to_dict(found)) + "\n"),
    ]
    for name in found.counts:
        content = draw.png(contact_sheet(found, name))
        written.append(write_whole(folder / f"{name}.png", content))
    return written
