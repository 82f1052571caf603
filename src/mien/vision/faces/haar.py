"""OpenCV's Haar cascade, the detector that needs nothing beyond the base install."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from mien.types import Box, Face, ImageArray, ModelError
from mien.vision.faces.base import DETECTORS, Detector, suppress

LONGEST = 1600  # pixels; larger images are shrunk for the search
SMALLEST = 24  # pixels, after shrinking
TEXTURE = 16  # grey levels within 9 pixels, from which a place is not flat
FLAT = 0.25  # share of the picture that is textured, below which the rest does not count
GreyArray = npt.NDArray[np.uint8]  # [H, W]
SHORTEST = 240  # pixels; smaller images are enlarged, for the cascade sees faces from 20 pixels


@DETECTORS.register("haar")
class Haar(Detector):
    """OpenCV's ``alt2`` frontal cascade (Viola and Jones 2001, doi:10.1109/CVPR.2001.990517)."""

    name = "haar"
    title = "upright faces from the front"
    margin = 0.02
    longest = LONGEST
    rank = 10

    def __init__(self) -> None:
        path = Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_alt2.xml"
        if not path.is_file() or not hasattr(cv2, "CascadeClassifier"):
            raise ModelError(
                f"expected OpenCV 4 with its Haar cascades, got {cv2.__version__} without; "
                'run: pip install "opencv-python-headless>=4.10,<5"'
            )
        self._cascade = cv2.CascadeClassifier(str(path))

    def detect(self, image: ImageArray) -> list[Face]:
        """Upright frontal faces; the cascade gives no confidence."""
        height, width = image.shape[:2]
        longest = max(height, width)
        scale = min(1.0, LONGEST / longest) if longest >= SHORTEST else SHORTEST / longest
        grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
        if scale != 1:
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            size = (max(round(width * scale), 1), max(round(height * scale), 1))
            grey = np.asarray(cv2.resize(grey, size, interpolation=how), dtype=np.uint8)
        found = self._cascade.detectMultiScale(
            equalised(grey), scaleFactor=1.1, minNeighbors=4, minSize=(SMALLEST, SMALLEST)
        )
        boxes: list[Box] = []
        for x, y, w, h in (tuple(map(float, box)) for box in found):
            boxes.append((x / scale, y / scale, w / scale, h / scale))
        kept = suppress(boxes, [box[2] for box in boxes])  # of one in the other, the larger stays
        return [Face(boxes[i], None, self.name) for i in kept]


def equalised(grey: GreyArray) -> GreyArray:
    """A grey picture ``[H, W] uint8`` with its levels spread evenly.

    Where most of it is flat, as a portrait on a large canvas is, only the levels of the rest
    count: spread over the whole picture, the canvas would take nearly all of them, and the face
    would keep two or three.
    """
    smooth = cv2.blur(grey, (5, 5))  # so that noise is not taken for texture
    change = cv2.morphologyEx(smooth, cv2.MORPH_GRADIENT, np.ones((9, 9), np.uint8))
    textured = change >= TEXTURE
    count = int(textured.sum())
    if not SMALLEST**2 <= count < FLAT * grey.size:
        return np.asarray(cv2.equalizeHist(grey), dtype=np.uint8)
    below = np.bincount(grey[textured], minlength=256).cumsum()
    lowest = int(below[np.flatnonzero(below)[0]])
    levels = np.round((below - lowest) * 255 / max(count - lowest, 1))
    return np.asarray(cv2.LUT(grey, levels.clip(0, 255).astype(np.uint8)), dtype=np.uint8)
