"""The chunks of a PNG: some can be left out, and some must not be believed."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Chunks of a PNG up to a damaged length: name, all its bytes, whether its checksum fits."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        end = at + 12 + length
        if end > len(data):
            return
        body = data[at + 4 : end - 4]
        fits = zlib.crc32(body) == int.from_bytes(data[end - 4 : end], "big")
        yield body[:4], data[at:end], fits
        at = end


def without_metadata(data: bytes) -> bytes | None:
    """A PNG without texts, profiles and such; None where it has none, or is no PNG.

    What its pixels need stays, damaged or not, and EXIF where it is whole.
    """
    if not data.startswith(SIGNATURE):
        return None
    kept = [SIGNATURE]
    dropped = False
    for name, chunk, fits in chunks(data):
        needed = not name[0] & 0x20 or name == b"tRNS"  # a lower-case letter: ancillary
        if needed or (fits and name in (b"eXIf", b"sBIT")):
            kept.append(chunk)
        else:
            dropped = True
    return b"".join(kept) if dropped else None


def pixels_alone(data: bytes) -> bytes:
    """A PNG of the chunks that its pixels need, up to where it is damaged; other files as they are.

    OpenCV takes a chunk's length for true and makes room for it.
    """
    if not data.startswith(SIGNATURE):
        return data
    needed = [chunk for name, chunk, _ in chunks(data) if name in (b"IHDR", b"IDAT")]
    end = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
    return b"".join([SIGNATURE, *needed, end])


def significant_bits(data: bytes) -> int:
    """The bits of a sample that its file says are in use (``sBIT``); 0 where it does not say."""
    for name, chunk, fits in chunks(data):
        if name == b"sBIT" and fits and len(chunk) > 12:
            return max(chunk[8:-4])
        if name == b"IDAT":
            break
    return 0
