"""What a face detector is."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import nullcontext
from typing import ClassVar, Final

from mien.fetch import Remote
from mien.forks import unforked
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
    needs and that ``mien models fetch`` brings, None where it needs none; ``title`` says what it
    is for where people choose it, "" is its name. ``threads`` says that several threads may search
    at once; else they take turns.
    """

    name: ClassVar[str]  # its key in the registry
    margin: ClassVar[float] = 0.0
    drop: ClassVar[float] = 0.0
    longest: ClassVar[int | None] = None
    smallest: ClassVar[float] = 0.0
    rank: ClassVar[int | None] = None
    remote: ClassVar[Remote | None] = None
    threads: ClassVar[bool] = False
    title: ClassVar[str] = ""

    @classmethod
    def available(cls) -> bool:
        """Whether everything that this detector needs is on this machine."""
        return True

    def __call__(self, image: ImageArray) -> list[Face]:
        """Faces, left to right."""
        # OpenCV's networks and cascades hold state: two threads in one would mix up their images
        with unforked(), nullcontext() if self.threads else _ONE_AT_A_TIME:
            return sorted(self.detect(image), key=lambda face: face.box[0])

    @abstractmethod
    def detect(self, image: ImageArray) -> list[Face]:
        """Faces in any order.

        Parameters
        ----------
        image
            ``[H, W, 3] uint8``, RGB.
        """

    def crop_box(self, face: Face) -> Box:
        """The box that a crop without landmarks is cut from.

        Parameters
        ----------
        face
            One that this detector found.
        """
        x, y, width, height = face.box
        return (x, y + self.drop * max(width, height), width, height)


#: The registry of detectors.
DETECTORS: Final = Registry[type[Detector]](
    "detector", package="mien.vision.faces", group="mien.detectors"
)


def suppress(
    boxes: list[Box], scores: list[float], limit: float = 0.3, inside: float = 0.75
) -> list[int]:
    """Indices of the boxes that are different faces, best first.

    A box is left out where a better one overlaps it by more than ``limit`` (of both together), or
    where more than ``inside`` of the smaller of the two lies in the other: a face and a part of
    it, or a face and head and shoulders around it. Of two people one before the other, less of a
    face is hidden.

    >>> suppress([(0, 0, 100, 100), (30, 30, 50, 50), (70, 0, 100, 100)], [0.9, 0.8, 0.7])
    [0, 2]
    """
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if not any(_same(boxes[i], boxes[k], limit, inside) for k in kept):
            kept.append(i)
    return kept


def _same(one: Box, other: Box, limit: float, inside: float) -> bool:
    (x, y, w, h), (u, v, s, t) = one, other
    across = min(x + w, u + s) - max(x, u)
    down = min(y + h, v + t) - max(y, v)
    if across <= 0 or down <= 0:
        return False
    shared, first, second = across * down, w * h, s * t
    return shared > limit * (first + second - shared) or shared > inside * min(first, second)
