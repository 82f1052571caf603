"""The formats of images that are read, what their headers say, and how a file of one is opened.

No other format is ever decoded: Pillow would run a PostScript file, or read what its name does
not say. The format that is judged by its header is the format that is decoded.
"""

from __future__ import annotations

import importlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image, ImageFile

from mien.extras import present
from mien.types import InputError
from mien.vision import png
from mien.vision.memory import TooLargeError

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM")
HEIF: Final = "HEIF"  # read where pillow-heif is installed
ORIENTATION: Final = 0x0112
TURNED: Final = frozenset((5, 6, 7, 8))  # EXIF orientations that swap width and height
_HEIC: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
_PLAIN: Final = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2}  # others take 4
#: Bytes per pixel that decoders hold besides the picture, as measured, with a margin.
_BESIDES: Final = {"WEBP": 14, "AVIF": 12, "HEIF": 12, "JPEG2000": 20}


@dataclass(frozen=True)
class Header:
    """What an image's header says: no pixel has been decoded.

    ``width`` and ``height`` are those that people see, after EXIF's rotation. ``mode`` is Pillow's
    (``RGB``, ``L``, ``P``...), ``deep`` says that colours have 16 bits, ``stated`` how many bits
    of a sample are in use where the header tells, else 0; ``transparent`` that the picture may
    be. ``buffers`` are the bytes that its decoder holds besides, ``size`` is that of the file.
    """

    kind: str
    mode: str
    width: int
    height: int
    deep: bool = False
    stated: int = 0
    transparent: bool = False
    progressive: bool = False
    buffers: int = 0
    size: int = 0

    @property
    def pixels(self) -> int:
        """How many there are."""
        return self.width * self.height

    def decoding_bytes(self, scale: float = 1.0) -> int:
        """The most memory that decoding takes, at a scale of 1, 1/2, 1/4 or 1/8 of a JPEG.

        It holds the file, the decoder's picture and buffers, and the result of 3 bytes a pixel.
        """
        decoded = int(self.pixels * scale**2)
        each = _PLAIN.get(self.mode, 4) + 3 + (self.mode[0] in "IF")  # these become grey first
        if self.deep:
            each = 17 + 3  # OpenCV's 16-bit picture and its frame, as measured
        # a progressive JPEG is decoded from the coefficients of the whole picture
        whole = (6 if self.progressive else 0) + _BESIDES.get(self.kind, 0)
        return decoded * each + self.pixels * whole + self.buffers + self.size

    @property
    def result_bytes(self) -> int:
        """The memory of the picture once it is read."""
        return 3 * self.pixels


@contextmanager
def opened(data: bytes, name: str) -> Iterator[ImageFile.ImageFile]:
    """A file's picture, not yet decoded, of one of the known formats.

    Raises InputError for what is no image of a known format.
    """
    if not data:
        raise InputError(f"{name}: expected an image, but the file is empty; copy it again")
    with warnings.catch_warnings():
        # Pillow warns of odd metadata and of very large images; both are judged elsewhere
        warnings.simplefilter("ignore")
        image = _open(data, name)
        with image:
            yield image


def _open(data: bytes, name: str) -> ImageFile.ImageFile:
    formats: tuple[str, ...] = FORMATS
    if is_heic(data):
        if not _has_heif():
            raise InputError(
                f"{name}: HEIC pictures need the package 'pillow-heif', which is not installed; "
                "run: pip install pillow-heif, or save it as JPEG"
            )
        formats = (HEIF,)
    try:
        return Image.open(io.BytesIO(data), formats=formats)
    except Image.DecompressionBombError as error:
        raise TooLargeError(f"{name}: the image is too large to read; shrink it first") from error
    except Exception as error:  # Pillow's parsers raise many kinds on damaged files
        raise InputError(
            f"{name}: expected an image, but it cannot be read ({short(error)}); expected "
            f"{', '.join(FORMATS)}"
        ) from error


