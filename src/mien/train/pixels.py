"""Images of a split as a torch data set: decoded in memory, or on the fly where they are many."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mien.data.table import ImageTable, image_bytes
from mien.types import FloatArray, IntArray
from mien.vision.geometry import Preprocess
from mien.vision.read import read_image

DECODED_BYTES = 2_000_000_000  # images of one part of a split are kept decoded up to this size
WORKERS = 8  # at most so many processes decode, one per core


def read_pixels(path: Path, rows: IntArray, how: Preprocess) -> Tensor:
    """Pixels ``[N, C, size, size] uint8`` of some rows, in their order, all in memory."""
    # a row may come several times, where a rare class is repeated
    unique, inverse = np.unique(rows, return_inverse=True)
    pixels = torch.zeros((len(unique), how.channels, how.size, how.size), dtype=torch.uint8)
    for i, content in read_cells(path, unique):
        pixels[i] = _decoded(content, how)
    return pixels[torch.from_numpy(inverse)]


def read_cells(path: Path, rows: IntArray) -> Iterator[tuple[int, bytes]]:
    """(place in ``rows``, encoded image) in the order of the file; ``rows`` are different."""
    place = {int(row): i for i, row in enumerate(rows)}
    start = 0
    for batch in ImageTable(path).batches(["image"]):
        cells = batch.column("image")
        for offset in range(len(batch)):
            if (i := place.get(start + offset)) is not None:
                yield i, image_bytes(cells[offset].as_py())
        start += len(batch)


def _decoded(content: bytes, how: Preprocess) -> Tensor:
    pixels = np.round(how.pixels(read_image(content))).astype(np.uint8)
    return torch.from_numpy(pixels)


class Decoded:
    """Pixels in memory; an item is ``[C, size, size] uint8``."""

    workers = 0

    def __init__(self, pixels: Tensor) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Tensor:
        return self.pixels[index]


class Encoded:
    """Images as they are stored, copied once to a plain file and decoded when they are asked for.

    A Parquet file gives no single row without the hundreds around it; a plain file does.
    """

    workers = min(os.cpu_count() or 1, WORKERS)

    def __init__(self, path: Path, rows: IntArray, how: Preprocess, copy: Path) -> None:
        unique, self.which = np.unique(rows, return_inverse=True)
        self.how = how
        self.copy = copy
        self.start = np.zeros(len(unique), dtype=np.int64)
        self.size = np.zeros(len(unique), dtype=np.int64)
        end = 0
        with copy.open("wb") as file:
            for i, content in read_cells(path, unique):
                self.start[i], self.size[i] = end, len(content)
                end += file.write(content)

    def __len__(self) -> int:
        return len(self.which)

    def __getitem__(self, index: int) -> Tensor:
        at = self.which[index]
        with self.copy.open("rb") as file:  # each time: processes must not share a position
            file.seek(int(self.start[at]))
            return _decoded(file.read(int(self.size[at])), self.how)


def pixels_of(path: Path, rows: IntArray, how: Preprocess, copy: Path) -> Decoded | Encoded:
    """Pixels of some rows, in memory where they fit, else decoded on the fly from ``copy``."""
    needed = len(rows) * how.channels * how.size**2
    if needed <= DECODED_BYTES:
        return Decoded(read_pixels(path, rows, how))
    return Encoded(path, rows, how, copy)


Item = tuple[Tensor, Tensor]  # uint8 pixels, soft target


class Images(Dataset[Item]):
    """Images with soft targets ``[K]``; an item is (uint8 pixels, target)."""

    def __init__(self, pixels: Decoded | Encoded, targets: FloatArray) -> None:
        self.pixels = pixels
        self.targets = torch.as_tensor(targets, dtype=torch.float32)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Item:
        return self.pixels[index], self.targets[index]

    def batches(self, size: int) -> Iterator[Tensor]:
        """All pixels in their order, ``[n, C, size, size] uint8`` each."""
        for pixels, _ in DataLoader(self, batch_size=size, num_workers=self.pixels.workers):
            yield pixels
