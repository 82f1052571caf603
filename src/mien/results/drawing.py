"""Drawings: text, bars, lines and pictures at places, from which pixels of any number are made.

Lengths are in pixels of a drawing at its own size, 96 to the inch; y grows downwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mien.types import FloatArray, ImageArray

Colour = tuple[int, int, int]
Paint = Callable[[int, int], ImageArray]  # width and height in pixels -> [H, W, 3]

PAPER: Final[Colour] = (255, 255, 255)
INK: Final[Colour] = (30, 34, 40)
DPI: Final = 96  # pixels per inch of a drawing at its own size
ASCENT, DESCENT = 1.0, 0.25  # of the font, in its size
_SUB = 4  # bits of a pixel's fractions, for lines


@dataclass(frozen=True)
class Text:
    """A line of text; ``anchor`` is Pillow's: l, m or r across, a (top) or m (middle) down."""

    x: float
    y: float
    text: str
    size: float
    colour: Colour = INK
    anchor: str = "la"

    @property
    def baseline(self) -> float:
        """Where the letters stand."""
        middle = (ASCENT + DESCENT) / 2
        return self.y + self.size * (ASCENT - (middle if self.anchor[1] == "m" else 0))

    @property
    def left(self) -> float:
        """Where the text begins."""
        share = {"l": 0.0, "m": 0.5, "r": 1.0}[self.anchor[0]]
        return self.x - share * length(self.text, self.size)


@dataclass(frozen=True)
class Bar:
    """A filled rectangle."""

    x0: float
    y0: float
    x1: float
    y1: float
    colour: Colour


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines that are one: where two of them meet they are no darker; one point alone is a dot."""

    parts: tuple[FloatArray, ...] = field(repr=False)  # each [n, 2], x and y
    colour: Colour
    width: float = 1.0
    opacity: float = 1.0
    closed: bool = True


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture, painted at the number of pixels that is asked for."""

    x: float
    y: float
    width: float
    height: float
    paint: Paint = field(repr=False)


Mark: TypeAlias = Text | Bar | Lines | Picture


@dataclass(frozen=True, eq=False)
class Drawing:
    """Marks on white paper, the later over the earlier."""

    width: float
    height: float
    marks: tuple[Mark, ...] = field(default=(), repr=False)

    def moved(self, x: float, y: float) -> tuple[Mark, ...]:
        """The marks, further to the right and further down."""
        return tuple(_moved(mark, x, y) for mark in self.marks)

    def over(self, *others: Drawing) -> Drawing:
        """The same with others' marks drawn over it."""
        return replace(self, marks=sum((o.marks for o in others), self.marks))

    def raster(self, scale: float = 1.0) -> ImageArray:
        """Pixels ``[H, W, 3]``, ``scale`` of them for one of the drawing's.

        >>> Drawing(30, 20, (Bar(0, 0, 10, 20, (0, 0, 0)),)).raster(2)[0, [19, 20], 0].tolist()
        [0, 255]
        """
        size = (max(round(self.width * scale), 1), max(round(self.height * scale), 1))
        canvas = Image.new("RGB", size, PAPER)
        for mark in self.marks:
            _draw(canvas, mark, scale)
        return np.array(canvas)


Part: TypeAlias = Drawing | ImageArray


def drawing_of(part: Part) -> Drawing:
    """The part as a drawing: a picture ``[H, W, 3]`` as one of its own size."""
    if isinstance(part, Drawing):
        return part
    return painted_by(lambda width, height: resized(part, width, height), *part.shape[1::-1])


def painted_by(paint: Paint, width: float, height: float) -> Drawing:
    """A drawing that is one picture."""
    return Drawing(width, height, (Picture(0, 0, width, height, paint),))


def resized(image: ImageArray, width: int, height: int) -> ImageArray:
    """The image at another number of pixels."""
    if image.shape[:2] == (height, width):
        return image
    small = width < image.shape[1]
    how = Image.Resampling.LANCZOS if small else Image.Resampling.BICUBIC
    return np.array(Image.fromarray(image).resize((width, height), how))


