"""Copies of an image that were mirrored, turned or cropped before they were saved again.

What an image's core (the middle of it, which turning leaves within the picture) would look like
after each alteration is hashed, and compared with the cores of all others as they are. Two that
are alike are laid over one another by an affine transform (Evangelidis and Psarakis 2008,
"Parametric image alignment using enhanced correlation coefficient maximization"), so that a turn
by 8 degrees passes as well as one by 10; what decides is the correlation of the aligned cores.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from mien.data.bands import BITS, few, in_buckets
from mien.data.hashes import BLANK, SIDE, normalised, perceptual_hash, thumbnail
from mien.types import FloatArray, ImageArray

CORE: Final = 0.8  # of a side: what is left of a square turned by up to 16 degrees
DEGREES: Final = 10.0
CUT: Final = 0.05  # of a side
TURN, ZOOM, MOVE = 6.0, 0.06, 0.04  # degrees, a part, parts of a side: how far aligning may go
STEPS: Final = 20  # of the alignment
BLUR: Final = 3  # pixels of the Gaussian under which it looks for the way
EVERYWHERE: Final = np.full((2 * SIDE, 2 * SIDE), 255, np.uint8)
CHUNK: Final = 64  # hashes that are compared with all others of a bucket at once


def _matrix(
    *,
    mirrored: bool = False,
    turned: float = 0.0,
    zoom: float = 1.0,
    x: float = 0.0,
    y: float = 0.0,
) -> FloatArray:
    """What leads from pixels of a core ``[2, 3]`` to those of the square that it is taken from."""
    angle, step = math.radians(turned), 2 * CORE * zoom
    turn = step * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    turn = turn @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    middle = np.array([x, y]) * 2 * SIDE + SIDE - 0.5
    offset = middle - turn @ np.full(2, SIDE / 2 - 0.5)
    return np.column_stack([turn, offset]).astype(np.float32)


PLAIN: Final = _matrix()
_HALF: Final = CUT / 2
#: What is looked for, and how a core shows it. Of a crop: the same from all sides, twice as much,
#: and from two sides alone. A turn the other way is the same pair seen from its other image.
ALTERATIONS: Final[tuple[tuple[str, FloatArray], ...]] = (
    ("mirrored", _matrix(mirrored=True)),
    ("turned", _matrix(turned=DEGREES)),
    ("cropped", _matrix(zoom=1 - CUT)),
    ("cropped", _matrix(zoom=1 - 2 * CUT)),
    *(
        ("cropped", _matrix(zoom=1 - CUT, x=x, y=y))
        for x in (-_HALF, _HALF)
        for y in (-_HALF, _HALF)
    ),
)


def core(pixels: FloatArray, matrix: FloatArray = PLAIN) -> FloatArray:
    """The middle of a square ``[64, 64]`` as ``[32, 32] float32``, altered as ``matrix`` says."""
    import cv2

    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(pixels, matrix, (SIDE, SIDE), flags=how, borderMode=cv2.BORDER_REPLICATE)
    )


def core_hashes(image: ImageArray) -> list[int]:
    """Hashes of an image's core as it is and after each alteration; none of an even one."""
    pixels = thumbnail(image, 2 * SIDE)
    plain = core(pixels)
    if float(plain.std()) < BLANK:
        return []
    return [perceptual_hash(plain), *(perceptual_hash(core(pixels, m)) for _, m in ALTERATIONS)]


def candidates(base: sqlite3.Connection) -> None:
    """Fill ``altered`` with pairs whose cores' hashes agree, but for those in ``pairs``."""
    base.executescript(
        "CREATE TABLE altered (a INTEGER, b INTEGER, how INTEGER, correlation REAL,"
        " PRIMARY KEY (a, b, how)) WITHOUT ROWID;"
    )
    table = "(SELECT id, how, cores.hash AS hash, split FROM cores JOIN firsts USING (id))"
    for bucket in in_buckets(base, table, "id, how, hash, split", len(ALTERATIONS) + 1):
        base.executemany("INSERT OR IGNORE INTO altered VALUES (?,?,?,NULL)", _close(bucket))
    base.execute(
        "DELETE FROM altered WHERE EXISTS (SELECT 1 FROM pairs p"
        " WHERE p.a = MIN(altered.a, altered.b) AND p.b = MAX(altered.a, altered.b))"
    )


