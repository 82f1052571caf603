"""Many small maps in one picture: the features of a layer, or the heads of every layer."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from mien.results import draw
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


def mosaic(maps: Maps, crop: ImageArray, width: int) -> ImageArray:
    """The maps as numbered tiles over the crop, ``width`` pixels wide, under their title.

    >>> import numpy as np
    >>> maps = Maps((np.eye(2), -np.eye(2)), ("a", "b"), "two maps", columns=2, signed=True)
    >>> mosaic(maps, np.zeros((8, 8, 3), np.uint8), 300).shape[1]
    300
    """
    margin = 64 if maps.row_names else 0
    side = min((width - margin - GAP * (maps.columns - 1)) // maps.columns, 120)
    face = draw.enlarge(crop, side)
    step, high = side + GAP, side + 16 + GAP
    head = 18 if maps.column_names else 0
    picture = Image.new("RGB", (width, head + maps.rows * high), draw.PAPER)
    pen = ImageDraw.Draw(picture)
    for column, text in enumerate(maps.column_names):
        pen.text((margin + column * step, 0), text, fill=draw.INK, font=draw.font(12))
    for i, (values, name) in enumerate(zip(maps.values, maps.names, strict=True)):
        row, column = divmod(i, maps.columns)
        x, y = margin + column * step, head + row * high
        limit = float(np.abs(values).max())
        tile = draw.overlay(face, values, limit, signed=maps.signed)
        picture.paste(Image.fromarray(tile), (x, y))
        text = f"{limit:.2g}" if maps.column_names or not name else f"{name}: {limit:.2g}"
        pen.text((x, y + side + 1), text, fill=draw.PALE, font=draw.font(10))
    for row, text in enumerate(maps.row_names):
        pen.text(
            (0, head + row * high + side // 2), text, fill=draw.INK, font=draw.font(12), anchor="lm"
        )
    return draw.stack([draw.wrapped(maps.title, width, 13, draw.PALE), np.array(picture)], 8)
