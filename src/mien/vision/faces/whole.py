"""The detector for images that are already face crops."""

from __future__ import annotations

from mien.types import Face, ImageArray
from mien.vision.faces.base import DETECTORS, Detector


@DETECTORS.register("none")
class WholeImage(Detector):
    """Takes the whole image as one face, as it stands: no alignment, no search.

    >>> import numpy as np
    >>> WholeImage()(np.zeros((48, 48, 3), dtype=np.uint8))[0].box
    (0.0, 0.0, 48.0, 48.0)
    """

    name = "none"
    title = "none: the photo is a face crop"

    def detect(self, image: ImageArray) -> list[Face]:
        """One face with the box of the image."""
        height, width = image.shape[:2]
        return [Face((0.0, 0.0, float(width), float(height)), None, self.name)]
