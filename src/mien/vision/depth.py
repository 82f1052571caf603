"""Pixels of more than 8 bits as 8: the value range comes from the file's header or the picture.

A file of 16 bits a sample often holds a camera's 10, 12 or 14, with nothing above: taken for 16
bits, such a picture is almost black.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from PIL import Image

from mien.types import ImageArray, InputError

Values = np.ndarray[Any, np.dtype[Any]]
STRIP: Final = 500_000  # pixels that are converted at a time, so that temporaries stay small
DEPTHS: Final = (8, 10, 12, 14, 16)


def strips(height: int, width: int, most: int = STRIP) -> Iterator[tuple[int, int]]:
    """Rows ``(from, to)`` of an image, so many at a time that they hold ``most`` pixels at most.

    >>> list(strips(5, 250_000))
    [(0, 2), (2, 4), (4, 5)]
    """
    step = max(most // max(width, 1), 1)
    return ((top, min(top + step, height)) for top in range(0, height, step))


def full_scale(values: Callable[[int, int], Values], size: tuple[int, int], stated: int) -> int:
    """The value that stands for white in whole numbers of up to 32 bits.

    ``values(top, bottom)`` are some rows of the picture, ``size`` its height and width, and
    ``stated`` the bits that the header says are in use, 0 where it says nothing. A header of
    16 bits or more that says nothing is not believed: the depth is then the smallest of 8, 10,
    12, 14 and 16 bits that holds every value. Values that all come from 8 bits spread over 16
    (multiples of 257 or of 256) are 16 bits however dark they are.
    """
    top = 0
    spread = {256, 257}  # what every value so far is a multiple of
    for first, last in strips(*size):
        rows = values(first, last)
        top = max(top, int(rows.max(initial=0)))
        spread = {step for step in spread if not (rows % step).any()}
    if stated and top < 2**stated:
        return int(2**stated - 1)
    if spread and top:
        return max(65535, top)
    return next((2**bits - 1 for bits in DEPTHS if top < 2**bits), top)


def whole_numbers(image: Image.Image, stated: int) -> ImageArray:
    """A loaded image of 16 or 32 bits grey as ``[H, W] uint8``."""
    width, height = image.size

    def values(top: int, bottom: int) -> Values:
        rows = np.asarray(image.crop((0, top, width, bottom)))
        return rows.clip(0) if rows.dtype.kind == "i" else rows

    scale = full_scale(values, (height, width), stated)
    grey = np.empty((height, width), dtype=np.uint8)
    for top, bottom in strips(height, width):
        grey[top:bottom] = to_byte(values(top, bottom), scale)
    return grey


def to_byte(values: Values, scale: int) -> ImageArray:
    """Values in 0..scale as 0..255.

    >>> to_byte(np.array([0, 2048, 4095]), 4095).tolist()
    [0, 128, 255]
    """
    return np.clip(np.round(values * (255 / scale)), 0, 255).astype(np.uint8)


def colours(data: bytes, size: tuple[int, int], stated: int) -> ImageArray | None:
    """A PNG or TIFF of 16 bits a colour as ``[H, W, 3] uint8``, on white; None if it is not one.

    Pillow keeps the upper byte alone, of 12 bits four of them; OpenCV gives all. ``size`` is the
    height and width that the header states.
    """
    import cv2

    pixels: Values | None
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None or pixels.dtype != np.uint16 or pixels.shape[:2] != size:
        return None
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        return None
    deep = pixels
    scale = full_scale(lambda top, bottom: deep[top:bottom, :, :3], size, stated)
    result = np.empty((*size, 3), dtype=np.uint8)
    for top, bottom in strips(*size):
        rows = to_byte(deep[top:bottom, :, 2::-1], scale)
        if deep.shape[2] == 4:
            rows = _on_white(rows, deep[top:bottom, :, 3], scale)
        result[top:bottom] = rows
    return result


def portable(
    data: bytes, size: tuple[int, int], offset: int, bands: int, stated: object
) -> ImageArray:
    """The samples of a binary PGM or PPM, which states its largest value, as ``[H, W, 3] uint8``.

    Pillow reads these one by one in Python. ``stated`` is what it says of them: that value, or
    their mode and that value. Raises InputError where the file is cut short.
    """
    height, width = size
    maximum = int(str(stated[-1] if isinstance(stated, tuple) else stated))
    kind = np.dtype(np.uint8 if maximum < 256 else ">u2")
    count = height * width * bands
    if len(data) - offset < count * kind.itemsize:
        raise InputError("expected an image, but it cannot be read (the file is cut short)")
    samples = np.frombuffer(data, kind, count, offset).reshape(height, width, bands)
    scale = maximum
    if maximum == 65535:
        scale = full_scale(lambda top, bottom: samples[top:bottom], size, 0)
    result = np.empty((height, width, 3), dtype=np.uint8)
    for top, bottom in strips(height, width):
        result[top:bottom] = to_byte(samples[top:bottom], scale)
    return result


def _on_white(rows: ImageArray, alpha: Values, scale: int) -> ImageArray:
    """Colours laid on white; opaque is the colours' own full scale, or 65535 where it is above."""
    opaque = scale if alpha.max(initial=0) <= scale else 65535
    share = (alpha / opaque)[:, :, None]
    return np.round(rows * share + 255 * (1 - share)).astype(np.uint8)


def floats(image: Image.Image) -> ImageArray:
    """A loaded image of floats in 0..1 or 0..255 as ``[H, W] uint8``; InputError for others."""
    width, height = image.size
    low, high = np.inf, -np.inf
    for top, bottom in strips(height, width):
        rows = np.asarray(image.crop((0, top, width, bottom)))
        low, high = min(low, float(rows.min())), max(high, float(rows.max()))
        if not np.isfinite([rows.min(), rows.max()]).all() or low < 0 or high > 255:
            raise InputError(
                f"expected float pixels in 0..1 or 0..255, got {rows.min():g}..{rows.max():g}; "
                "rescale the image"
            )
    grey = np.empty((height, width), dtype=np.uint8)
    for top, bottom in strips(height, width):
        rows = np.asarray(image.crop((0, top, width, bottom)))
        grey[top:bottom] = np.round(rows * (255 if high <= 1 else 1))
    return grey
