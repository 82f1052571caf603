"""Find what inflates scores: copies across splits, conflicting labels, subjects on both sides.

Hashes live in a temporary SQLite file, so that memory does not grow with the number of rows.
"""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.data.base import EXCLUDED
from mien.data.hashes import is_blank, normalised, perceptual_hash, thumbnail
from mien.data.prepare import Cell, nested
from mien.data.table import Source, image_bytes, image_path, pixel_hash
from mien.media import read_image
from mien.types import InputError

BITS = 8  # perceptual hashes that differ in at most so many of 63 bits are looked at
#: Shift and width of parts of the hash. Two hashes within 4 bits agree on one of the five for
#: sure, within 6 or 8 bits mostly.
BANDS = ((0, 13), (13, 13), (26, 13), (39, 12), (51, 12))
CORRELATION = 0.98  # of thumbnails, from which two images are near duplicates
BUCKET = 2000  # images that share a band: compared within windows of this size
PARTNERS = 25  # of one image, on its own side and on others: frames of a video are all alike
LISTED = 1000  # groups and pairs that a report lists; all are counted
Pairs = Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Group:
    """Images that are alike: their rows, names, labels and splits; 1.0 for exact copies."""

    rows: tuple[int, ...]
    paths: tuple[str, ...]
    labels: tuple[str | None, ...]
    splits: tuple[str | None, ...]
    correlation: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return {
            "rows": list(self.rows), "paths": list(self.paths), "labels": list(self.labels),
            "splits": list(self.splits), "correlation": round(self.correlation, 4),
        }  # fmt: skip


@dataclass(frozen=True)
class Check:
    """What was found in a file.

    ``copies[a, b]`` counts the images of split ``a`` that have an exact copy in split ``b``
    (in the same split: the images beyond the first of each group); ``near`` counts the same for
    near duplicates that are no exact copies; ``across`` counts the images with either kind of copy
    on another side. Where the file has a column ``fold``, folds are the sides. Lists hold at most
    :data:`LISTED` entries; all are counted.
    """

    path: Path
    rows: int
    counts: Mapping[Cell, int]
    unique: int
    groups: int
    conflicting: int
    copies: Pairs
    near_pairs: int
    near_conflicting: int
    near: Pairs
    subjects: int
    across: int
    shared_subjects: Mapping[tuple[str, str], tuple[str, ...]]
    blank: tuple[int, ...]
    blank_count: int
    unreadable: tuple[tuple[int, str], ...]
    unreadable_count: int
    examples: tuple[Group, ...]
    near_examples: tuple[Group, ...]

    @property
    def leaks(self) -> bool:
        """Whether anything of one split is in another."""
        people = any(EXCLUDED not in sides for sides in self.shared_subjects)
        return self.across > 0 or people

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""

        def spell(pairs: Pairs) -> dict[str, int]:
            return {a if a == b else f"{a} in {b}": n for (a, b), n in pairs.items()}

        return {
            "file": str(self.path), "rows": self.rows, "counts": nested(self.counts),
            "unique_images": self.unique, "copy_groups": self.groups,
            "conflicting_groups": self.conflicting, "copies": spell(self.copies),
            "near_pairs": self.near_pairs, "near_conflicting_pairs": self.near_conflicting,
            "near": spell(self.near), "across": self.across, "subjects": self.subjects,
            "shared_subjects": {f"{a}, {b}": list(s) for (a, b), s in self.shared_subjects.items()},
            "blank": self.blank_count, "blank_rows": list(self.blank),
            "unreadable": self.unreadable_count,
            "unreadable_rows": [{"row": r, "error": e} for r, e in self.unreadable],
            "leaks": self.leaks, "groups": [g.to_dict() for g in self.examples],
            "near_groups": [g.to_dict() for g in self.near_examples],
        }  # fmt: skip


def check(
    path: str | Path,
    *,
    near: bool = True,
    correlation: float = CORRELATION,
    advance: Callable[[int], object] | None = None,
) -> Check:
    """Check a Parquet file of images; every image is decoded.

    ``near`` also looks for near duplicates: perceptual hashes within 8 of 63 bits, verified by a
    correlation of thumbnails of at least ``correlation``. ``advance`` is called with the number
    of rows done. Raises InputError for a file without images.
    """
    if not 0 < correlation <= 1:
        raise InputError(f"correlation: expected above 0 and at most 1, got {correlation}")
    source = Source(Path(path))
    with _hashed(source, near, correlation, advance) as base:
        return _report(base, Path(path), source.rows, near)


