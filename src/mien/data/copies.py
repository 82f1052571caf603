"""Hashes of all images of a file in a temporary SQLite base, and which of them are copies.

The base lies on disk, so that memory does not grow with the number of rows.
"""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mien.data.hashes import is_blank, normalised, perceptual_hash, thumbnail
from mien.data.table import ImageTable, image_bytes, image_path, pixel_hash
from mien.types import InputError
from mien.vision.read import read_image

BITS = 8  # perceptual hashes that differ in at most so many of 63 bits are compared
#: Shift and width of parts of the hash. Two hashes within 4 bits agree on one of the five for
#: sure, within 6 or 8 bits mostly.
BANDS = ((0, 13), (13, 13), (26, 13), (39, 12), (51, 12))
CORRELATION = 0.98  # of thumbnails, from which two images are near duplicates
BUCKET = 2000  # images that share a band: compared within windows of this size
PARTNERS = 25  # of one image, on its own side and on others: frames of a video are all alike


def alike(
    path: str | Path,
    *,
    correlation: float = CORRELATION,
    advance: Callable[[int], object] | None = None,
) -> list[tuple[int, int]]:
    """Pairs of rows of near duplicates, smaller row first; of exact copies the first stands."""
    with hashed(ImageTable(Path(path)), True, correlation, advance) as base:
        return base.execute("SELECT a, b FROM pairs ORDER BY a, b").fetchall()


@contextmanager
def hashed(
    source: ImageTable, near: bool, correlation: float, advance: Callable[[int], object] | None
) -> Iterator[sqlite3.Connection]:
    """A temporary base with the hashes of all rows and, with ``near``, the verified pairs."""
    if not source.rows:
        raise InputError(f"{source.path}: expected rows, got an empty table")
    with tempfile.TemporaryDirectory(prefix="mien-check-") as folder:
        base = sqlite3.connect(Path(folder) / "hashes.sqlite", isolation_level=None)
        try:
            base.executescript(
                "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-32000;"
                "PRAGMA temp_store=FILE;"
                "CREATE TABLE rows (id INTEGER PRIMARY KEY, path TEXT, label TEXT, split TEXT,"
                " subject TEXT, pixels TEXT, phash INTEGER, blank INTEGER, error TEXT);"
            )
            _hash_all(base, source, near, advance)
            base.execute("CREATE INDEX by_pixels ON rows (pixels, split, label)")
            if near:
                _near_pairs(base)
                _verify(base, source, correlation)
            yield base
        finally:
            base.close()


def _hash_all(
    base: sqlite3.Connection,
    source: ImageTable,
    near: bool,
    advance: Callable[[int], object] | None,
) -> None:
    side = "fold" if "fold" in source.names else "split"
    columns = [n for n in ("image", "label", side, "subject", "source") if n in source.names]
    number = 0
    for batch in source.batches(columns):
        records: list[tuple[Any, ...]] = []
        columns_of = (source.values(batch, n) for n in ("label", side, "subject", "source"))
        images = batch.column("image").to_pylist()
        for image, label, split, subject, origin in zip(images, *columns_of, strict=True):
            name = image_path(image) or f"row {number}"
            # people of two data sets may have one number: they are not one person
            person = None if subject is None else f"{origin}/{subject}" if origin else subject
            where = "none" if split is None else f"fold {split}" if side == "fold" else split
            head = (number, name, label, where, person)
            number += 1
            try:
                pixels = read_image(image_bytes(image))
            except InputError as error:
                records.append((*head, None, None, 0, str(error).removeprefix("bytes: ")))
                continue
            blank = is_blank(pixels)
            phash = None
            if near and not blank:
                phash = perceptual_hash(thumbnail(pixels))
            records.append((*head, pixel_hash(pixels), phash, int(blank), None))
        base.execute("BEGIN")
        base.executemany("INSERT INTO rows VALUES (?,?,?,?,?,?,?,?,?)", records)
        base.execute("COMMIT")
        if advance is not None:
            advance(number)


def _near_pairs(base: sqlite3.Connection) -> None:
    """Fill ``pairs`` with rows whose hashes differ in few bits; of exact copies one stands for all.

    Only hashes that agree on a band are compared (Manku et al. 2007, "Detecting near-duplicates
    for web crawling").
    """
    base.executescript(
        "CREATE TABLE pairs (a INTEGER, b INTEGER, correlation REAL, PRIMARY KEY (a, b))"
        " WITHOUT ROWID;"
        "CREATE TABLE firsts AS SELECT MIN(id) AS id, phash, split FROM rows"
        " WHERE phash IS NOT NULL GROUP BY pixels;"
    )
    for shift, width in BANDS:
        part = f"(phash >> {shift}) & {(1 << width) - 1}"
        found = base.cursor().execute(f"SELECT {part}, id, phash, split FROM firsts ORDER BY 1, 2")
        for _, members in itertools.groupby(found, key=lambda row: row[0]):
            while len(bucket := list(itertools.islice(members, BUCKET))) > 1:
                base.executemany("INSERT OR IGNORE INTO pairs VALUES (?,?,NULL)", _close(bucket))


def _close(bucket: list[tuple[int, int, int, str]]) -> Iterator[tuple[int, int]]:
    """Pairs of ids, smaller first, whose hashes differ in at most :data:`BITS` bits.

    Each image is paired with at most :data:`PARTNERS` later ones of its own side and as many of
    others, so that the pairs grow with the images and not with their square.
    """
    ids = np.array([row[1] for row in bucket])
    hashes = np.array([row[2] for row in bucket], dtype=np.uint64)
    sides = np.array([row[3] for row in bucket])
    for i in range(len(ids) - 1):
        differ = np.bitwise_count(hashes[i + 1 :] ^ hashes[i])
        close = np.flatnonzero(differ <= BITS) + i + 1
        if len(close) > PARTNERS:
            own = sides[close] == sides[i]
            close = np.concatenate([close[own][:PARTNERS], close[~own][:PARTNERS]])
        for j in close:
            yield int(ids[i]), int(ids[j])


def _verify(base: sqlite3.Connection, source: ImageTable, correlation: float) -> None:
    """Keep the pairs whose thumbnails correlate; only the images in pairs are decoded again."""
    base.execute("CREATE TABLE small (id INTEGER PRIMARY KEY, pixels BLOB)")
    wanted = base.cursor().execute("SELECT a FROM pairs UNION SELECT b FROM pairs ORDER BY 1")
    upcoming = next(wanted, (None,))[0]
    start = 0
    for batch in source.batches(["image"]):
        column = batch.column("image")
        base.execute("BEGIN")
        while upcoming is not None and upcoming < start + len(batch):
            pixels = read_image(image_bytes(column[upcoming - start].as_py()))
            vector = normalised(thumbnail(pixels)).astype(np.float16).tobytes()
            base.execute("INSERT INTO small VALUES (?,?)", (upcoming, vector))
            upcoming = next(wanted, (None,))[0]
        base.execute("COMMIT")
        start += len(batch)
        if upcoming is None:
            break
    base.create_function("correlation", 2, _correlation, deterministic=True)
    base.execute(
        "UPDATE pairs SET correlation = correlation("
        "(SELECT pixels FROM small WHERE id = a), (SELECT pixels FROM small WHERE id = b))"
    )
    base.execute("DELETE FROM pairs WHERE correlation < ?", (correlation,))


def _correlation(one: bytes, other: bytes) -> float:
    first, second = (np.frombuffer(v, np.float16).astype(np.float32) for v in (one, other))
    return float(first @ second)