def _close(bucket: Sequence[tuple[int, int, int, str]]) -> Iterator[tuple[int, int, int]]:
    """Ids of an image as it is and of another one that agrees with it once it is altered."""
    ids, how = np.array([row[:2] for row in bucket]).T
    hashes = np.array([row[2] for row in bucket], dtype=np.uint64)
    sides = np.array([row[3] for row in bucket])
    plain, changed = np.flatnonzero(how == 0), np.flatnonzero(how > 0)
    for start in range(0, len(changed), CHUNK):
        part = changed[start : start + CHUNK]
        differ = np.bitwise_count(hashes[part, None] ^ hashes[plain])
        for i, row in zip(part, differ <= BITS, strict=True):
            if row.any():
                close = plain[row]
                for j in few(close[ids[close] != ids[i]], sides, i):
                    yield int(ids[j]), int(ids[i]), int(how[i])


def verify(base: sqlite3.Connection, correlation: float) -> None:
    """Keep the candidates whose cores correlate when they are laid over one another.

    ``squares`` holds the images of all candidates; of a pair that several alterations explain the
    first stands.
    """
    found = base.cursor().execute(
        "SELECT a, b, how, x.pixels, y.pixels FROM altered"
        " JOIN squares x ON x.id = a JOIN squares y ON y.id = b ORDER BY how, a, b"
    )
    good: dict[tuple[int, int], tuple[int, float]] = {}
    for a, b, how, *blobs in found:
        pair = (min(a, b), max(a, b))
        if pair not in good:
            one, other = (np.frombuffer(v, np.uint8).reshape(2 * SIDE, 2 * SIDE) for v in blobs)
            likeness = aligned(one.astype(np.float32), other.astype(np.float32), how)
            if likeness >= correlation:
                good[pair] = (how, likeness)
    base.execute("DELETE FROM altered")
    base.executemany(
        "INSERT INTO altered VALUES (?,?,?,?)", [(*pair, *rest) for pair, rest in good.items()]
    )


def aligned(one: FloatArray, other: FloatArray, how: int) -> float:
    """Correlation of two cores, one of them altered and moved a little; -1 where none fits.

    ``one`` and ``other`` are squares ``[64, 64] float32``; ``how`` counts alterations from 1.
    """
    import cv2

    start = ALTERATIONS[how - 1][1]
    template = core(one)
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, STEPS, 1e-4)
    try:
        _, found = cv2.findTransformECC(
            template, other, start.copy(), cv2.MOTION_AFFINE, stop, EVERYWHERE, BLUR
        )
    except cv2.error:  # it does not converge: these are two images
        return -1.0
    if not _near(start, np.asarray(found)):
        return -1.0
    return float(normalised(template) @ normalised(core(other, np.asarray(found, np.float32))))


def _near(start: FloatArray, found: FloatArray) -> bool:
    """Whether aligning turned, stretched and moved the core a little only."""
    (a, b), (c, d) = np.linalg.solve(start[:, :2], found[:, :2])
    angle = math.degrees(math.atan2(c - b, a + d))
    stretched = max(abs(math.hypot(a, c) - 1), abs(math.hypot(b, d) - 1))
    middle = np.array([SIDE / 2 - 0.5, SIDE / 2 - 0.5, 1.0])
    moved = float(np.abs((found - start) @ middle).max()) / (2 * SIDE)
    return abs(angle) <= TURN and stretched <= ZOOM and moved <= MOVE
