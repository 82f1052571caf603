"""The rows of a Parquet file that a recipe uses, and the order in which training sees them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch.utils.data import Sampler

from mien.data import split as splits
from mien.data.base import EXCLUDED
from mien.data.crop import framing_of
from mien.data.table import ImageTable, image_path
from mien.runs.recipe import Recipe
from mien.types import FloatArray, InputError, IntArray
from mien.vision.framing import Framing

GROUPS = ("sex",)  # columns that name groups of people


@dataclass(frozen=True)
class Rows:
    """What a recipe uses of a file, without its images."""

    path: Path
    number: IntArray  # [N] row numbers in the file
    label: IntArray  # [N] index into the recipe's labels
    side: list[str | int]  # train, val, test, or the fold
    subject: list[str | None]
    group: list[str | None]  # groups that are scored apart: sex or character
    names: list[str]
    pixels: list[str]  # hashes of the images' pixels
    fingerprint: str
    scheme: str
    sets: tuple[str, ...] = ()  # that the file holds
    framing: Framing = field(default_factory=Framing)  # what the pictures are


def select(recipe: Recipe, path: Path) -> Rows:
    """The rows with one of the recipe's labels and a side in the split of its protocol.

    Raises InputError for a file of other sets than the recipe's, or one without such rows.
    """
    held: set[str] = set()
    for batch in splits.mine(path).batches(["source"], 8192):
        held |= {str(name) for name in batch.column("source").to_pylist()}
    if held - set(recipe.data.sets):
        raise InputError(
            f"{path}: expected images of {', '.join(recipe.data.sets)}, got "
            f"{', '.join(sorted(held))}; give the file that the recipe asks for"
        )
    scheme, options = _scheme(recipe, path)
    split = splits.make(path, scheme, seed=recipe.data.split_seed, options=options)
    frame = splits.load(path)
    index = {name: i for i, name in enumerate(recipe.data.labels)}
    rows = [
        i
        for i, (label, side) in enumerate(zip(frame.labels, split.values, strict=True))
        if label in index and side is not None and side != EXCLUDED
    ]
    if not rows:
        raise InputError(f"{path}: expected images of {', '.join(index)}, found none in the split")
    sides: list[str | int] = []
    for i in rows:
        value = split.values[i]
        assert value is not None  # chosen above
        sides.append(value)
    source = ImageTable(path)
    named = [name for name in GROUPS if name in source.names]
    names: list[str] = []
    group: list[str | None] = []
    for batch in source.batches(["image.path", *named], 8192):
        names += [image_path(v) or "" for v in batch.column("image").to_pylist()]
        group += batch.column(named[0]).to_pylist() if named else [None] * len(batch)
    if held == {"ferg"}:
        group = list(frame.subjects)  # its subjects are six characters
    return Rows(
        path=path,
        number=np.array(rows),
        label=np.array([index[str(frame.labels[i])] for i in rows]),
        side=sides,
        subject=[frame.subjects[i] for i in rows],
        group=[group[i] for i in rows],
        names=[names[i] for i in rows],
        pixels=[frame.pixels[i] for i in rows],
        fingerprint=split.fingerprint,
        scheme=_written(split),
        sets=tuple(sorted(held)),
        framing=framing_of(source),
    )


def _scheme(recipe: Recipe, path: Path) -> tuple[str, dict[str, str]]:
    """The scheme of the recipe's protocol, and its options.

    Whole people in folds come in as many as the paper's folds, so that the two differ by the
    people alone.
    """
    protocol, folds = recipe.data.protocol, {"folds": str(recipe.data.folds)}
    if protocol == "paper" and recipe.data.folds:
        return "folds", folds
    if protocol == "paper" and recipe.data.scheme:
        return recipe.data.scheme, {}
    if protocol == "honest" and recipe.data.folds:
        scheme, options = splits.resolve(path, protocol, {})
        return scheme, options | folds if scheme == "grouped" and "folds" in options else options
    return protocol, {}


def _written(split: splits.Split) -> str:
    """A split's scheme with its options.

    >>> _written(splits.Split("folds", 0, {"folds": "5"}, "fold", [], "", 0))
    'folds (folds 5)'
    """
    options = ", ".join(f"{name} {value}" for name, value in split.options.items())
    return f"{split.scheme} ({options})" if options else split.scheme


class EpochSampler(Sampler[int]):
    """All rows in an order that follows from seed and epoch alone, so that a run can resume."""

    def __init__(self, count: int, seed: int) -> None:
        self.count = count
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        yield from np.random.default_rng([self.seed, self.epoch]).permutation(self.count).tolist()


def one_hot(labels: Sequence[int] | IntArray, classes: int) -> FloatArray:
    """Targets ``[N, K]``."""
    rows: FloatArray = np.eye(classes, dtype=np.float32)
    return np.asarray(rows[np.asarray(labels)])
