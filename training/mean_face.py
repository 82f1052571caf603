"""The mean of drawn neutral faces, registered as crops are: the baseline ``face``.

Run ``python -m training.mean_face``; it writes ``src/mien/models/weights/mean_face.png``.
"""

from __future__ import annotations

import argparse
from itertools import count as count_from
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mien.data.scene import person
from mien.data.synthetic import face
from mien.models.onnx import Model
from mien.models.weights import locate
from mien.vision.geometry import align, cut

SIZE = 96  # pixels
FACES = 200
BLUR = 2.0  # pixels; drawn lines are sharper than a mean of photographs would be


def mean_face(count: int = FACES) -> np.ndarray:
    """Mean ``[SIZE, SIZE] uint8`` of ``count`` neutral faces without glasses, and its mirror."""
    template = Model(locate("mien")).template
    total = np.zeros((SIZE, SIZE))
    bare = (number for number in count_from(0) if not person(number).glasses)
    for subject in islice(bare, count):
        drawn = face("neutral", subject=subject, size=192)
        crop = cut(drawn.image, align(drawn.landmarks, template, SIZE), SIZE)
        total += np.asarray(Image.fromarray(crop).convert("L"), dtype=float)
    mean = cv2.GaussianBlur((total + total[:, ::-1]) / (2 * count), (0, 0), BLUR)
    return np.asarray(mean.round(), dtype=np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    where = Path(__file__).parents[1] / "src" / "mien" / "models" / "weights" / "mean_face.png"
    parser.add_argument("--output", type=Path, default=where)
    Image.fromarray(mean_face()).save(parser.parse_args().output, optimize=True)


if __name__ == "__main__":
    main()
