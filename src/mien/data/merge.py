"""Several prepared files as one: as they are, or by the recipe of a pooled set."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from mien.data.base import DATASETS, SPLITS
from mien.data.crop import FACES, framing_of
from mien.data.prepare import Cell, Difference, Fingerprint
from mien.data.split import mine
from mien.data.table import ImageTable, Writer, schema
from mien.emotions import EIGHT, label
from mien.registry import choose
from mien.types import InputError


@dataclass(frozen=True)
class Member:
    """One set of a pool: which of its splits become which, and how it must have been read.

    In ``splits``, ``none`` stands for images without a split; splits that are not named stay out.
    ``published`` holds the numbers of images that the paper prints, by split of the pool.
    """

    set: str
    splits: Mapping[str, str]
    options: Mapping[str, str] = field(default_factory=dict)
    published: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Pool:
    """The recipe of a pooled set: its parts, its labels and a draw for validation.

    ``validation_per_class`` images of each label are drawn from the training images, with
    ``seed``, and become val; 0 draws none.
    """

    name: str
    labels: tuple[str, ...]
    parts: tuple[Member, ...]
    validation_per_class: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Merge:
    """What was merged: counts, and where the numbers of a pool's paper are not met."""

    path: Path
    images: int
    counts: Mapping[Cell, int]
    by_source: Mapping[str, Mapping[str, int]]
    differences: tuple[tuple[str, Difference], ...]
    fingerprint: str


def pools() -> list[str]:
    """Names of the pools that come with Mien.

    >>> pools()
    ['gimefive']
    """
    folder = resources.files("mien.data") / "pools"
    return sorted(Path(f.name).stem for f in folder.iterdir() if f.name.endswith(".toml"))


def load_pool(name: str | Path) -> Pool:
    """A pool by its name or from a TOML file of one's own; InputError where it is not one."""
    if str(name).endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise InputError(f"{path}: no such file; known pools: {', '.join(pools())}")
        text = path.read_text(encoding="utf-8")
    else:
        known = resources.files("mien.data") / "pools"
        text = (known / f"{choose('pool', str(name), pools())}.toml").read_text(encoding="utf-8")
    try:
        raw = tomllib.loads(text)
        parts = tuple(_part(entry) for entry in raw["part"])
        pool = Pool(
            name=str(raw["name"]),
            labels=tuple(label(entry) for entry in raw["labels"]),
            parts=parts,
            validation_per_class=int(raw.get("validation_per_class", 0)),
            seed=int(raw.get("seed", 0)),
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{name}: expected a pool (name, labels, [[part]] with set and splits), "
            f"but {type(error).__name__}: {error}"
        ) from error
    return pool


def _part(entry: Mapping[str, Any]) -> Member:
    choose("data set", entry["set"], DATASETS.names())
    for split in entry["splits"].values():
        choose("split", split, SPLITS)
    options = {k: str(v) for k, v in entry.get("options", {}).items()}
    return Member(entry["set"], dict(entry["splits"]), options, dict(entry.get("published", {})))


def merge(
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    pool: Pool | None = None,
    labels: Sequence[str] = (),
    advance: Callable[[int], object] | None = None,
) -> Merge:
    """Write several files that ``mien data prepare`` made as one.

    With ``pool``, each of its parts must be among the inputs, read as the pool says; splits are
    mapped and the validation images drawn. ``labels`` keeps these alone. Columns that only some
    inputs have are null for the others. Copies between the inputs are not looked for here: that
    is ``mien data check``. Raises InputError for inputs that do not fit.
    """
    sources = [mine(path) for path in inputs]
    if not sources:
        raise InputError("expected files to merge, got none")
    kept = tuple(pool.labels if pool else labels)
    maps = [_map(source, pool) for source in sources]
    if pool:
        _check_parts(sources, pool)
    validation = _draw(sources, maps, pool) if pool else frozenset()
    columns = _columns(sources)
    framings = {framing_of(source) for source in sources}
    if len(framings) > 1:
        ways = "; ".join(sorted(framing.words for framing in framings))
        raise InputError(f"expected pictures that were cut in one way, got {ways}")
    about = {
        "set": pool.name if pool else "merged",
        "sources": [source.about.get("set") for source in sources],
    }
    if FACES in sources[0].about:
        about[FACES] = sources[0].about[FACES]
    counts: Counter[Cell] = Counter()
    by_source: dict[str, Counter[str]] = {}
    hashed = Fingerprint()
    with Writer(Path(output), schema(columns, about)) as writer:
        for key, row in _rows(sources, maps, kept):
            if key in validation:
                row["split"] = "val"
            writer.add(row)
            name = EIGHT[row["label"]] if row["label"] is not None else None
            counts[row["split"], name] += 1
            by_source.setdefault(str(row["source"]), Counter())[row["split"] or "none"] += 1
            hashed.add(row["source"], row["image"]["path"], row["pixel_hash"], name, row["split"])
            if advance is not None:
                advance(writer.count)
        if not writer.count:
            raise InputError(f"{output}: expected images to merge, none are left by the labels")
    return Merge(
        Path(output),
        writer.count,
        dict(counts),
        by_source,
        _differences(pool, by_source),
        str(hashed),
    )


