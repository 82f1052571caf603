"""Which files are videos, by their first bytes: nothing that names other files is opened."""

from __future__ import annotations

from typing import Final

MOVIES: Final = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # bytes 4 to 8 of MP4, MOV
STARTS: Final = (
    b"\x1a\x45\xdf\xa3",  # Matroska, WebM
    b"OggS",
    b"FLV",
    b"\x00\x00\x01\xba",  # MPEG program stream
    b"\x00\x00\x01\xb3",  # MPEG video
    b"\x30\x26\xb2\x75",  # ASF, WMV
)
LISTS: Final = (b"#extm3u", b"<mpd", b"ffconcat")  # files that name other files


def is_video(head: bytes) -> bool:
    """Whether a file's first bytes are those of a film, and of no list that names other files.

    The decoder would open what a playlist names, be it a file of this machine or another host.

    >>> is_video(b"....ftypisom"), is_video(b"#EXTM3U http://example.org/a.ts")
    (True, False)
    """
    if any(name in head.lower() for name in LISTS):
        return False
    riff = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    stream = head[:1] == b"\x47" and head[188:189] == b"\x47"
    return riff or stream or head[4:8] in MOVIES or head.startswith(STARTS)
