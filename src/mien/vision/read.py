"""Read images of every common kind into the one form used inside: RGB, uint8, H x W x 3."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np
from PIL import Image, ImageFile

from mien.files import exists
from mien.types import ImageArray, InputError, InputTypeError
from mien.vision import formats, png
from mien.vision.arrays import from_array, is_array
from mien.vision.find import is_url
from mien.vision.formats import FORMATS, HEIF, Header, header_of, opened, orientation, short
from mien.vision.memory import TooLargeError, budget, decoding
from mien.vision.pixels import decoded, to_rgb, upright

Source = (
    str | Path | bytes | bytearray | memoryview | io.IOBase | Image.Image | np.ndarray[Any, Any]
)

SMALLEST: Final = 8  # pixels; nothing smaller can hold a face
EOI: Final = b"\xff\xd9"  # ends a JPEG
VIDEOS: Final = frozenset({
    ".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".webm",
    ".wmv",
})  # fmt: skip
PIECE: Final = 1 << 20  # bytes of an open file that are read at a time


def read_image(source: Source, *, bgr: bool = False) -> ImageArray:
    """Read one image as RGB ``[H, W, 3] uint8``.

    Parameters
    ----------
    source
        A path, an image file's bytes, an open file, a PIL image, or an array: ``[H, W]`` grey,
        ``[H, W, 3]`` RGB or ``[H, W, 4]`` RGBA, of uint8 in 0..255 or floats in 0..1. Tensors of
        torch and others are taken, too, on any device, and channels may come first: where the
        first of three sizes is 1, 3 or 4 and the last is not, it is ``[C, H, W]``.
    bgr
        Set it for arrays in OpenCV's channel order.

    EXIF rotation is applied, transparency is laid on white, and of an animation the first frame
    is taken. Of 16 bits, those in use are scaled to 8 (see :func:`mien.vision.depth.full_scale`).
    Files of the formats in :data:`mien.vision.formats.FORMATS` are read, and HEIC where
    ``pillow-heif`` is installed. Raises InputError for anything else, and for a picture whose
    decoding would take more than :func:`mien.vision.memory.budget`.

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
    these sizes that is not below ``longest``, which takes a fraction of time and memory;
    everything else is read as :func:`read_image` does.
    """
    scale = 1.0
    if is_array(source):
        image = from_array(source, bgr=bgr)
    elif isinstance(source, Image.Image):
        image = _from_pil(source)
    else:
        image, scale, _, _ = read_file(*read_bytes(source), longest)
    return _large_enough(image), scale


def _large_enough(image: ImageArray, name: str = "") -> ImageArray:
    """The image; InputError for one that is too small to hold a face."""
    if min(image.shape[:2]) < SMALLEST:
        height, width = image.shape[:2]
        raise InputError(
            f"{name}{': ' if name else ''}expected an image of at least {SMALLEST} x {SMALLEST} "
            f"pixels, got {width} x {height}"
        )
    return image


def read_header(source: Source) -> Header:
    """Format, size and cost of an image file, from its header alone: no pixel is decoded.

    ``source`` is a path, a file's bytes or an open file, as for :func:`read_image`. Raises
    InputError for what is no image of a known format; whether it is too large is the caller's to
    judge, by ``pixels`` or ``decoding_bytes()``.
    """
    data, name = read_bytes(source)
    return formats.read_header(data, name)


def read_bytes(source: Source) -> tuple[bytes, str]:
    """The bytes of a file, and its name for messages.

    Raises InputError where there is no such file, where it is none (a folder, a pipe, a device),
    where it cannot be read, or where it is larger than the budget.
    """
    most = budget()
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source), "bytes"
    if isinstance(source, str | Path):
        path = Path(source)
        check_file(path)
        try:
            if path.stat().st_size > most:
                raise _too_large(str(path), most)
            return path.read_bytes(), str(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    if isinstance(source, io.IOBase):
        return _rest_of(source, "file"), "file"
    raise _no_image(source)


def is_image(source: object) -> bool:
    """Whether an object is one image, whatever it holds: a path, bytes, a file, an array."""
    kinds = str | Path | bytes | bytearray | memoryview | io.IOBase | Image.Image
    return isinstance(source, kinds) or is_array(source)


def check_kind(source: object) -> None:
    """Raise InputTypeError for an object that cannot be an image, whatever it holds."""
    if not is_image(source):
        raise _no_image(source)


def _no_image(source: object) -> InputTypeError:
    return InputTypeError(
        "expected a path, bytes, an open file, a PIL image, an array or a tensor, "
        f"got {type(source).__name__}; convert it first"
    )


def _rest_of(file: IO[bytes] | io.IOBase, name: str) -> bytes:
    """What an open file still holds, in pieces: its length is not known, nor whether it ends."""
    most = budget()
    pieces: list[bytes] = []
    size = 0
    while True:
        try:
            piece = file.read(PIECE)
        except InputError:
            raise
        except Exception as error:  # whatever a file object of others raises
            raise InputError(f"{name}: cannot be read ({short(error)})") from error
        if not isinstance(piece, bytes):
            raise InputError("expected a file opened for bytes ('rb'), got one opened for text")
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        size += len(piece)
        if size > most:
            raise _too_large(name, most)


def check_file(path: Path) -> None:
    """Raise InputError where a path is no file that can be read to its end."""
    if is_url(path):
        address = re.sub(":/+", "://", str(path), count=1)
        raise InputError(
            f"{address}: is a URL, which is not read here; download it first, or see mien batch"
        )
    if not exists(path):
        raise InputError(f"{path}: no such file; give the path of an image")
    if path.is_dir():
        raise InputError(f"{path}: expected an image, got a folder")
    if not path.is_file():
        raise InputError(f"{path}: expected an image file, got a pipe, a socket or a device")
    if path.suffix.lower() in VIDEOS:
        raise InputError(
            f"{path}: expected an image, got a video; use mien video, or mien.video.analyse"
        )


def _too_large(name: str, most: int) -> TooLargeError:
    return TooLargeError(f"{name}: expected a file of at most {most / 1e9:.1f} GB; shrink it first")


def _from_pil(image: Image.Image) -> ImageArray:
    """A PIL image; one that is still a file is read as that file, where it is the first frame."""
    if isinstance(image, ImageFile.ImageFile) and image.tile:
        if image.format not in (*FORMATS, HEIF, "MPO"):
            raise InputError(
                f"expected an image of {', '.join(FORMATS)}, got one of {image.format}; "
                "convert it first"
            )
        if image.fp is not None and not image.tell():
            data, name = _file_of(image)
            if formats.read_header(data, name).pixels == image.width * image.height:
                return read_file(data, name).pixels  # else it was asked for a smaller picture
    try:
        image.load()
        return upright(to_rgb(image, 0), orientation(image, str(image.format)))
    except InputError:
        raise
    except Exception as error:  # a closed image, a later frame that is damaged
        raise InputError(
            f"expected an image, but it cannot be read ({short(error)}); open it again"
        ) from error


def _file_of(image: ImageFile.ImageFile) -> tuple[bytes, str]:
    """The bytes of the file behind a PIL image, and its name."""
    name = str(getattr(image, "filename", "") or "image")
    try:
        assert image.fp is not None
        place = image.fp.tell()
        image.fp.seek(0)
        data = _rest_of(image.fp, name)
        image.fp.seek(place)
    except InputError:
        raise
    except Exception as error:  # whatever a file object of others raises
        raise InputError(f"{name}: cannot be read ({short(error)})") from error
    return data, name


class Picture(NamedTuple):
    """What a file holds: pixels ``[H, W, 3]``, at which scale, by which header.

    ``mended`` says that the file is damaged in a way that does not touch its pixels.
    """

    pixels: ImageArray
    scale: float
    header: Header
    mended: bool = False


def read_file(data: bytes, name: str, longest: int | None = None) -> Picture:
    """The picture in a file's bytes; ``name`` is for messages, ``longest`` as above.

    Raises InputError as :func:`read_image` does.
    """
    try:
        found = _attempt(data, name, longest)
    except InputError:
        mended = _mended(data, name, longest)
        if mended is None:
            raise
        found = mended._replace(mended=True)
    return found._replace(pixels=_large_enough(found.pixels, name))


def _attempt(data: bytes, name: str, longest: int | None) -> Picture:
    with opened(data, name) as image:
        header = header_of(image, data)
        scale = 1.0 if longest is None else _draft(image, header, longest)
        with decoding(name, header.decoding_bytes(scale)):
            try:
                return Picture(decoded(image, header, data), scale, header)
            except InputError as error:
                raise InputError(f"{name}: {error}") from error
            except MemoryError as error:
                raise TooLargeError(f"{name}: the image is too large to read; shrink it") from error
            except Exception as error:  # Pillow's decoders raise many kinds on damaged files
                raise InputError(
                    f"{name}: expected an image, but it cannot be read ({short(error)})"
                ) from error


def _mended(data: bytes, name: str, longest: int | None) -> Picture | None:
    """A damaged file's picture where all of its pixels are there, else None.

    A PNG is read without its metadata. A JPEG may lack its end marker and nothing else: a decoder
    fills what is missing with grey and says nothing, so it is given two different endings; if
    they change the picture, some of it was still to come.
    """
    try:
        bare = png.without_metadata(data)
        if bare is not None:
            return _attempt(bare, name, longest)
        if data.startswith(b"\xff\xd8"):
            rest = data.removesuffix(EOI[:1])
            digest = _digest(_attempt(rest + EOI, name, longest))
            other = _attempt(rest + bytes(range(0x40, 0x80)) + EOI, name, longest)
            return other if _digest(other) == digest else None
    except InputError:
        pass
    return None


def _digest(picture: Picture) -> bytes:
    return hashlib.blake2b(picture.pixels.data).digest()


def _draft(image: ImageFile.ImageFile, header: Header, longest: int) -> float:
    """Ask the JPEG decoder for a smaller picture; the scale that it will give."""
    width, height = image.size
    if header.kind != "JPEG" or max(width, height) < 2 * longest:
        return 1.0
    shrink = longest / max(width, height)
    image.draft(None, (int(np.ceil(width * shrink)), int(np.ceil(height * shrink))))
    return max(image.size) / max(width, height)
