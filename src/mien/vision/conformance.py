"""Checks that every registered face detector passes, also those of other distributions.

Each takes a detector's name and a photo ``[H, W, 3] uint8`` of one upright frontal face, and
raises AssertionError with what is wrong. Detectors that find near faces only are given a photo
that is cut to the face.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from mien.types import ImageArray
from mien.vision.faces import DETECTORS, create

SHAPES: Final = ((8, 8), (9, 400), (8, 40_000), (40_000, 8), (1500, 1100))  # odd, but images


def _expect(holds: bool, name: str, what: str) -> None:
    if not holds:
        raise AssertionError(f"the detector {name!r}: {what}")


def states_itself(name: str, photo: ImageArray) -> None:  # noqa: ARG001 - every check takes a photo
    """Its name is the registered one; sizes and margins are in their ranges."""
    kind = DETECTORS.get(name)
    _expect(kind.name == name, name, f"its class is named {kind.name!r}")
    _expect(kind.longest is None or kind.longest >= 8, name, f"longest is {kind.longest}")
    _expect(0 <= kind.smallest <= 1, name, f"smallest is {kind.smallest}, expected 0 to 1")
    _expect(-0.5 < kind.margin < 2, name, f"margin is {kind.margin}")


def finds_the_face(name: str, photo: ImageArray) -> None:
    """One face, with its own name and a finite box that meets the image; the photo stays."""
    before = photo.copy()
    found = create(name)(photo)
    _expect(len(found) == 1, name, f"expected one face, got {len(found)}")
    _expect(bool((photo == before).all()), name, "it changed the photo")
    face = found[0]
    x, y, width, height = face.box
    _expect(face.detector == name, name, f"the face names {face.detector!r}")
    _expect(bool(np.isfinite(face.box).all()), name, f"the box is {face.box}")
    meets = x < photo.shape[1] and y < photo.shape[0] and x + width > 0 and y + height > 0
    _expect(width > 0 and height > 0 and meets, name, f"the box is {face.box}")
    sure = face.confidence
    _expect(sure is None or 0 < sure <= 1, name, f"expected a confidence in 0..1, got {sure}")
    marks = face.landmarks
    _expect(marks is None or marks.shape == (24, 2), name, "expected landmarks [24, 2] or None")


def takes_any_size(name: str, photo: ImageArray) -> None:  # noqa: ARG001 - every check takes a photo
    """Images of the oddest sizes are searched; what is found has a size."""
    detector = create(name)
    for shape in SHAPES:
        for face in detector(np.full((*shape, 3), 60, np.uint8)):
            _expect(min(face.box[2:]) > 0, name, f"an empty box in an image of {shape}")


def can_be_shared_by_threads(name: str, photo: ImageArray) -> None:
    """Threads that share one get what one thread gets."""
    detector = create(name)
    images = [photo, np.ascontiguousarray(photo[:, ::-1]), photo[2:-3, 3:-2].copy()]
    expected = [[face.box for face in detector(image)] for image in images]
    with ThreadPoolExecutor(4) as pool:
        found = [[face.box for face in faces] for faces in pool.map(detector, images * 4)]
    _expect(found == expected * 4, name, "threads get each other's faces")


#: What every detector goes through: each is called with its name and an image.
CHECKS: Final[tuple[Callable[[str, ImageArray], None], ...]] = (
    states_itself,
    finds_the_face,
    takes_any_size,
    can_be_shared_by_threads,
)
