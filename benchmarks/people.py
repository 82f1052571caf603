"""Pictures in which faces are counted: photographs, crowds by size and by turn, none at all."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mien.types import Box, FloatArray, ImageArray
from mien.vision.read import read_image

#: An npm package with six photographs of people (MIT), and the faces that we counted in each.
PACKAGE = "@vladmandic/face-api@1.7.15"
COUNTED = {1: 3, 2: 3, 3: 3, 4: 4, 5: 5, 6: 4}
PAGE = (640, 480)
CELLS = [(row, column) for row in range(2) for column in range(3)]
TEXTURES = (
    *("brick", "cell", "chelsea", "chessboard_GRAY", "chessboard_RGB", "clock_motion", "coffee"),
    *("coins", "color", "grass", "gravel", "horse", "ihc", "logo", "microaneurysms", "moon"),
    *("motorcycle_left", "page", "phantom", "text"),
)


@dataclass(frozen=True, eq=False)
class Page:
    """A picture, and where its faces are: centre x, y, and the width of a face, in pixels."""

    image: ImageArray
    centres: tuple[tuple[float, float], ...]
    width: float

    def hits(self, boxes: Sequence[Box]) -> tuple[int, int]:
        """How many of its faces a detector found, and how many boxes show none of them."""
        left = list(boxes)
        found = 0
        for x, y in self.centres:
            for box in left:
                near = max(abs(box[0] + box[2] / 2 - x), abs(box[1] + box[3] / 2 - y))
                if near < self.width / 2 and 0.5 < max(box[2:]) / self.width < 2.2:
                    found += 1
                    left.remove(box)
                    break
        return found, len(left)


def photographs(folder: Path, longest: int = 1280) -> list[tuple[ImageArray, int]]:
    """The package's photographs with their counts, fetched into ``folder`` by npm."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (files := list(folder.glob("*.tgz"))):
        command = ["npm", "pack", "--silent", PACKAGE]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        files = list(folder.glob("*.tgz"))
    counted = []
    with tarfile.open(files[0]) as package:
        for number, faces in COUNTED.items():
            member = package.extractfile(f"package/demo/sample{number}.jpg")
            assert member is not None
            counted.append((_at_most(read_image(member.read()), longest), faces))
    return counted


def without_faces(folder: Path | None, longest: int = 1280) -> list[ImageArray]:
    """Textures, animals, things and drawings of two packages, and a folder's pictures."""
    import skimage.data
    from sklearn.datasets import load_sample_images

    data = Path(skimage.data.__file__).parent
    images = [read_image(data / f"{name}.png") for name in TEXTURES]
    images += [read_image(data / f"{name}.jpg") for name in ("hubble_deep_field", "retina")]
    images += [read_image(data / "rocket.jpg"), *load_sample_images().images]
    kinds = (".jpg", ".jpeg", ".png", ".webp")
    files = [] if folder is None else sorted(folder.rglob("*"))
    images += [read_image(file) for file in files if file.suffix.lower() in kinds]
    return [_at_most(image, longest) for image in images]


def real_crops(table: Path, count: int) -> list[ImageArray]:
    """Some of a table's face crops (a Parquet file with ``image``); none of them is kept."""
    import pyarrow.parquet as pq

    column = pq.read_table(table, columns=["image"])["image"]
    chosen = np.random.default_rng(1).permutation(len(column))[:count]
    pictures = [Image.open(io.BytesIO(column[int(i)].as_py())) for i in chosen]
    return [np.asarray(picture.convert("RGB")) for picture in pictures]


def crowd(
    crops: Sequence[ImageArray],
    backgrounds: Sequence[ImageArray],
    *,
    width: int,
    degrees: float = 0.0,
    part: float = 0.8,
) -> list[Page]:
    """Pages of six faces each, ``width`` pixels wide and turned by ``degrees`` to either side.

    ``part`` is the part of a crop's side that its face is wide. Edges are soft, and each page has
    another background.
    """
    rng = np.random.default_rng([3, width, round(abs(degrees))])
    pages = []
    for start in range(0, len(crops), len(CELLS)):
        back = backgrounds[int(rng.integers(len(backgrounds)))]
        scale = 1.01 * max(PAGE[0] / back.shape[1], PAGE[1] / back.shape[0])
        size = (int(back.shape[1] * scale), int(back.shape[0] * scale))
        page = cv2.resize(back, size, interpolation=cv2.INTER_AREA)[: PAGE[1], : PAGE[0]]
        image: FloatArray = page.astype(np.float64)
        centres = []
        for crop, (row, column) in zip(crops[start : start + len(CELLS)], CELLS, strict=False):
            room = np.array([PAGE[0] / 3, PAGE[1] / 2])
            margin = np.minimum(0.75 * width / part, room / 2 - 1)
            x, y = np.array([column, row]) * room + rng.uniform(margin, room - margin)
            image = pasted(image, crop, (x, y), width / part, degrees * rng.choice([-1, 1]))
            centres.append((float(x), float(y)))
        pages.append(Page(image.round().astype(np.uint8), tuple(centres), width))
    return pages


def turned(image: ImageArray, degrees: float) -> ImageArray:
    """A photograph turned about its middle, on a canvas that holds all of it."""
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    size = np.abs(matrix[:, :2]) @ [width, height]
    matrix[:, 2] += size / 2 - [width / 2, height / 2]
    return np.asarray(
        cv2.warpAffine(image, matrix, (int(size[0]), int(size[1])), flags=cv2.INTER_LINEAR),
        dtype=np.uint8,
    )


def pasted(
    image: FloatArray, crop: ImageArray, centre: tuple[float, float], side: float, degrees: float
) -> FloatArray:
    """A picture with a crop laid over it, ``side`` pixels wide, turned, its edges soft."""
    whole = crop.shape[0]
    shown = min(whole, max(round(1.5 * side), 1))  # so that what is shrunk does not alias
    small = cv2.resize(crop, (shown, shown), interpolation=cv2.INTER_AREA)
    mask = np.zeros((shown, shown), np.float32)
    middle = (shown // 2, shown // 2)
    cv2.ellipse(mask, middle, (int(shown * 0.45), int(shown * 0.47)), 0, 0, 360, (1.0,), -1)
    mask = cv2.GaussianBlur(mask, (0, 0), max(shown * 0.025, 0.1))
    matrix = cv2.getRotationMatrix2D(middle, degrees, side / shown)
    matrix[:, 2] += np.array(centre) - middle
    size = image.shape[1::-1]
    alpha = cv2.warpAffine(mask, matrix, size)[:, :, None]
    return np.asarray(image * (1 - alpha) + cv2.warpAffine(small, matrix, size) * alpha)


def _at_most(image: ImageArray, longest: int) -> ImageArray:
    scale = longest / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