def alike(
    path: str | Path,
    *,
    correlation: float = CORRELATION,
    advance: Callable[[int], object] | None = None,
) -> list[tuple[int, int]]:
    """Pairs of rows of near duplicates, smaller row first; of exact copies the first stands."""
    with _hashed(Source(Path(path)), True, correlation, advance) as base:
        return base.execute("SELECT a, b FROM pairs ORDER BY a, b").fetchall()


@contextmanager
def _hashed(
    source: Source, near: bool, correlation: float, advance: Callable[[int], object] | None
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
                " subject TEXT, pixels TEXT, look INTEGER, blank INTEGER, error TEXT);"
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
    base: sqlite3.Connection, source: Source, near: bool, advance: Callable[[int], object] | None
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
            look = None
            if near and not blank:
                look = perceptual_hash(thumbnail(pixels))
            records.append((*head, pixel_hash(pixels), look, int(blank), None))
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
        "CREATE TABLE firsts AS SELECT MIN(id) AS id, look, split FROM rows"
        " WHERE look IS NOT NULL GROUP BY pixels;"
    )
    for shift, width in BANDS:
        part = f"(look >> {shift}) & {(1 << width) - 1}"
        found = base.cursor().execute(f"SELECT {part}, id, look, split FROM firsts ORDER BY 1, 2")
        for _, members in itertools.groupby(found, key=lambda row: row[0]):
            while len(bucket := list(itertools.islice(members, BUCKET))) > 1:
                base.executemany("INSERT OR IGNORE INTO pairs VALUES (?,?,NULL)", _close(bucket))


def _close(bucket: list[tuple[int, int, int, str]]) -> Iterator[tuple[int, int]]:
    """Pairs of ids, smaller first, whose hashes differ in at most :data:`BITS` bits.

    Each image is paired with at most :data:`PARTNERS` later ones of its own side and as many of
    others, so that the pairs grow with the images and not with their square.
    """
    ids = np.array([row[1] for row in bucket])
    looks = np.array([row[2] for row in bucket], dtype=np.uint64)
    sides = np.array([row[3] for row in bucket])
    for i in range(len(ids) - 1):
        differ = np.bitwise_count(looks[i + 1 :] ^ looks[i])
        close = np.flatnonzero(differ <= BITS) + i + 1
        if len(close) > PARTNERS:
            own = sides[close] == sides[i]
            close = np.concatenate([close[own][:PARTNERS], close[~own][:PARTNERS]])
        for j in close:
            yield int(ids[i]), int(ids[j])


def _verify(base: sqlite3.Connection, source: Source, correlation: float) -> None:
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


def _report(base: sqlite3.Connection, path: Path, total: int, near: bool) -> Check:
    def number(query: str) -> int:
        return int(base.execute(query).fetchone()[0])

    counts: Counter[Cell] = Counter()
    query = "SELECT split, label, COUNT(*) FROM rows GROUP BY split, label"
    for split, label, n in base.execute(query):
        counts[None if split == "none" else split, label] += n
    base.executescript(
        "CREATE TABLE groups AS SELECT pixels, COUNT(*) AS n, COUNT(DISTINCT label) AS labels,"
        " COUNT(DISTINCT split) AS splits, MIN(id) AS first FROM rows"
        " WHERE pixels IS NOT NULL GROUP BY pixels HAVING n > 1;"
    )
    people = base.execute(
        "SELECT DISTINCT a.split, b.split, a.subject FROM"
        " (SELECT DISTINCT split, subject FROM rows WHERE subject IS NOT NULL) a JOIN"
        " (SELECT DISTINCT split, subject FROM rows WHERE subject IS NOT NULL) b"
        " ON a.subject = b.subject AND a.split < b.split ORDER BY 1, 2, 3"
    )
    shared: dict[tuple[str, str], list[str]] = {}
    for one, other, person in people:
        shared.setdefault((one, other), []).append(person)
    blank = base.execute("SELECT id FROM rows WHERE blank ORDER BY id LIMIT ?", (LISTED,))
    bad = base.execute(
        "SELECT id, error FROM rows WHERE error IS NOT NULL ORDER BY id LIMIT ?", (LISTED,)
    )
    return Check(
        path=path,
        rows=total,
        counts=dict(counts),
        unique=number("SELECT COUNT(DISTINCT pixels) FROM rows"),
        groups=number("SELECT COUNT(*) FROM groups"),
        conflicting=number("SELECT COUNT(*) FROM groups WHERE labels > 1"),
        copies=_copies(base),
        near_pairs=number("SELECT COUNT(*) FROM pairs") if near else 0,
        near_conflicting=number(
            "SELECT COUNT(*) FROM pairs JOIN rows x ON x.id = a JOIN rows y ON y.id = b"
            " WHERE x.label <> y.label"
        )
        if near
        else 0,
        near=_near(base) if near else {},
        subjects=number("SELECT COUNT(DISTINCT subject) FROM rows"),
        across=_across(base, near),
        shared_subjects={pair: tuple(people) for pair, people in shared.items()},
        blank=tuple(row[0] for row in blank),
        blank_count=number("SELECT COUNT(*) FROM rows WHERE blank"),
        unreadable=tuple(bad.fetchall()),
        unreadable_count=number("SELECT COUNT(*) FROM rows WHERE error IS NOT NULL"),
        examples=tuple(_examples(base)),
        near_examples=tuple(_near_examples(base)) if near else (),
    )


