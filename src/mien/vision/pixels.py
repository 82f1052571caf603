"""Pillow's pictures as the one form used inside: RGB, uint8, H x W x 3, upright."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image, ImageFile

from mien.types import ImageArray, InputError
from mien.vision import depth
from mien.vision.depth import strips
from mien.vision.formats import TURNED, Header, orientation
from mien.vision.png import pixels_alone

PIECE: Final = 40_000  # pixels copied at a time: memory for so few is at hand, which is quicker


def decoded(image: ImageFile.ImageFile, header: Header, data: bytes) -> ImageArray:
    """The decoded picture, upright; the decoder's own is given back on the way."""
    size = (image.height, image.width)
    if image.tile and image.tile[0][0] == "ppm":
        _, _, offset, stated = image.tile[0]
        return depth.portable(data, size, offset, len(image.getbands()), stated)
    image.load()
    turn = orientation(image, header.kind)
    if not header.deep or "transparency" in image.info:
        pixels = to_rgb(image, header.stated)
        image.close()
        return upright(pixels, turn)
    # Pillow has proved that the file is whole, which OpenCV does not say
    image.close()
    if header.kind == "TIFF":  # both turn a TIFF upright
        size, turn = (header.height, header.width), 1
    deep = depth.colours(pixels_alone(data), size, header.stated)
    if deep is None:
        raise InputError("its 16 bits a colour cannot be read; save it with 8")
    return upright(deep, turn)


def to_rgb(image: Image.Image, stated: int) -> ImageArray:
    """A loaded picture as ``[H, W, 3]``, row by row, so that no second one is held."""
    width, height = image.size
    if image.mode == "F" or image.mode.startswith("I"):
        grey = depth.floats(image) if image.mode == "F" else depth.whole_numbers(image, stated)
        return np.repeat(grey[:, :, None], 3, axis=2)
    clear = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    for top, bottom in strips(height, width, PIECE):
        part = image.crop((0, top, width, bottom))
        if clear:
            part = part.convert("RGBA")
            white = Image.new("RGBA", part.size, (255, 255, 255, 255))
            part = Image.alpha_composite(white, part)
        pixels[top:bottom] = np.asarray(part if part.mode == "RGB" else part.convert("RGB"))
    return pixels


def upright(pixels: ImageArray, turn: int) -> ImageArray:
    """The picture as people see it, of one that is stored in one of EXIF's eight orientations."""
    if turn in TURNED:
        pixels = pixels.transpose(1, 0, 2)
    down, across = turn in (3, 4, 7, 8), turn in (2, 3, 6, 7)
    return np.ascontiguousarray(pixels[:: -1 if down else 1, :: -1 if across else 1])
