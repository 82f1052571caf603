"""From a Parquet file of images to tensors: the rows of a split, decoded once where they fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from mien.data import split as splits
from mien.data.base import EXCLUDED
from mien.data.table import Source, image_bytes, image_path
from mien.images import Preprocess
from mien.media import read_image
from mien.recipe import Recipe
from mien.types import FloatArray, InputError, IntArray

GROUPS = ("sex",)  # columns that tell groups of people
DECODED_BYTES = 2_000_000_000  # decoded images are kept in memory up to this size


@dataclass(frozen=True)
class Rows:
    """What a recipe uses of a file, without its images."""

    path: Path
    number: IntArray  # [N] row numbers in the file
    label: IntArray  # [N] index into the recipe's labels
    side: list[str | int]  # train, val, test, or the fold
    subject: list[str | None]
    group: list[str | None]  # whom scores are told apart for: sex or character
    names: list[str]
    fingerprint: str
    scheme: str


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
    scheme, options = recipe.data.protocol, {}
    if scheme == "paper" and recipe.data.folds:
        scheme, options = "folds", {"folds": str(recipe.data.folds)}
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
    source = Source(path)
    told = [name for name in GROUPS if name in source.names]
    names: list[str] = []
    group: list[str | None] = []
    for batch in source.batches(["image.path", *told], 8192):
        names += [image_path(v) or "" for v in batch.column("image").to_pylist()]
        group += batch.column(told[0]).to_pylist() if told else [None] * len(batch)
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
        fingerprint=split.fingerprint,
        scheme=split.scheme,
    )


def read_pixels(path: Path, rows: IntArray, how: Preprocess) -> Tensor:
    """Pixels ``[N, C, size, size] uint8`` of some rows, in their order.

    Raises InputError where they would not fit into memory.
    """
    needed = len(rows) * how.channels * how.size**2
    if needed > DECODED_BYTES:
        raise InputError(
            f"{path}: {len(rows)} images of {how.size} pixels need {needed / 1e9:.1f} GB, more "
            f"than {DECODED_BYTES / 1e9:.0f} GB; use fewer images or a smaller input"
        )
    # a row may come several times, where a rare class is repeated
    unique, inverse = np.unique(rows, return_inverse=True)
    place = {int(row): i for i, row in enumerate(unique)}
    pixels = torch.zeros((len(unique), how.channels, how.size, how.size), dtype=torch.uint8)
    start = 0
    for batch in Source(path).batches(["image"]):
        cells = batch.column("image")
        for offset in range(len(batch)):
            if (i := place.get(start + offset)) is not None:
                image = read_image(image_bytes(cells[offset].as_py()))
                pixels[i] = torch.from_numpy(np.round(how.pixels(image)).astype(np.uint8))
        start += len(batch)
    return pixels[torch.from_numpy(inverse)]


class Images(Dataset[tuple[Tensor, Tensor]]):
    """Decoded images with soft targets ``[K]``; an item is (uint8 pixels, target)."""

    def __init__(self, pixels: Tensor, targets: FloatArray) -> None:
        self.pixels = pixels
        self.targets = torch.as_tensor(targets, dtype=torch.float32)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.pixels[index], self.targets[index]


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
