"""Find what inflates scores: copies across splits, conflicting labels, subjects on both sides."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mien.data.altered import ALTERATIONS
from mien.data.base import EXCLUDED
from mien.data.copies import CORRELATION, Looks, hashed
from mien.data.prepare import Cell, nested
from mien.data.table import ImageTable
from mien.types import InputError

LISTED = 1000  # groups and pairs that a report lists; all are counted
Pairs = Mapping[tuple[str, str], int]


@dataclass(frozen=True)
class Group:
    """Images that are alike: their rows, names, labels and splits; 1.0 for exact copies.

    ``how`` says of altered copies what was done to one of them.
    """

    rows: tuple[int, ...]
    paths: tuple[str, ...]
    labels: tuple[str | None, ...]
    splits: tuple[str | None, ...]
    correlation: float = 1.0
    how: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return {
            "rows": list(self.rows),
            "paths": list(self.paths),
            "labels": list(self.labels),
            "splits": list(self.splits),
            "correlation": round(self.correlation, 4),
            **({"how": self.how} if self.how else {}),
        }


@dataclass(frozen=True)
class Check:
    """What was found in a file.

    ``copies[a, b]`` counts the images of split ``a`` that have an exact copy in split ``b``
    (in the same split: the images beyond the first of each group); ``near`` counts the same for
    near duplicates that are no exact copies; ``altered`` counts the pairs of which one image is the
    other, mirrored, turned or cropped, where these were looked for; ``across`` counts the images
    with any kind of copy on another side. Where the file has a column ``fold``, folds are the
    sides. Lists hold at most :data:`LISTED` entries; all are counted.
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
    altered: Mapping[str, int]
    subjects: int
    across: int
    shared_subjects: Mapping[tuple[str, str], tuple[str, ...]]
    blank: tuple[int, ...]
    blank_count: int
    unreadable: tuple[tuple[int, str], ...]
    unreadable_count: int
    examples: tuple[Group, ...]
    near_examples: tuple[Group, ...]
    altered_examples: tuple[Group, ...]

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
            "file": str(self.path),
            "rows": self.rows,
            "counts": nested(self.counts),
            "unique_images": self.unique,
            "copy_groups": self.groups,
            "conflicting_groups": self.conflicting,
            "copies": spell(self.copies),
            "near_pairs": self.near_pairs,
            "near_conflicting_pairs": self.near_conflicting,
            "near": spell(self.near),
            "altered_pairs": dict(self.altered),
            "across": self.across,
            "subjects": self.subjects,
            "shared_subjects": {f"{a}, {b}": list(s) for (a, b), s in self.shared_subjects.items()},
            "blank": self.blank_count,
            "blank_rows": list(self.blank),
            "unreadable": self.unreadable_count,
            "unreadable_rows": [{"row": r, "error": e} for r, e in self.unreadable],
            "leaks": self.leaks,
            "groups": [g.to_dict() for g in self.examples],
            "near_groups": [g.to_dict() for g in self.near_examples],
            "altered_groups": [g.to_dict() for g in self.altered_examples],
        }


def check(
    path: str | Path,
    *,
    near: bool = True,
    altered: bool = False,
    correlation: float = CORRELATION,
    advance: Callable[[int], object] | None = None,
) -> Check:
    """Check a Parquet file of images; every image is decoded.

    ``near`` also looks for near duplicates: perceptual hashes within 8 of 63 bits, verified by a
    correlation of thumbnails of at least ``correlation``. With ``altered`` also for images that
    are others mirrored, turned by about 10 degrees or cropped by 5 to 10 %, by the same measures
    (:mod:`mien.data.altered`). ``advance`` is called with the number of rows done. Raises
    InputError for a file without images.
    """
    if not 0 < correlation <= 1:
        raise InputError(f"correlation: expected above 0 and at most 1, got {correlation}")
    if altered and not near:
        raise InputError("altered copies are looked for beside near ones; leave near on")
    source, looks = ImageTable(Path(path)), Looks(near, altered, correlation)
    with hashed(source, looks, advance) as base:
        return _report(base, Path(path), source.rows, looks)