def _copies(base: sqlite3.Connection) -> Pairs:
    found: dict[tuple[str, str], int] = {}
    within = base.execute(
        "SELECT split, SUM(n - 1) FROM (SELECT split, COUNT(*) AS n FROM rows"
        " WHERE pixels IS NOT NULL GROUP BY pixels, split HAVING n > 1) GROUP BY split"
    )
    for split, n in within:
        found[split, split] = n
    across = base.execute(
        "SELECT x.split, s.split, COUNT(DISTINCT x.id) FROM groups g"
        " JOIN rows x ON x.pixels = g.pixels"
        " JOIN rows s ON s.pixels = g.pixels AND s.split <> x.split"
        " WHERE g.splits > 1 GROUP BY 1, 2"
    )
    for one, other, n in across:
        found[one, other] = n
    return found


def _near(base: sqlite3.Connection) -> Pairs:
    """Images with a near duplicate, by (split, split of the other); exact copies count apart."""
    query = (
        "SELECT x.split, y.split, COUNT(DISTINCT x.id) FROM"
        " (SELECT a AS one, b AS other FROM pairs UNION ALL SELECT b, a FROM pairs) p"
        " JOIN rows f ON f.id = p.one JOIN rows x ON x.pixels = f.pixels"
        " JOIN rows g ON g.id = p.other JOIN rows y ON y.pixels = g.pixels GROUP BY 1, 2"
    )
    return {(one, other): n for one, other, n in base.execute(query)}


def _across(base: sqlite3.Connection, near: bool) -> int:
    """Images that have a copy, exact or near, on another side; excluded ones are on none."""
    exact = (
        "SELECT x.id AS id FROM groups g JOIN rows x ON x.pixels = g.pixels"
        " JOIN rows s ON s.pixels = g.pixels AND s.split <> x.split"
        f" WHERE g.splits > 1 AND x.split <> '{EXCLUDED}' AND s.split <> '{EXCLUDED}'"
    )
    alike = (
        " UNION SELECT x.id FROM"
        " (SELECT a AS one, b AS other FROM pairs UNION ALL SELECT b, a FROM pairs) p"
        " JOIN rows f ON f.id = p.one JOIN rows x ON x.pixels = f.pixels"
        " JOIN rows g ON g.id = p.other JOIN rows y ON y.pixels = g.pixels"
        f" WHERE x.split <> y.split AND x.split <> '{EXCLUDED}' AND y.split <> '{EXCLUDED}'"
    )
    query = f"SELECT COUNT(DISTINCT id) FROM ({exact}{alike if near else ''})"
    return int(base.execute(query).fetchone()[0])


def _group(rows: list[tuple[int, str, str | None, str]], correlation: float) -> Group:
    ids, paths, labels, splits = zip(*rows, strict=True)
    told = tuple(None if split == "none" else split for split in splits)
    return Group(ids, paths, labels, told, correlation)


def _examples(base: sqlite3.Connection) -> Iterator[Group]:
    """Groups of exact copies: those with other labels first, then those across splits."""
    order = "SELECT pixels FROM groups ORDER BY labels DESC, splits DESC, first LIMIT ?"
    for (pixels,) in base.execute(order, (LISTED,)).fetchall():
        members = base.execute(
            "SELECT id, path, label, split FROM rows WHERE pixels = ? ORDER BY id LIMIT ?",
            (pixels, LISTED),
        ).fetchall()
        yield _group(members, 1.0)


def _near_examples(base: sqlite3.Connection) -> Iterator[Group]:
    query = (
        "SELECT x.id, x.path, x.label, x.split, y.id, y.path, y.label, y.split, correlation"
        " FROM pairs JOIN rows x ON x.id = a JOIN rows y ON y.id = b"
        " ORDER BY x.split = y.split, correlation DESC, a LIMIT ?"
    )
    for row in base.execute(query, (LISTED,)):
        yield _group([row[:4], row[4:8]], min(row[8], 1.0))
