"""What a face detector is."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import ClassVar, Final

import numpy as np

from mien.fetch import Remote
from mien.registry import Registry
from mien.types import Box, Face, ImageArray

_ONE_AT_A_TIME = threading.Lock()


class Detector(ABC):
    """Finds faces in an RGB image; called with ``[H, W, 3] uint8`` it returns Faces, left to right.

    ``longest`` is the longer side in pixels to which it shrinks an image before its search, None
    where it does not. ``smallest`` is the least part of the image's longer side that a face must
    have to be found, 0 where faces of some 24 pixels are found in any image. ``margin`` is the
    part of its box's longer side to add on each side, and ``drop`` the part to move down, so that
    the square around the box resembles a FER2013 crop. ``rank`` is the place in which ``auto``
    tries it, highest first, None where ``auto`` never takes it; ``remote`` is the file that it
    needs and that ``mien models fetch`` brings, None where it needs none.
    """

    name: ClassVar[str]
    margin: ClassVar[float] = 0.0
    drop: ClassVar[float] = 0.0
    longest: ClassVar[int | None] = None
    smallest: ClassVar[float] = 0.0
    rank: ClassVar[int | None] = None
    remote: ClassVar[Remote | None] = None

    @classmethod
    def available(cls) -> bool:
        """Whether everything that this detector needs is on this machine."""
        return True

    def __call__(self, image: ImageArray) -> list[Face]:
        """Faces, left to right."""
        # OpenCV's networks and cascades hold state: two threads in one would mix up their images
        with _ONE_AT_A_TIME:
            return sorted(self.detect(image), key=lambda face: face.box[0])

    @abstractmethod
    def detect(self, image: ImageArray) -> list[Face]:
        """Faces in any order."""

    def crop_box(self, face: Face) -> Box:
        """The box that a crop without landmarks is cut from."""
        x, y, width, height = face.box
        return (x, y + self.drop * max(width, height), width, height)


DETECTORS: Final = Registry[type[Detector]](
    "detector", package="mien.vision.faces", group="mien.detectors"
)


def suppress(boxes: list[Box], scores: list[float], limit: float = 0.3) -> list[int]:
    """Indices of the boxes that non-maximum suppression keeps, best first."""
    import cv2

    if not boxes:
        return []
    kept = cv2.dnn.NMSBoxes([list(b) for b in boxes], scores, 0.0, limit)
    return [int(i) for i in np.asarray(kept).ravel()]