def _report(base: sqlite3.Connection, path: Path, total: int, looks: Looks) -> Check:
    near = looks.near

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
        altered=_altered(base) if looks.altered else {},
        subjects=number("SELECT COUNT(DISTINCT subject) FROM rows"),
        across=_across(base, looks),
        shared_subjects={pair: tuple(people) for pair, people in shared.items()},
        blank=tuple(row[0] for row in blank),
        blank_count=number("SELECT COUNT(*) FROM rows WHERE blank"),
        unreadable=tuple(bad.fetchall()),
        unreadable_count=number("SELECT COUNT(*) FROM rows WHERE error IS NOT NULL"),
        examples=tuple(_examples(base)),
        near_examples=tuple(_pair_examples(base, "pairs")) if near else (),
        altered_examples=tuple(_pair_examples(base, "altered")) if looks.altered else (),
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


def _altered(base: sqlite3.Connection) -> Mapping[str, int]:
    """Pairs of images of which one is the other, by what was done to it."""
    found = dict.fromkeys((name for name, _ in ALTERATIONS), 0)
    for how, n in base.execute("SELECT how, COUNT(*) FROM altered GROUP BY how"):
        found[ALTERATIONS[how - 1][0]] += n
    return found


def _across(base: sqlite3.Connection, looks: Looks) -> int:
    """Images that have a copy, exact or near, on another side; excluded ones are on none."""
    exact = (
        "SELECT x.id AS id FROM groups g JOIN rows x ON x.pixels = g.pixels"
        " JOIN rows s ON s.pixels = g.pixels AND s.split <> x.split"
        f" WHERE g.splits > 1 AND x.split <> '{EXCLUDED}' AND s.split <> '{EXCLUDED}'"
    )
    alike = (
        " UNION SELECT x.id FROM"
        " (SELECT a AS one, b AS other FROM {0} UNION ALL SELECT b, a FROM {0}) p"
        " JOIN rows f ON f.id = p.one JOIN rows x ON x.pixels = f.pixels"
        " JOIN rows g ON g.id = p.other JOIN rows y ON y.pixels = g.pixels"
        f" WHERE x.split <> y.split AND x.split <> '{EXCLUDED}' AND y.split <> '{EXCLUDED}'"
    )
    more = {"pairs": looks.near, "altered": looks.altered}
    others = "".join(alike.format(table) for table, looked in more.items() if looked)
    query = f"SELECT COUNT(DISTINCT id) FROM ({exact}{others})"
    return int(base.execute(query).fetchone()[0])


def _group(rows: list[tuple[int, str, str | None, str]], correlation: float) -> Group:
    ids, paths, labels, splits = zip(*rows, strict=True)
    sides = tuple(None if split == "none" else split for split in splits)
    return Group(ids, paths, labels, sides, correlation)


def _examples(base: sqlite3.Connection) -> Iterator[Group]:
    """Groups of exact copies: those with other labels first, then those across splits."""
    order = "SELECT pixels FROM groups ORDER BY labels DESC, splits DESC, first LIMIT ?"
    for (pixels,) in base.execute(order, (LISTED,)).fetchall():
        members = base.execute(
            "SELECT id, path, label, split FROM rows WHERE pixels = ? ORDER BY id LIMIT ?",
            (pixels, LISTED),
        ).fetchall()
        yield _group(members, 1.0)


def _pair_examples(base: sqlite3.Connection, table: str) -> Iterator[Group]:
    """Pairs of ``pairs`` or ``altered``: those across splits first, then the most alike."""
    how = "how" if table == "altered" else "0"
    query = (
        f"SELECT x.id, x.path, x.label, x.split, y.id, y.path, y.label, y.split, correlation, {how}"
        f" FROM {table} JOIN rows x ON x.id = a JOIN rows y ON y.id = b"
        " ORDER BY x.split = y.split, correlation DESC, a LIMIT ?"
    )
    for row in base.execute(query, (LISTED,)):
        found = _group([row[:4], row[4:8]], min(row[8], 1.0))
        yield replace(found, how=ALTERATIONS[row[9] - 1][0]) if row[9] else found