def stack(parts: Sequence[Part], gap: float = 0) -> Drawing:
    """Drawings below one another, left-aligned, ``gap`` pixels apart."""
    drawings = [drawing_of(part) for part in parts]
    marks: list[Mark] = []
    y = 0.0
    for drawing in drawings:
        marks += drawing.moved(0, y)
        y += drawing.height + gap
    return Drawing(max(d.width for d in drawings), y - gap, tuple(marks))


def side_by_side(parts: Sequence[Part], gap: float) -> Drawing:
    """Drawings beside one another, top-aligned, ``gap`` pixels apart."""
    drawings = [drawing_of(part) for part in parts]
    marks: list[Mark] = []
    x = 0.0
    for drawing in drawings:
        marks += drawing.moved(x, 0)
        x += drawing.width + gap
    return Drawing(x - gap, max(d.height for d in drawings), tuple(marks))


def frame(part: Part, margin: float) -> Drawing:
    """The drawing with a white margin."""
    drawing = drawing_of(part)
    marks = drawing.moved(margin, margin)
    return Drawing(drawing.width + 2 * margin, drawing.height + 2 * margin, marks)


def wrapped(text: str, width: float, size: float, colour: Colour = INK) -> Drawing:
    """Text broken into lines of at most ``width`` pixels."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if length(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    step = round(size * 1.35)
    marks = tuple(Text(0, i * step, line, size, colour) for i, line in enumerate(lines))
    return Drawing(width, step * len(lines), marks)


@cache
def font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own scalable font in one size, in pixels."""
    return ImageFont.load_default(size)


def length(text: str, size: float) -> float:
    """Pixels that a text takes, at its own size or enlarged, where letters lie closer or wider."""
    return max(font(size).getlength(text), font(8 * size).getlength(text) / 8)


def _moved(mark: Mark, x: float, y: float) -> Mark:
    if isinstance(mark, Bar):
        return Bar(mark.x0 + x, mark.y0 + y, mark.x1 + x, mark.y1 + y, mark.colour)
    if isinstance(mark, Lines):
        return replace(mark, parts=tuple(part + np.array([x, y]) for part in mark.parts))
    return replace(mark, x=mark.x + x, y=mark.y + y)


def _draw(canvas: Image.Image, mark: Mark, scale: float) -> None:
    pen = ImageDraw.Draw(canvas)
    if isinstance(mark, Text):
        size, place = mark.size * scale, (mark.x * scale, mark.y * scale)
        pen.text(place, mark.text, fill=mark.colour, font=font(size), anchor=mark.anchor)
    elif isinstance(mark, Bar):
        x0, y0, x1, y1 = (round(v * scale) for v in (mark.x0, mark.y0, mark.x1, mark.y1))
        pen.rectangle((x0, y0, max(x1 - 1, x0), max(y1 - 1, y0)), fill=mark.colour)
    elif isinstance(mark, Picture):
        left, top = round(mark.x * scale), round(mark.y * scale)
        width = max(round((mark.x + mark.width) * scale) - left, 1)
        height = max(round((mark.y + mark.height) * scale) - top, 1)
        canvas.paste(Image.fromarray(mark.paint(width, height)), (left, top))
    else:
        _draw_lines(canvas, mark, scale)


def _draw_lines(canvas: Image.Image, mark: Lines, scale: float) -> None:
    """Smooth lines, of all parts at once, so that crossings are no darker."""
    import cv2

    width = max(round(mark.width * scale), 1)
    parts = [part * scale for part in mark.parts]
    if not parts:
        return
    every = np.concatenate(parts)
    size = np.array(canvas.size)
    low = np.clip(np.floor(every.min(axis=0)).astype(int) - width - 1, 0, size)
    high = np.clip(np.ceil(every.max(axis=0)).astype(int) + width + 2, 0, size)
    if (high <= low).any():
        return
    mask = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    fixed = [np.round((p - low - 0.5) * 2**_SUB).astype(np.int32) for p in parts]
    cv2.polylines(mask, fixed, mark.closed, 255, width, cv2.LINE_AA, _SUB)
    ink = Image.new("RGB", (mask.shape[1], mask.shape[0]), mark.colour)
    shade = (mask * mark.opacity).astype(np.uint8)
    canvas.paste(ink, (int(low[0]), int(low[1])), Image.fromarray(shade))
