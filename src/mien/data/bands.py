"""Rows of a base whose perceptual hashes may differ in few bits, without comparing all of them.

Only hashes that agree on a band are compared (Manku et al. 2007, "Detecting near-duplicates for
web crawling").
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from mien.types import IntArray

BITS: Final = 8  # perceptual hashes that differ in at most so many of 63 bits are compared
#: Shift and width of parts of the hash. Two hashes within 4 bits agree on one of the five for
#: sure, within 6 or 8 bits mostly.
BANDS: Final = ((0, 13), (13, 13), (26, 13), (39, 12), (51, 12))
BUCKET: Final = 2000  # images that share a band: compared within windows of this size
PARTNERS: Final = 25  # of one image, on its own side and on others: frames of a video are all alike


def in_buckets(
    base: sqlite3.Connection, table: str, columns: str, each: int = 1
) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of a table with the columns ``id`` and ``hash`` that agree on a band, in windows.

    ``each`` is how many rows one image has.
    """
    for shift, width in BANDS:
        part = f"(hash >> {shift}) & {(1 << width) - 1}"
        query = f"SELECT {part}, {columns} FROM {table} ORDER BY 1, id"
        found = base.cursor().execute(query)
        for _, members in itertools.groupby(found, key=lambda row: row[0]):
            while len(bucket := list(itertools.islice(members, BUCKET * each))) > 1:
                yield [row[1:] for row in bucket]


def few(close: IntArray, sides: Any, of: int) -> IntArray:
    """Partners of a row, at most :data:`PARTNERS` of its own side and as many of others.

    So the pairs grow with the images and not with their square.
    """
    if len(close) <= PARTNERS:
        return close
    own = sides[close] == sides[of]
    return np.concatenate([close[own][:PARTNERS], close[~own][:PARTNERS]])
