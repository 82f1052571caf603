"""Schemes by which a set is split; each is a function of its columns and a seed.

>>> SCHEMES.names()
['counts', 'deduplicated', 'folds', 'grouped', 'official', 'one-out', 'ratio', 'train-test']
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from mien.data.base import EXCLUDED, SPLITS
from mien.data.copies import alike
from mien.extras import need
from mien.registry import Registry
from mien.types import InputError, IntArray

Values = Sequence[str | int | None]


@dataclass(frozen=True)
class Columns:
    """The columns of a table that splits rest on, without its images; one entry per row."""

    path: Path
    labels: list[str | None]
    splits: list[str | None]
    subjects: list[str | None]
    pixels: list[str]

    def codes(self) -> IntArray:
        """Labels as numbers, -1 for none."""
        names = sorted({name for name in self.labels if name})
        return np.array([names.index(name) if name else -1 for name in self.labels])

    def groups(self) -> IntArray:
        """Numbers of people; people who share an exact copy of an image count as one.

        Raises InputError where a row has no subject.
        """
        missing = sum(person is None for person in self.subjects)
        if missing:
            raise InputError(
                f"{self.path}: expected a subject in every row, {missing} of {len(self.subjects)} "
                "have none; use the scheme deduplicated, or prepare it with subjects"
            )
        return join(zip(self.subjects, self.pixels, strict=True))


Scheme = Callable[..., Values]  # its keyword-only parameters are the scheme's options
SCHEMES: Final = Registry[Scheme]("split scheme", group="mien.splits")


def join(rows: Iterable[tuple[Any, ...]], pairs: Iterable[tuple[int, int]] = ()) -> IntArray:
    """Numbers of groups: rows that share any of their keys, however indirectly, are in one.

    ``pairs`` are row numbers that belong together besides.

    >>> join([("a", 1), ("b", 2), ("c", 1), ("b", 3)]).tolist()
    [0, 1, 0, 1]
    """
    parent: dict[Any, Any] = {}

    def root(key: Any) -> Any:
        while parent.setdefault(key, key) != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    firsts = []
    for row in rows:
        keys = [(i, key) for i, key in enumerate(row)]
        for key in keys[1:]:
            parent[root(key)] = root(keys[0])
        firsts.append(keys[0])
        root(keys[0])
    for one, other in pairs:
        parent[root(firsts[one])] = root(firsts[other])
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(root(key), len(numbers)) for key in firsts], dtype=np.int64)


def _sklearn() -> Any:
    return need("sklearn.model_selection", "data", "splitting at random")


def _numbers(text: str, what: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or any(n < 0 for n in numbers) or not numbers[0]:
        raise InputError(f"{what}: expected two or three numbers such as 70,15,15, got {text!r}")
    return numbers


def _names(parts: Sequence[Any]) -> tuple[str, ...]:
    return ("train", "test") if len(parts) == 2 else SPLITS


@SCHEMES.register("official")
def official(columns: Columns, seed: int) -> Values:  # noqa: ARG001 - every scheme takes a seed
    """The split that the owners made, as the reader found it."""
    if not any(columns.splits):
        raise InputError(
            f"{columns.path}: expected an official split, this set has none; use paper or honest"
        )
    return list(columns.splits)


@SCHEMES.register("train-test")
def train_test(columns: Columns, seed: int) -> Values:
    """The owners' split in two parts: what they kept for validation is tested too.

    Some papers test so (GiMeFive on FER2013). Training holds its validation images out of train.
    """
    return ["test" if value == "val" else value for value in official(columns, seed)]


@SCHEMES.register("deduplicated")
def deduplicated(
    columns: Columns, seed: int, *, near: bool = True, altered: bool = False
) -> Values:
    """The official split without the val and test images that are copies of training images.

    Test images that are copies of val images go too, since models are selected on those. With
    ``near`` near duplicates count as copies, with ``altered`` mirrored, turned and cropped ones,
    too.
    """
    values = official(columns, seed)
    pairs = alike(columns.path, changed=altered) if near or altered else []
    groups = join([(pixels,) for pixels in columns.pixels], pairs)
    taken: dict[Any, set[int]] = {name: set() for name in SPLITS}
    for group, value in zip(groups, values, strict=True):
        taken.setdefault(value, set()).add(int(group))
    before: dict[Any, set[int]] = {
        "val": taken["train"],
        "test": taken["train"] | taken["val"],
    }
    sides: list[str | None] = []
    for group, value in zip(groups, values, strict=True):
        leaked = int(group) in before.get(value, ())
        sides.append(EXCLUDED if leaked else None if value is None else str(value))
    return sides


@SCHEMES.register("ratio")
def ratio(columns: Columns, seed: int, *, ratios: str = "70,15,15") -> Values:
    """A random split by parts such as 70,15,15, each with the same share of every class."""
    parts = _numbers(ratios, "ratios")
    whole = len(columns.labels)
    sizes = [round(whole * part / sum(parts)) for part in parts[1:]]
    return _drawn(columns, seed, [whole - sum(sizes), *sizes])


@SCHEMES.register("counts")
def counts(columns: Columns, seed: int, *, counts: str = "780,201") -> Values:
    """A random split into so many images, such as 780,201, with the same share of every class."""
    sizes = [int(n) for n in _numbers(counts, "counts")]
    if sum(sizes) != len(columns.labels):
        raise InputError(
            f"counts: expected numbers that sum to the {len(columns.labels)} images, got {counts} "
            f"= {sum(sizes)}"
        )
    return _drawn(columns, seed, sizes)


def _drawn(columns: Columns, seed: int, sizes: list[int]) -> Values:
    """Train first, then val and test out of the rest."""
    tool = _sklearn()
    labels = columns.codes()
    values: list[str | None] = ["train"] * len(labels)
    left = np.arange(len(labels))
    for name, size in list(zip(_names(sizes), sizes, strict=True))[:0:-1]:
        if not size:
            continue
        try:
            left, drawn = tool.train_test_split(
                left, test_size=size, stratify=labels[left], random_state=seed
            )
        except ValueError as error:
            raise InputError(f"{columns.path}: cannot be split into {sizes}: {error}") from error
        for row in drawn:
            values[row] = name
    return values


@SCHEMES.register("folds")
def folds(columns: Columns, seed: int, *, folds: int = 5) -> Values:
    """Cross-validation: random folds with the same share of every class."""
    tool = _sklearn().StratifiedKFold(_count(folds), shuffle=True, random_state=seed)
    return _folded(columns, tool, None)


@SCHEMES.register("grouped")
def grouped(columns: Columns, seed: int, *, folds: int = 5, ratios: str = "") -> Values:
    """Nobody on two sides: folds of whole people, or parts such as 70,15,15 of them.

    scikit-learn's StratifiedGroupKFold keeps the classes as even as the people allow.
    """
    groups = columns.groups()
    if not ratios:
        tool = _sklearn().StratifiedGroupKFold(
            _count(folds, int(groups.max()) + 1), shuffle=True, random_state=seed
        )
        return _folded(columns, tool, groups)
    parts = _numbers(ratios, "ratios")
    people = int(groups.max()) + 1
    if people < len(parts):
        raise InputError(f"{columns.path}: expected at least {len(parts)} people, got {people}")
    # so many folds that a part is close to its share: of few people, one person is a fold
    _, sizes = np.unique(columns.codes(), return_counts=True)
    fine = max(min(people if people <= 100 else 20, int(sizes.max())), len(parts))
    tool = _sklearn().StratifiedGroupKFold(fine, shuffle=True, random_state=seed)
    numbers = _folded(columns, tool, groups)
    each = [max(round(fine * part / sum(parts)), 1) for part in parts[1:]]
    names = [name for name, n in zip(_names(parts)[1:], each, strict=True) for _ in range(n)]
    sides: list[str | None] = []
    for number in numbers:
        known = isinstance(number, int) and number < len(names)
        sides.append(names[int(number)] if known and number is not None else "train")
    return sides


@SCHEMES.register("one-out")
def one_out(columns: Columns, seed: int) -> Values:  # noqa: ARG001 - every scheme takes a seed
    """Leave one person (of FERG: one character) out: as many folds as people, in their order."""
    groups = columns.groups()
    first: dict[int, str] = {}
    for group, person in zip(groups, columns.subjects, strict=True):
        first[int(group)] = min(str(person), first.get(int(group), str(person)))
    order = {group: i for i, group in enumerate(sorted(first, key=lambda g: first[g]))}
    if len(order) < 2:
        raise InputError(f"{columns.path}: expected at least two people, got {len(order)}")
    left_out: list[int | None] = [order[int(group)] for group in groups]
    return left_out


def _count(folds: int, most: int | None = None) -> int:
    if folds < 2:
        raise InputError(f"folds: expected a whole number from 2, got {folds}")
    if most is not None and folds > most:
        raise InputError(f"folds: expected at most the {most} people, got {folds}")
    return folds


def _folded(columns: Columns, tool: Any, groups: IntArray | None) -> Values:
    labels = columns.codes()
    values: list[int | None] = [None] * len(labels)
    try:
        with warnings.catch_warnings():
            # a class with fewer images than folds: nothing can be done, and the counts show it
            warnings.simplefilter("ignore", UserWarning)
            for number, (_, rows) in enumerate(tool.split(labels, labels, groups)):
                for row in rows:
                    values[row] = number
    except ValueError as error:
        raise InputError(f"{columns.path}: cannot be split into folds: {error}") from error
    return values
