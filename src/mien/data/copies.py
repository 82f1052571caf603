"""Hashes of all images of a file in a temporary SQLite base, and which of them are copies.

The base lies on disk, so that memory does not grow with the number of rows.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.data import altered
from mien.data.bands import BITS, few, in_buckets
from mien.data.hashes import SIDE, is_blank, normalised, perceptual_hash, thumbnail
from mien.data.table import ImageTable, image_bytes, image_path, pixel_hash
from mien.types import ImageArray, InputError
from mien.vision.read import read_image

CORRELATION = 0.98  # of thumbnails, from which two images are near duplicates


def alike(
    path: str | Path,
    *,
    correlation: float = CORRELATION,
    changed: bool = False,
    advance: Callable[[int], object] | None = None,
) -> list[tuple[int, int]]:
    """Pairs of rows of near duplicates, smaller row first; of exact copies the first stands.

    With ``changed`` also those of which one was mirrored, turned or cropped.
    """
    looks = Looks(near=True, altered=changed, correlation=correlation)
    more = " UNION SELECT a, b FROM altered" if changed else ""
    with hashed(ImageTable(Path(path)), looks, advance) as base:
        return base.execute(f"SELECT a, b FROM pairs{more} ORDER BY a, b").fetchall()


@dataclass(frozen=True)
class Looks:
    """What is looked for besides exact copies."""

    near: bool = True
    altered: bool = False  # mirrored, turned or cropped; takes ``near``
    correlation: float = CORRELATION


@contextmanager
def hashed(
    source: ImageTable, looks: Looks, advance: Callable[[int], object] | None
) -> Iterator[sqlite3.Connection]:
    """A temporary base with the hashes of all rows and the verified pairs that were asked for."""
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
                "CREATE TABLE cores (id INTEGER, how INTEGER, hash INTEGER);"
            )
            _hash_all(base, source, looks, advance)
            base.execute("CREATE INDEX by_pixels ON rows (pixels, split, label)")
            if looks.near:
                _near_pairs(base)
                _verify(base, source, looks.correlation)
            if looks.altered:
                _alter(base, source, looks.correlation)
            yield base
        finally:
            base.close()


def _hash_all(
    base: sqlite3.Connection,
    source: ImageTable,
    looks: Looks,
    advance: Callable[[int], object] | None,
) -> None:
    side = "fold" if "fold" in source.names else "split"
    columns = [n for n in ("image", "label", side, "subject", "source") if n in source.names]
    number = 0
    for batch in source.batches(columns):
        records: list[tuple[Any, ...]] = []
        cores: list[tuple[int, int, int]] = []
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
            if looks.near and not blank:
                phash = perceptual_hash(thumbnail(pixels))
            if looks.altered and not blank:
                hashes = altered.core_hashes(pixels)
                cores += [(head[0], how, value) for how, value in enumerate(hashes)]
            records.append((*head, pixel_hash(pixels), phash, int(blank), None))
        base.execute("BEGIN")
        base.executemany("INSERT INTO rows VALUES (?,?,?,?,?,?,?,?,?)", records)
        base.executemany("INSERT INTO cores VALUES (?,?,?)", cores)
        base.execute("COMMIT")
        if advance is not None:
            advance(number)


def _near_pairs(base: sqlite3.Connection) -> None:
    """Fill ``pairs`` with rows whose hashes differ in few bits; of copies the first stands."""
    base.executescript(
        "CREATE TABLE pairs (a INTEGER, b INTEGER, correlation REAL, PRIMARY KEY (a, b))"
        " WITHOUT ROWID;"
        "CREATE TABLE firsts AS SELECT MIN(id) AS id, phash AS hash, split FROM rows"
        " WHERE phash IS NOT NULL GROUP BY pixels;"
    )
    for bucket in in_buckets(base, "firsts", "id, hash, split"):
        base.executemany("INSERT OR IGNORE INTO pairs VALUES (?,?,NULL)", _close(bucket))


def _close(bucket: Sequence[tuple[int, int, str]]) -> Iterator[tuple[int, int]]:
    """Pairs of ids, smaller first, whose hashes differ in at most :data:`BITS` bits.

    Each image is paired with a few of those that come later.
    """
    ids = np.array([row[0] for row in bucket])
    hashes = np.array([row[1] for row in bucket], dtype=np.uint64)
    sides = np.array([row[2] for row in bucket])
    for i in range(len(ids) - 1):
        differ = np.bitwise_count(hashes[i + 1 :] ^ hashes[i])
        for j in few(np.flatnonzero(differ <= BITS) + i + 1, sides, i):
            yield int(ids[i]), int(ids[j])


def _verify(base: sqlite3.Connection, source: ImageTable, correlation: float) -> None:
    """Keep the pairs whose thumbnails correlate; only the images in pairs are decoded again."""

    def vector(pixels: ImageArray) -> bytes:
        return normalised(thumbnail(pixels)).astype(np.float16).tobytes()

    _keep(base, source, "small", "SELECT a FROM pairs UNION SELECT b FROM pairs ORDER BY 1", vector)
    base.create_function("correlation", 2, _correlation, deterministic=True)
    base.execute(
        "UPDATE pairs SET correlation = correlation("
        "(SELECT pixels FROM small WHERE id = a), (SELECT pixels FROM small WHERE id = b))"
    )
    base.execute("DELETE FROM pairs WHERE correlation < ?", (correlation,))


def _alter(base: sqlite3.Connection, source: ImageTable, correlation: float) -> None:
    """Fill ``altered`` with the pairs of which one is the other, mirrored, turned or cropped."""

    def square(pixels: ImageArray) -> bytes:
        return thumbnail(pixels, 2 * SIDE).astype(np.uint8).tobytes()

    altered.candidates(base)
    wanted = "SELECT a FROM altered UNION SELECT b FROM altered ORDER BY 1"
    _keep(base, source, "squares", wanted, square)
    altered.verify(base, correlation)


def _keep(
    base: sqlite3.Connection,
    source: ImageTable,
    table: str,
    query: str,
    small: Callable[[ImageArray], bytes],
) -> None:
    """Decode the images whose rows the query gives, in order, and keep what is made of each."""
    base.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, pixels BLOB)")
    wanted = base.cursor().execute(query)
    upcoming = next(wanted, (None,))[0]
    start = 0
    for batch in source.batches(["image"]):
        column = batch.column("image")
        base.execute("BEGIN")
        while upcoming is not None and upcoming < start + len(batch):
            pixels = read_image(image_bytes(column[upcoming - start].as_py()))
            base.execute(f"INSERT INTO {table} VALUES (?,?)", (upcoming, small(pixels)))
            upcoming = next(wanted, (None,))[0]
        base.execute("COMMIT")
        start += len(batch)
        if upcoming is None:
            break


def _correlation(one: bytes, other: bytes) -> float:
    first, second = (np.frombuffer(v, np.float16).astype(np.float32) for v in (one, other))
    return float(first @ second)
