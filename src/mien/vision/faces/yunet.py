"""YuNet, for users who have fetched its file."""

from __future__ import annotations

from typing import Final

import cv2

from mien.fetch import Remote, fetched
from mien.types import Face, ImageArray, ModelError
from mien.vision.faces.base import DETECTORS, Detector, suppress
from mien.vision.geometry import shrink

LONGEST = 1280  # pixels; larger images are shrunk for the search
REMOTE: Final = Remote(
    name="yunet",
    url="https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/face_detection_yunet_2023mar.onnx",
    sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    bytes=232_589,
    licence="MIT",
    purpose="face detector (Wu et al. 2023, doi:10.1007/s11633-023-1423-y)",
)


@DETECTORS.register("yunet")
class YuNet(Detector):
    """Wu et al. 2023 (doi:10.1007/s11633-023-1423-y), by OpenCV's ``FaceDetectorYN``."""

    name = "yunet"
    title = "near and far faces, by another network"
    margin = 0.02
    longest = LONGEST
    rank = 20
    remote = REMOTE

    @classmethod
    def available(cls) -> bool:
        """Whether ``mien models fetch yunet`` has brought the file."""
        return fetched(REMOTE) is not None

    def __init__(self) -> None:
        path = fetched(REMOTE)
        if path is None:
            raise ModelError(
                f"the detector 'yunet' needs {REMOTE.path}, which is not there; "
                "run: mien models fetch yunet"
            )
        try:
            self._net = cv2.FaceDetectorYN.create(str(path), "", (320, 320), 0.6, 0.3, 500)
        except cv2.error as error:
            raise ModelError(
                f"{path}: expected the YuNet model, but OpenCV cannot read it; "
                "delete it and run: mien models fetch yunet"
            ) from error

    def detect(self, image: ImageArray) -> list[Face]:
        """Faces from about 10 pixels up."""
        height, width = image.shape[:2]
        scale = min(1.0, LONGEST / max(height, width))
        small = shrink(image, scale) if scale < 1 else image
        bgr = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
        self._net.setInputSize((bgr.shape[1], bgr.shape[0]))
        _, found = self._net.detect(bgr)
        faces = []
        for row in [] if found is None else found:
            x, y, w, h = (float(v) / scale for v in row[:4])
            faces.append(Face((x, y, w, h), float(min(max(row[14], 0.0), 1.0)), self.name))
        kept = suppress([face.box for face in faces], [face.confidence or 0 for face in faces])
        return [faces[i] for i in kept]
