"""Read images of every common kind into the one form used inside: RGB, uint8, H x W x 3."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from mien.files import exists
from mien.types import ImageArray, InputError

Source = (
    str | Path | bytes | bytearray | memoryview | io.IOBase | Image.Image | np.ndarray[Any, Any]
)

SMALLEST = 8  # pixels; nothing smaller can hold a face


def read_image(source: Source, *, bgr: bool = False) -> ImageArray:
    """Read one image as RGB ``[H, W, 3] uint8``.

    Parameters
    ----------
    source
        A path, an image file's bytes, an open file, a PIL image, or an array: ``[H, W]`` grey,
        ``[H, W, 3]`` RGB or ``[H, W, 4]`` RGBA, uint8.
    bgr
        Set it for arrays in OpenCV's channel order.

    EXIF rotation is applied, transparency is laid on white, 16 bits are scaled to 8, and of an
    animation the first frame is taken. Raises InputError for anything that is no image.

    >>> import numpy as np
    >>> read_image(np.zeros((32, 48), dtype=np.uint8)).shape
    (32, 48, 3)
    """
    return read_reduced(source, None, bgr=bgr)[0]


def read_reduced(
    source: Source, longest: int | None, *, bgr: bool = False
) -> tuple[ImageArray, float]:
    """Read one image, and how much smaller than its file it was read: 1, 1/2, 1/4 or 1/8.

    A JPEG whose longer side is at least twice ``longest`` pixels is decoded at the smallest of
    these sizes that is not below ``longest``, which takes a fraction of the time; everything else
    is read as :func:`read_image` does.
    """
    scale = 1.0
    if isinstance(source, np.ndarray):
        image = _from_array(source, bgr)
    elif isinstance(source, Image.Image):
        image = _from_pil(source)
    elif isinstance(source, bytes | bytearray | memoryview):
        image, scale = _from_file(io.BytesIO(source), "bytes", longest)
    elif isinstance(source, io.IOBase):
        image, scale = _from_file(io.BytesIO(source.read()), "file", longest)
    elif isinstance(source, str | Path):
        path = Path(source)
        if not exists(path):
            raise InputError(f"{path}: no such file; give the path of an image")
        if path.is_dir():
            raise InputError(f"{path}: expected an image, got a folder")
        image, scale = _from_file(path, str(path), longest)
    else:
        raise InputError(
            "expected a path, bytes, a PIL image or a uint8 array, "
            f"got {type(source).__name__}; convert it first"
        )
    if min(image.shape[:2]) < SMALLEST:
        height, width = image.shape[:2]
        raise InputError(
            f"expected an image of at least {SMALLEST} x {SMALLEST} pixels, got {width} x {height}"
        )
    return image, scale


def _from_array(array: np.ndarray[Any, Any], bgr: bool) -> ImageArray:
    if array.dtype != np.uint8:
        raise InputError(
            f"expected an array of uint8 in 0..255, got {array.dtype}; "
            "scale it and call .astype('uint8')"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim == 2:
        return np.ascontiguousarray(np.repeat(array[:, :, None], 3, axis=2))
    if array.ndim != 3 or array.shape[2] not in (3, 4):
        raise InputError(
            "expected an array of shape [H, W], [H, W, 3] or [H, W, 4], "
            f"got {list(array.shape)}; give one image at a time or a list of images"
        )
    if bgr:
        array = array[:, :, [2, 1, 0, *range(3, array.shape[2])]]
    if array.shape[2] == 4:
        return _from_pil(Image.fromarray(np.ascontiguousarray(array)))
    return np.ascontiguousarray(array)


def _from_file(
    file: Path | io.BytesIO, name: str, longest: int | None = None
) -> tuple[ImageArray, float]:
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata and of very large images; both are read all the same
            warnings.simplefilter("ignore")
            with Image.open(file) as image:
                scale = 1.0 if longest is None else _draft(image, longest)
                return _from_pil(image), scale
    except InputError:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise InputError(f"{name}: the image is too large to read; shrink it first") from error
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files
        raise InputError(
            f"{name}: expected an image, but it cannot be read ({_short(error)})"
        ) from error


def _draft(image: Image.Image, longest: int) -> float:
    """Ask the JPEG decoder for a smaller picture; the scale that it will give."""
    width, height = image.size
    if image.format != "JPEG" or max(width, height) < 2 * longest:
        return 1.0
    shrink = longest / max(width, height)
    image.draft(None, (int(np.ceil(width * shrink)), int(np.ceil(height * shrink))))
    return max(image.size) / max(width, height)


def _short(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "unknown or damaged format" if text.startswith("cannot identify") else text


def _from_pil(image: Image.Image) -> ImageArray:
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        image = Image.fromarray(_deep_to_byte(np.asarray(image)))
    elif image.mode == "F":
        image = Image.fromarray(_float_to_byte(np.asarray(image)))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba)
    return np.array(image.convert("RGB"))


def _deep_to_byte(values: np.ndarray[Any, Any]) -> ImageArray:
    """16-bit (or 32-bit integer) grey to 8 bits; a file that only uses 8 bits is kept."""
    top = int(values.max(initial=0))
    scale = 1.0 if top <= 255 else 65535 / 255 if top <= 65535 else top / 255
    return np.clip(np.round(values / scale), 0, 255).astype(np.uint8)


def _float_to_byte(values: np.ndarray[Any, Any]) -> ImageArray:
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all() or low < 0 or high > 255:
        raise InputError(
            f"expected float pixels in 0..1 or 0..255, got {low:g}..{high:g}; rescale the image"
        )
    return np.round(values * (255 if high <= 1 else 1)).astype(np.uint8)
