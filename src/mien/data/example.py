"""Files of the tiny examples that data sets write of their layouts: noise, no face is in them."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.types import ImageArray

SIDE = 48  # pixels


def noise(seed: int, side: int = SIDE) -> ImageArray:
    """Smooth noise ``[side, side]``, which survives JPEG and thumbnails."""
    import cv2

    small = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def save_image(path: Path, pixels: ImageArray | None = None) -> Path:
    """Write an image file, and its folders, in the format of its suffix; returns the path.

    Without pixels it is noise that depends on the file's name alone.

    Parameters
    ----------
    path
        The file; its suffix is the format.
    pixels
        What is in it; None is a small picture made from the file's name.
    """
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    made = noise(zlib.crc32(path.name.encode())) if pixels is None else pixels
    Image.fromarray(made).save(path)
    return path


def save_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """Write a CSV file and its folders; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def save_text(path: Path, text: str) -> Path:
    """Write a text file and its folders; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