def _columns(sources: Sequence[ImageTable]) -> dict[str, str]:
    """The columns of all inputs with their kinds; InputError where two differ."""
    columns: dict[str, str] = {}
    for source in sources:
        for name, kind in source.about["columns"].items():
            if columns.setdefault(name, kind) != kind:
                raise InputError(f"{source.path}: column {name!r} is {kind}, elsewhere it is not")
    return columns


def _map(source: ImageTable, pool: Pool | None) -> Mapping[str, str] | None:
    """The map of splits of one input; None keeps them as they are."""
    if pool is None:
        return None
    name = source.about.get("set")
    found = [part for part in pool.parts if part.set == name]
    if not found:
        wanted = ", ".join(part.set for part in pool.parts)
        raise InputError(f"{source.path}: it holds {name}, the pool {pool.name} takes {wanted}")
    for key, value in found[0].options.items():
        have = source.about.get("options", {}).get(key)
        if have != value:
            raise InputError(
                f"{source.path}: the pool needs {name} with {key}={value}, it was read with "
                f"{key}={have or 'the default'}; prepare it again with --option {key}={value}"
            )
    return found[0].splits


def _check_parts(sources: Sequence[ImageTable], pool: Pool) -> None:
    have = [source.about.get("set") for source in sources]
    missing = [part.set for part in pool.parts if part.set not in have]
    if missing or len(set(have)) != len(have):
        raise InputError(
            f"the pool {pool.name} takes each of {', '.join(p.set for p in pool.parts)} once; "
            f"missing: {', '.join(missing) or 'none, but one was given twice'}"
        )


def _side(maps: Mapping[str, str] | None, split: str | None) -> tuple[bool, str | None]:
    """Whether a row stays, and its split."""
    if maps is None:
        return True, split
    side = maps.get(split or "none")
    return side is not None, side


def _rows(
    sources: Sequence[ImageTable], maps: Sequence[Mapping[str, str] | None], kept: tuple[str, ...]
) -> Iterator[tuple[tuple[int, int], dict[str, Any]]]:
    for number, (source, meant) in enumerate(zip(sources, maps, strict=True)):
        row_number = -1
        for batch in source.batches(source.names, 256):
            for row in batch.to_pylist():
                row_number += 1
                stays, side = _side(meant, row["split"])
                name = None if row["label"] is None else EIGHT[row["label"]]
                if stays and (not kept or name in kept):
                    yield (number, row_number), {**row, "split": side}


def _draw(
    sources: Sequence[ImageTable], maps: Sequence[Mapping[str, str] | None], pool: Pool
) -> frozenset[tuple[int, int]]:
    """Rows of the training images that become val: so many of each label."""
    if not pool.validation_per_class:
        return frozenset()
    training: dict[str, list[tuple[int, int]]] = {name: [] for name in pool.labels}
    for number, (source, meant) in enumerate(zip(sources, maps, strict=True)):
        row_number = -1
        for batch in source.batches(["label", "split"], 8192):
            columns = (source.values(batch, "label"), source.values(batch, "split"))
            for name, split in zip(*columns, strict=True):
                row_number += 1
                stays, side = _side(meant, split)
                if stays and side == "train" and name in training:
                    training[name].append((number, row_number))
    rng = np.random.default_rng(pool.seed)
    drawn: set[tuple[int, int]] = set()
    for name, rows in training.items():
        if len(rows) <= pool.validation_per_class:
            raise InputError(
                f"expected more than {pool.validation_per_class} training images of {name} to "
                f"draw the validation images from, got {len(rows)}"
            )
        drawn.update(rows[i] for i in rng.permutation(len(rows))[: pool.validation_per_class])
    return frozenset(drawn)


def _differences(
    pool: Pool | None, by_source: Mapping[str, Mapping[str, int]]
) -> tuple[tuple[str, Difference], ...]:
    """Where the paper's numbers are not met; drawn validation images count as training."""
    found = []
    for part in pool.parts if pool else ():
        have = by_source.get(part.set, {})
        for split, expected in part.published.items():
            n = have.get(split, 0) + (have.get("val", 0) if split == "train" else 0)
            if n != expected:
                found.append((part.set, Difference(split, None, expected, n)))
    return tuple(found)