def short(error: BaseException) -> str:
    """The first line of an error of Pillow's, in plain words where it has none."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "unknown or damaged format" if text.startswith("cannot identify") else text


def is_heic(data: bytes) -> bool:
    """Whether a file says that it is a HEIC picture, as phones make them."""
    if data[4:8] != b"ftyp":
        return False
    brands = data[8:12] + data[16 : min(int.from_bytes(data[:4], "big"), 256)]
    names = {brands[i : i + 4] for i in range(0, len(brands), 4)}
    return bool(names & set(_HEIC)) and not names & {b"avif", b"avis"}


def _has_heif() -> bool:
    """Whether pillow-heif is installed; Pillow then knows it."""
    if not present("pillow_heif"):
        return False
    importlib.import_module("pillow_heif").register_heif_opener()
    return True


def read_header(data: bytes, name: str = "image") -> Header:
    """Format and size of an image file's bytes, from its header alone.

    Raises InputError for what is no image of a known format.
    """
    try:
        with opened(data, name) as image:
            return header_of(image, data)
    except InputError:
        bare = png.without_metadata(data)
        if bare is None:
            raise
        with opened(bare, name) as image:
            return header_of(image, bare)


def header_of(image: ImageFile.ImageFile, data: bytes) -> Header:
    """The header of a picture that is opened and not yet decoded."""
    kind = HEIF if image.format == HEIF else str(image.format)
    kind = "JPEG" if kind == "MPO" else kind  # several JPEGs in one file; the first is read
    width, height = image.size
    if kind == "TIFF":
        tags = _tags(image)
        width, height = int(tags.get(256, width)), int(tags.get(257, height))
    if orientation(image, kind) in TURNED:
        width, height = height, width
    rawmode = " ".join(str(tile[3]) for tile in image.tile)
    return Header(
        kind=kind,
        mode=image.mode,
        width=width,
        height=height,
        deep=";16" in rawmode and image.mode in ("RGB", "RGBA"),
        stated=_stated_bits(image, kind, data),
        transparent="A" in image.mode or "a" in image.mode or "transparency" in image.info,
        progressive=bool(image.info.get("progressive") or image.info.get("progression")),
        buffers=_buffers(image, kind),
        size=len(data),
    )


def orientation(image: Image.Image, kind: str) -> int:
    """EXIF's orientation, 1 to 8; 1 where there is none, or none that can be read."""
    # Pillow would decode a PNG to look for metadata behind its pixels
    waits = isinstance(image, ImageFile.ImageFile) and image.tile
    if kind == "PNG" and waits and "exif" not in image.info:
        return 1
    try:
        found = image.getexif().get(ORIENTATION)
    except Exception:  # of metadata only this number is needed: odd ones must not cost the picture
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _tags(image: ImageFile.ImageFile) -> Any:
    """The tags of a TIFF."""
    return getattr(image, "tag_v2", {})


def _stated_bits(image: ImageFile.ImageFile, kind: str, data: bytes) -> int:
    """How many bits of a sample the header says are in use; 0 where it does not say."""
    if kind == "JPEG2000":
        return 16  # Pillow spreads fewer bits over all 16
    if kind == "PPM":
        # only a stated maximum of 65535 comes as it stands in the file
        return 0 if image.tile and image.tile[0][0] == "raw" else 16
    if kind == "PNG":
        return png.significant_bits(data)
    if kind == "TIFF":
        tags = _tags(image)
        bits = tags.get(258) or (0,)
        found = [bits[0] if isinstance(bits, tuple) else bits]
        for tag in (281, 341):  # the largest value used, and its twin for signed and floats
            value = tags.get(tag)
            most = max(value) if isinstance(value, tuple) and value else value
            if isinstance(most, int | float) and 0 < most < 2**32:
                found.append(int(most).bit_length())
        smallest = min(found)
        return smallest if isinstance(smallest, int) and smallest not in (16, 32) else 0
    return 0


def _buffers(image: ImageFile.ImageFile, kind: str) -> int:
    """Bytes of the pieces that a TIFF is decoded in, which may be larger than the picture."""
    if kind != "TIFF":
        return 0
    tags = _tags(image)
    try:
        bits = tags.get(258) or (1,)
        each = sum(bits) / 8 if len(bits) > 1 else bits[0] * tags.get(277, 1) / 8
        rows = min(tags.get(278) or tags[257], tags[257])
        wide, high = tags.get(322) or tags[256], tags.get(323) or rows
        return int(wide * high * each)
    except (KeyError, TypeError, ValueError, IndexError):
        return 0
