"""Many small maps in one picture: the features of a layer, or the heads of every layer."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mien.results import draw
from mien.results.drawing import Drawing, Mark, Text, resized
from mien.types import FloatArray, ImageArray

GAP = 6  # pixels between tiles


@dataclass(frozen=True, eq=False)
class Maps:
    """Small maps that lie behind one explanation, to look at.

    Each is drawn at its own scale: the number under it is its largest value.
    """

    values: tuple[FloatArray, ...] = field(repr=False)  # each [h, w], not all of one size
    names: tuple[str, ...]
    title: str  # what they are, in a sentence
    columns: int = 16
    signed: bool = False
    row_names: tuple[str, ...] = ()  # one per row of tiles, where rows mean something
    column_names: tuple[str, ...] = ()  # likewise; tiles then need no names of their own

    @property
    def rows(self) -> int:
        """How many rows of tiles there are."""
        return -(-len(self.values) // self.columns)


def mosaic(maps: Maps, crop: ImageArray, width: float) -> Drawing:
    """The maps as numbered tiles over the crop, ``width`` pixels wide, under their title.

    >>> import numpy as np
    >>> maps = Maps((np.eye(2), -np.eye(2)), ("a", "b"), "two maps", columns=2, signed=True)
    >>> mosaic(maps, np.zeros((8, 8, 3), np.uint8), 300).width
    300
    """
    margin = 64 if maps.row_names else 0
    side = min((int(width) - margin - GAP * (maps.columns - 1)) // maps.columns, 120)
    step, high = side + GAP, side + 16 + GAP
    head = 18 if maps.column_names else 0
    marks: list[Mark] = [
        Text(margin + column * step, 0, text, 12) for column, text in enumerate(maps.column_names)
    ]
    for i, (values, name) in enumerate(zip(maps.values, maps.names, strict=True)):
        row, column = divmod(i, maps.columns)
        x, y = margin + column * step, head + row * high
        marks += _tile(crop, values, side, signed=maps.signed).moved(x, y)
        limit = float(np.abs(values).max())
        text = f"{limit:.2g}" if maps.column_names or not name else f"{name}: {limit:.2g}"
        marks.append(Text(x, y + side + 1, text, 10, draw.PALE))
    for row, text in enumerate(maps.row_names):
        marks.append(Text(0, head + row * high + side // 2, text, 12, anchor="lm"))
    tiles = Drawing(width, head + maps.rows * high, tuple(marks))
    return draw.stack([draw.wrapped(maps.title, width, 13, draw.PALE), tiles], 8)


def _tile(crop: ImageArray, values: FloatArray, side: int, *, signed: bool) -> Drawing:
    """One map over the crop, at its own scale."""
    limit = float(np.abs(values).max())

    def paint(width: int, height: int) -> ImageArray:
        return draw.overlay(resized(crop, width, height), values, limit, signed=signed)

    return draw.painted_by(paint, side, side)
