"""Pictures: arrays in, arrays out. Display scaling happens here and nowhere else."""

from __future__ import annotations

import base64
import io
from collections.abc import Collection, Mapping, Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mien.types import FloatArray, ImageArray, IntArray

Colour = tuple[int, int, int]

INK: Colour = (30, 34, 40)
PALE: Colour = (112, 118, 128)
RULE: Colour = (214, 218, 224)
PAPER: Colour = (255, 255, 255)
FOR: Colour = (213, 94, 0)  # vermilion and blue of Okabe and Ito: safe for colour-blind readers
AGAINST: Colour = (0, 114, 178)
LOOK: Colour = (0, 158, 115)  # bluish green of the same palette: neither for nor against


def png(picture: ImageArray) -> bytes:
    """A picture ``[H, W, 3] uint8`` as a PNG file.

    >>> png(np.zeros((2, 2, 3), np.uint8))[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


def data_url(picture: ImageArray | bytes) -> str:
    """A picture, or the PNG file that it is, as an address that holds it, for HTML.

    >>> data_url(b"")
    'data:image/png;base64,'
    """
    content = picture if isinstance(picture, bytes) else png(picture)
    return "data:image/png;base64," + base64.b64encode(content).decode()


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own scalable font in one size, in pixels."""
    return ImageFont.load_default(size)


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


def legend(
    width: int,
    limit: float,
    unit: str,
    *,
    signed: bool = True,
    ends: tuple[str, str] = ("against", "for"),
) -> ImageArray:
    """A colour bar with its unit, 46 pixels high: ``-limit`` to ``limit``, 0 to it if unsigned.

    ``ends`` are what blue and vermilion speak for.
    """
    ramp = np.linspace(-limit if signed else 0, limit, width)[None].repeat(12, axis=0)
    paper = np.full((12, width, 3), 235, np.uint8)
    bar = overlay(paper, ramp, limit, opacity=0.85, signed=signed)
    picture = Image.new("RGB", (width, 46), PAPER)
    picture.paste(Image.fromarray(bar), (0, 0))
    pen = ImageDraw.Draw(picture)
    marks = [(0, "la", "0"), (width, "ra", f"{limit:.3g}")]
    if signed:
        marks = [
            (0, "la", f"{ends[0]} {-limit:.2f}"),
            (width // 2, "ma", "0"),
            (width, "ra", f"{limit:+.2f} {ends[1]}"),
        ]
    for x, anchor, text in marks:
        pen.text((x, 15), text, fill=INK, font=font(12), anchor=anchor)
    pen.text((width // 2, 31), unit, fill=PALE, font=font(11), anchor="ma")
    return np.array(picture)


def bars(
    values: Mapping[str, float],
    width: int,
    *,
    colours: Mapping[str, Colour] | None = None,
    texts: Mapping[str, str] | None = None,
    numbers: str = "+.2f",
    strong: Collection[str] | None = None,
    row: int = 27,
    names: int = 88,
) -> ImageArray:
    """Horizontal bars with names and numbers, one per entry, in the order given.

    Signed bars grow from a common zero line; ``numbers`` is how their numbers are written. With
    ``texts``, which stand in place of the numbers, the values are probabilities and span 0..1.
    ``strong`` are the entries whose names stand out; the largest where None.
    """
    signed = texts is None
    name_width, number_width = names, 48
    left, right = name_width, width - number_width
    largest = max((abs(v) for v in values.values()), default=1.0) if signed else 1.0
    low = min([0.0, *values.values()]) if signed else 0.0
    high = max([0.0, *values.values()]) if signed else 1.0
    span = max(high - low, 1e-12)
    zero = left + (right - left) * (0 - low) / span
    picture = Image.new("RGB", (width, row * max(len(values), 1)), PAPER)
    pen = ImageDraw.Draw(picture)
    for i, (name, value) in enumerate(values.items()):
        top = i * row + 5
        end = zero + (right - left) * value / span
        default = FOR if value >= 0 else AGAINST
        colour = default if colours is None else colours.get(name, default)
        first = abs(value) >= 0.999 * largest if signed else value == max(values.values())
        ink = INK if (first if strong is None else name in strong) else PALE
        pen.text((left - 8, top + 7), name, fill=ink, font=font(13), anchor="rm")
        x0, x1 = sorted((zero, end))
        pen.rectangle((x0, top, max(x1, x0 + 1), top + row - 12), fill=colour)
        text = f"{value:{numbers}}" if texts is None else texts[name]
        pen.text((width - 2, top + 7), text, fill=INK, font=font(13), anchor="rm")
    pen.line((zero, 0, zero, picture.height), fill=RULE)
    return np.array(picture)


def wrapped(text: str, width: int, size: int, colour: Colour = INK) -> ImageArray:
    """Text broken into lines of at most ``width`` pixels."""
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if pen.textlength(longer, font=font(size)) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    step = round(size * 1.35)
    picture = Image.new("RGB", (width, step * len(lines)), PAPER)
    pen = ImageDraw.Draw(picture)
    for i, line in enumerate(lines):
        pen.text((0, i * step), line, fill=colour, font=font(size))
    return np.array(picture)


def stack(parts: Sequence[ImageArray], gap: int = 0) -> ImageArray:
    """Pictures below one another on white, left-aligned, ``gap`` pixels apart."""
    width = max(part.shape[1] for part in parts)
    rows: list[ImageArray] = []
    for i, part in enumerate(parts):
        if i and gap:
            rows.append(np.full((gap, width, 3), 255, np.uint8))
        pad = width - part.shape[1]
        rows.append(np.pad(part, ((0, 0), (0, pad), (0, 0)), constant_values=255))
    return np.concatenate(rows)


def side_by_side(parts: Sequence[ImageArray], gap: int) -> ImageArray:
    """Pictures beside one another on white, top-aligned, ``gap`` pixels apart."""
    turned = [part.transpose(1, 0, 2) for part in parts]
    return np.ascontiguousarray(stack(turned, gap).transpose(1, 0, 2))


def frame(picture: ImageArray, margin: int) -> ImageArray:
    """The picture with a white margin."""
    return np.pad(picture, ((margin, margin), (margin, margin), (0, 0)), constant_values=255)
