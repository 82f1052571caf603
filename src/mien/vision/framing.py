"""How pictures became a network's crops: what its training images were, and what it must be shown.

The policy travels in the data, the run and the model's card, so that a photo is treated exactly as
the training images were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from mien.registry import choose
from mien.types import FloatArray, ImageArray, InputError
from mien.vision.geometry import DISPLAY, Preprocess, box_matrix, cut, rescale, sample

CROPS: Final = ("none", "box", "aligned")
FITS: Final = ("squash", "pad")
LARGEST: Final = 2048  # pixels, the side of a stored crop


@dataclass(frozen=True)
class Framing:
    """What a network's training images were.

    ``crop`` is ``none`` (whole pictures, as their owners cut them), ``box`` (the square around the
    face that ``detector`` found, widened by ``margin`` of its side) or ``aligned`` (turned, moved
    and scaled, so that eyes and mouth lie where the template has them). A whole picture that is no
    square is squashed into one, or padded by its edges, as ``fit`` says. ``size`` is the side in
    pixels of the crops as they were stored, before the network's own size; 0 where the pictures
    were left as they are.

    Raises InputError for what no data can be.

    >>> Framing("aligned", size=192, detector="blazeface").words
    'aligned crops of 192 pixels, faces found by blazeface'
    """

    crop: str = "none"
    fit: str = "squash"
    size: int = 0
    detector: str = ""
    margin: float = 0.0

    def __post_init__(self) -> None:
        choose("crop", self.crop, CROPS)
        choose("fit", self.fit, FITS)
        stored = self.crop != "none" or self.fit == "pad"
        if type(self.size) is not int or not 0 <= self.size <= LARGEST or stored != bool(self.size):
            raise InputError(
                f"expected a size of 1 to {LARGEST} for crops that are stored, 0 for pictures as "
                f"they are, got {self.size!r} for {self.crop}, {self.fit}"
            )
        if bool(self.detector) != (self.crop != "none"):
            raise InputError(f"expected a detector of {self.crop!r} crops, got {self.detector!r}")

    @property
    def words(self) -> str:
        """The policy in a few words."""
        if self.crop == "none":
            padded = f"padded to squares of {self.size} pixels"
            return f"whole pictures, {'squashed' if self.fit == 'squash' else padded}"
        what = "aligned crops" if self.crop == "aligned" else f"boxes widened by {self.margin:.2f}"
        return f"{what} of {self.size} pixels, faces found by {self.detector}"

    def stored(self, image: ImageArray, matrix: FloatArray) -> ImageArray:
        """The crop as it is stored; ``matrix`` leads to pixels of a crop of :data:`DISPLAY`."""
        return cut(image, rescale(matrix, self.size / DISPLAY), self.size)


def whole_matrix(image: ImageArray, fit: str) -> FloatArray:
    """Matrix ``[2, 3]`` from a picture's pixels to those of a crop of all of it.

    >>> import numpy as np
    >>> whole_matrix(np.zeros((96, 384, 3), np.uint8), "squash").tolist()
    [[0.5, 0.0, -0.25], [0.0, 2.0, 0.5]]
    """
    height, width = image.shape[:2]
    if fit == "pad":
        return box_matrix((0.0, 0.0, float(width), float(height)), DISPLAY)
    across, down = DISPLAY / width, DISPLAY / height
    return np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]])


def shown(
    image: ImageArray, matrix: FloatArray, how: Preprocess, framing: Framing | None, *, whole: bool
) -> FloatArray:
    """A network's pixels ``[C, size, size]`` of a crop, as its training images became its input.

    ``whole`` says that the crop is all of the picture.
    """
    if framing is None:
        return sample(image, matrix, how)
    if whole and framing.fit == "squash":
        return how.pixels(image)
    return how.pixels(framing.stored(image, matrix)) if framing.size else sample(image, matrix, how)
