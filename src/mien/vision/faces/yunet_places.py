"""Places that may be faces: as YuNet's numbers say, and in which picture they were seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from mien.types import Box, FloatArray
from mien.vision.faces.base import suppress
from mien.vision.geometry import invert, transform

STRIDES: Final = (8, 16, 32)  # pixels between cells of the three levels


@dataclass(frozen=True, eq=False)
class Found:
    """N places that may be faces."""

    scores: FloatArray  # [N] in 0..1
    boxes: FloatArray  # [N, 4] x, y, width, height in pixels
    points: FloatArray  # [N, 5, 2] eyes, nose, corners of the mouth; the image's left first
    tilts: FloatArray  # [N] radians by which each was turned in the picture that showed it

    def __len__(self) -> int:
        return len(self.scores)

    def pick(self, which: npt.NDArray[np.intp] | list[int]) -> Found:
        """Some of them, in that order."""
        which = np.asarray(which, dtype=np.intp)
        return Found(self.scores[which], self.boxes[which], self.points[which], self.tilts[which])

    def back(self, matrix: FloatArray) -> Found:
        """The same in pixels of the image from which ``matrix`` ``[2, 3]`` led to these."""
        undo = invert(matrix)
        sizes = self.boxes[:, 2:] * np.sqrt(abs(np.linalg.det(undo[:, :2])))
        centres = transform(self.boxes[:, :2] + self.boxes[:, 2:] / 2, undo)
        boxes = np.concatenate([centres - sizes / 2, sizes], axis=1)
        return replace(self, boxes=boxes, points=transform(self.points, undo))

    def rolls(self) -> FloatArray:
        """By how much each is turned ``[N]``, in radians: from the eyes, and from eyes to mouth."""
        across = self.points[:, 1] - self.points[:, 0] + self.points[:, 4] - self.points[:, 3]
        down = (self.points[:, 3:] - self.points[:, :2]).sum(axis=1)
        return np.asarray(np.arctan2(across[:, 1] - down[:, 0], across[:, 0] + down[:, 1]))

    def sizes(self) -> FloatArray:
        """The longer side of each box ``[N]``, in pixels."""
        return np.asarray(self.boxes[:, 2:].max(axis=1, initial=0.0))

    def different(self) -> Found:
        """Those that are different faces, best first."""
        boxes: list[Box] = [(x, y, w, h) for x, y, w, h in self.boxes.tolist()]
        return self.pick(suppress(boxes, self.scores.tolist()))

    def best(self) -> float:
        """The highest score, 0 where there is no place."""
        return float(self.scores.max(initial=0.0))


def joined(*parts: Found) -> Found:
    """All places of several."""
    return Found(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.points for part in parts]),
        np.concatenate([part.tilts for part in parts]),
    )


def decoded(numbers: FloatArray, height: int, width: int, least: float) -> Found:
    """The places of a network's numbers ``[cells, 16]`` that score no less than ``least``.

    ``height`` and ``width`` are those of the picture that it saw.
    """
    # neither of the two parts of a score may be below its square
    possible = np.flatnonzero(numbers[:, :2].min(axis=1) >= np.log(least**2 / (1 - least**2)))
    chosen = numbers[possible].astype(np.float64)
    with np.errstate(over="ignore"):
        scores = 1 / np.sqrt((1 + np.exp(-chosen[:, 0])) * (1 + np.exp(-chosen[:, 1])))
    enough = scores >= least
    chosen, scores, grid = chosen[enough], scores[enough], _grid(height, width)[possible[enough]]
    cells, strides = grid[:, :2], grid[:, 2:]
    centres = (cells + chosen[:, 2:4]) * strides
    sizes = np.exp(np.minimum(chosen[:, 4:6], 8)) * strides
    points = (chosen[:, 6:].reshape(-1, 5, 2) + cells[:, None]) * strides[:, None]
    boxes = np.concatenate([centres - sizes / 2, sizes], axis=1)
    found = Found(scores, boxes, points, scores)
    return replace(found, tilts=found.rolls())


@lru_cache(maxsize=64)
def _grid(height: int, width: int) -> FloatArray:
    """Column, row and stride ``[cells, 3]`` of every cell of an image."""
    parts = []
    for stride in STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        strides = np.full(rows.size, stride)
        parts.append(np.stack([columns.ravel(), rows.ravel(), strides], axis=1))
    return np.concatenate(parts).astype(np.float64)
