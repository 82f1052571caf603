"""What Mien's pictures are made of: colours, maps over faces, outlines, legends, bars."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Iterable, Mapping
from math import floor, log10

import numpy as np
from PIL import Image

from mien.results.drawing import (
    INK,
    PAPER,
    Bar,
    Colour,
    Drawing,
    Lines,
    Mark,
    Part,
    Text,
    drawing_of,
    font,
    frame,
    length,
    painted_by,
    side_by_side,
    stack,
    wrapped,
)
from mien.types import FloatArray, ImageArray, IntArray

__all__ = [
    "AGAINST",
    "FOR",
    "INK",
    "LOOK",
    "PALE",
    "PAPER",
    "PLACE",
    "RULE",
    "Colour",
    "Drawing",
    "Part",
    "bars",
    "data_url",
    "dots",
    "drawing_of",
    "enlarge",
    "font",
    "frame",
    "legend",
    "outlined",
    "overlay",
    "painted_by",
    "png",
    "side_by_side",
    "signed_form",
    "stack",
    "wrapped",
]

PALE: Colour = (112, 118, 128)
RULE: Colour = (214, 218, 224)
FOR: Colour = (213, 94, 0)  # vermilion and blue of Okabe and Ito: safe for colour-blind readers
AGAINST: Colour = (0, 114, 178)
LOOK: Colour = (0, 158, 115)  # bluish green of the same palette: neither for nor against
PLACE: Colour = (240, 228, 66)  # its yellow: where something is, such as a landmark


def png(picture: ImageArray, dpi: float | None = None) -> bytes:
    """A picture ``[H, W, 3] uint8`` as a PNG file that may say how many pixels make an inch.

    >>> png(np.zeros((2, 2, 3), np.uint8))[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    more = {} if dpi is None else {"dpi": (dpi, dpi)}
    Image.fromarray(picture).save(buffer, format="PNG", **more)
    return buffer.getvalue()


def data_url(picture: ImageArray | bytes, kind: str = "image/png") -> str:
    """A picture, or the file that it is, as an address that holds it, for HTML.

    >>> data_url(b"")
    'data:image/png;base64,'
    """
    content = picture if isinstance(picture, bytes) else png(picture)
    return f"data:{kind};base64," + base64.b64encode(content).decode()


def overlay(
    crop: ImageArray,
    values: FloatArray,
    limit: float,
    opacity: float = 0.7,
    *,
    signed: bool = True,
) -> ImageArray:
    """A signed map over a grey crop: vermilion speaks for, blue against, full at ``limit``.

    A map that is not signed, such as attention, is green.

    ``values`` ``[h, w]`` are enlarged to the crop without smoothing, so that what is drawn is
    what was computed.

    >>> import numpy as np
    >>> overlay(np.zeros((8, 8, 3), np.uint8), np.ones((2, 2)), 1.0)[0, 0].tolist()
    [149, 65, 0]
    """
    height, width = crop.shape[:2]
    rows = np.arange(height) * values.shape[0] // height
    columns = np.arange(width) * values.shape[1] // width
    strength = np.clip(values[rows][:, columns] / max(limit, 1e-12), -1, 1)
    colour = np.where(strength[..., None] >= 0, FOR if signed else LOOK, AGAINST)
    grey = crop.mean(axis=2, keepdims=True)
    alpha = opacity * np.abs(strength)[..., None]
    return np.asarray(np.clip(grey * (1 - alpha) + colour * alpha, 0, 255), dtype=np.uint8)


def enlarge(image: ImageArray, side: int) -> ImageArray:
    """The image scaled to ``side`` x ``side`` pixels."""
    return np.array(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


def outlined(picture: ImageArray, labels: IntArray, opacity: float = 0.6) -> ImageArray:
    """Thin lines where the parts ``[h, w]`` of a picture ``[H, W, 3]`` meet.

    >>> import numpy as np
    >>> lined = outlined(np.full((4, 4, 3), 200, np.uint8), np.array([[0, 1], [0, 1]]))
    >>> (lined[0, :, 0] < 200).tolist()
    [False, True, False, False]
    """
    height, width = picture.shape[:2]
    rows = np.arange(height) * labels.shape[0] // height
    columns = np.arange(width) * labels.shape[1] // width
    parts = labels[rows][:, columns]
    edge = np.zeros((height, width), dtype=bool)
    edge[:, :-1] |= parts[:, :-1] != parts[:, 1:]
    edge[:-1] |= parts[:-1] != parts[1:]
    drawn = picture.astype(np.float64)
    drawn[edge] += opacity * (np.array(INK) - drawn[edge])
    return np.asarray(drawn, dtype=np.uint8)


def signed_form(values: Iterable[float]) -> str:
    """How signed numbers that are read together are written, so that the largest is no 0.00.

    They share their decimals: two, or as many as show two digits of the largest; what is below
    0.0001 is written with its power of ten. 1e-9 and below is rounding.

    >>> [signed_form([v, 0.0]) for v in (5.56, -0.0038, 1e-7, 0.0)]
    ['+.2f', '+.4f', '+.1e', '+.2f']
    """
    largest = max((abs(v) for v in values), default=0.0)
    if not 1e-9 < largest < 0.1:
        return "+.2f"
    return "+.1e" if largest < 1e-4 else f"+.{1 - floor(log10(largest))}f"


def legend(
    width: int,
    limit: float,
    unit: str,
    *,
    signed: bool = True,
    ends: tuple[str, str] = ("against", "for"),
) -> Drawing:
    """A colour bar with its unit, 46 pixels high: ``-limit`` to ``limit``, 0 to it if unsigned.

    ``ends`` are what blue and vermilion speak for.
    """

    def ramp(across: int, down: int) -> ImageArray:
        values = np.linspace(-limit if signed else 0, limit, across)[None].repeat(down, axis=0)
        paper = np.full((down, across, 3), 235, np.uint8)
        return overlay(paper, values, limit, opacity=0.85, signed=signed)

    marks = [(0, "la", "0"), (width, "ra", f"{limit:.3g}")]
    if signed:
        form = signed_form([limit])
        marks = [
            (0, "la", f"{ends[0]} {-limit:{form}}"),
            (width // 2, "ma", "0"),
            (width, "ra", f"{limit:{form}} {ends[1]}"),
        ]
    texts = [Text(x, 15, text, 12, INK, anchor) for x, anchor, text in marks]
    texts.append(Text(width // 2, 31, unit, 11, PALE, "ma"))
    return Drawing(width, 46, (*painted_by(ramp, width, 12).marks, *texts))


def dots(points: FloatArray, side: float, width: float = 4) -> Drawing:
    """Points ``[n, 2]`` in a square as yellow dots in dark rings, which show on any skin.

    Those outside it are left out.

    >>> [len(mark.parts) for mark in dots(np.array([[8.0, 8.0], [4.0, 20.0]]), 16).marks]
    [1, 1]
    """
    inside = ((points >= 0) & (points <= side)).all(axis=1)
    parts = tuple(points[inside, None])
    ring, core = Lines(parts, INK, width + 2), Lines(parts, PLACE, width)
    return Drawing(side, side, (ring, core))


def bars(
    values: Mapping[str, float],
    width: int,
    *,
    colours: Mapping[str, Colour] | None = None,
    texts: Mapping[str, str] | None = None,
    numbers: str | None = None,
    strong: Collection[str] | None = None,
    row: int = 27,
    names: int = 88,
) -> Drawing:
    """Horizontal bars with names and numbers, one per entry, in the order given.

    Signed bars grow from a common zero line; ``numbers`` is how their numbers are written, by
    :func:`signed_form` where None. With ``texts``, which stand in place of the numbers, the values
    are shares and span 0..1, or as far below 0 as the lowest.
    ``strong`` are the entries whose names stand out; the largest where None.
    """
    signed = texts is None
    if texts is None:
        form = signed_form(values.values()) if numbers is None else numbers
        texts = {name: f"{value:{form}}" for name, value in values.items()}
    number_width = max([48, *(length(text, 13) + 8 for text in texts.values())])
    left, right = names, width - number_width
    largest = max((abs(v) for v in values.values()), default=1.0) if signed else 1.0
    low = min([0.0, *values.values()])
    high = max([0.0, *values.values()]) if signed else 1.0
    span = max(high - low, 1e-12)
    zero = left + (right - left) * (0 - low) / span
    marks: list[Mark] = []
    for i, (name, value) in enumerate(values.items()):
        top = i * row + 5
        end = zero + (right - left) * value / span
        default = FOR if value >= 0 else AGAINST
        colour = default if colours is None else colours.get(name, default)
        first = abs(value) >= 0.999 * largest if signed else value == max(values.values())
        ink = INK if (first if strong is None else name in strong) else PALE
        marks.append(Text(left - 8, top + 7, name, 13, ink, "rm"))
        x0, x1 = sorted((zero, end))
        marks.append(Bar(x0, top, max(x1, x0 + 1), top + row - 11, colour))
        marks.append(Text(width - 2, top + 7, texts[name], 13, INK, "rm"))
    high = row * max(len(values), 1)
    return Drawing(width, high, (*marks, Bar(zero, 0, zero + 1, high, RULE)))
