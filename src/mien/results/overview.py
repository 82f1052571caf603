"""A group photo with its faces numbered, to stand above their sheets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np

from mien.emotions import COLOURS
from mien.results import draw
from mien.results.drawing import Bar, Drawing, Lines, Mark, Text, length, resized
from mien.results.predictions import brief
from mien.types import ImageArray, Prediction

SIDE: Final = 1600  # pixels of the longer side that are kept
HIGH: Final = 520  # pixels, the height of an overview at most


@dataclass(frozen=True, eq=False)
class Overview:
    """A photo of several faces, and the answer for each of them."""

    image: ImageArray = field(repr=False)  # [h, w, 3], the photo or a smaller one
    scale: float  # of its pixels for one of the photo's
    rows: tuple[Prediction, ...]

    @classmethod
    def of(cls, photo: ImageArray, rows: Sequence[Prediction]) -> Overview:
        """The overview of a photo ``[H, W, 3]`` and the answers for its faces.

        >>> Overview.of(np.zeros((3000, 3200, 3), np.uint8), []).image.shape
        (1500, 1600, 3)
        """
        high, wide = photo.shape[:2]
        scale = min(1.0, SIDE / max(high, wide))
        size = (max(round(wide * scale), 1), max(round(high * scale), 1))
        return cls(resized(photo, *size), scale, tuple(rows))


def overview_drawing(overview: Overview, width: float) -> Drawing:
    """The photo, at most ``width`` wide, with numbered boxes in their expressions' colours."""
    image = overview.image
    scale = min(width / image.shape[1], HIGH / image.shape[0])
    wide, high = image.shape[1] * scale, image.shape[0] * scale
    picture = draw.painted_by(partial(resized, image), wide, high)
    marks: list[Mark] = []
    for row in overview.rows:
        if row.box is not None:
            marks += _box(row, scale * overview.scale, (wide, high))
    count = len(overview.rows)
    title = f"{count} faces, numbered from left to right by their face_id"
    named = draw.wrapped(title, width, 13, draw.PALE)
    return draw.stack([named, picture.over(Drawing(wide, high, tuple(marks)))], 8)


def _box(row: Prediction, scale: float, size: tuple[float, float]) -> list[Mark]:
    """A face's box and its number, within the picture."""
    assert row.box is not None
    assert row.dominant_emotion is not None
    assert row.score is not None
    x, y, wide, high = (v * scale for v in row.box)
    colour = COLOURS.get(row.dominant_emotion, draw.FOR)
    corners = np.array([(x, y), (x + wide, y), (x + wide, y + high), (x, y + high)])
    inside = np.clip(corners, 1, np.array(size) - 1)
    text = f"{row.face_id}  {row.dominant_emotion} {brief(row.score)}"
    if length(text, 12) + 8 > 1.6 * wide:
        text = str(row.face_id)
    plate = length(text, 12) + 8
    left = float(np.clip(x, 0, max(size[0] - plate, 0)))
    top = y - 18 if y >= 18 else float(np.clip(y + high, 0, size[1] - 18))
    ink = draw.INK if sum(colour) > 330 else draw.PAPER
    return [
        Lines((inside,), colour, 2),
        Bar(left, top, left + plate, top + 18, colour),
        Text(left + 4, top + 9, text, 12, ink, "lm"),
    ]
