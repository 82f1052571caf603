"""Geometry and pixels of a face crop: alignment, cropping, and what a model wants to see."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from mien.types import Box, FloatArray, ImageArray, InputError
from mien.vision.landmarks import INDEX, eye_centres

DISPLAY = 192  # pixels, the side of the crop that is kept for pictures

T = TypeVar("T")


@dataclass(frozen=True)
class Preprocess:
    """How pixels become a network's input; it travels in the model's card.

    ``size`` is the side of the square input, ``channels`` 1 (grey) or 3 (RGB), ``mean`` and
    ``std`` are per channel for pixels in 0..1, and ``margin`` is the part of a detector's box
    (of its longer side) that is added around it where a face cannot be aligned.
    """

    size: int  # pixels a side
    channels: int  # 1 (grey) or 3 (RGB)
    mean: tuple[float, ...]  # taken off each channel, of values in 0..1
    std: tuple[float, ...]  # divides each channel afterwards
    margin: float = 0.0  # added around the aligned crop, in its sides

    def __post_init__(self) -> None:
        fits = len(self.mean) == self.channels == len(self.std)
        if self.channels not in (1, 3) or not fits or min(self.std) <= 0 or self.size < 1:
            raise InputError(
                "expected a size of at least 1 and 1 or 3 channels with as many means and positive "
                f"stds, got size {self.size}, {self.channels} channels, mean {self.mean}, "
                f"std {self.std}"
            )

    def pixels(self, crop: ImageArray) -> FloatArray:
        """A crop ``[H, W, 3] uint8`` as ``[channels, size, size]`` float32 in 0..255.

        Parameters
        ----------
        crop
            ``[H, W, 3] uint8``.

        >>> import numpy as np
        >>> how = Preprocess(size=48, channels=1, mean=(0.5,), std=(0.25,))
        >>> how.pixels(np.full((192, 192, 3), 100, dtype=np.uint8)).shape
        (1, 48, 48)
        """
        import cv2

        image = crop if self.channels == 3 else cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        if image.shape[:2] != (self.size, self.size):
            shrinks = min(image.shape[:2]) >= self.size
            how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
            image = cv2.resize(image, (self.size, self.size), interpolation=how)
        planes = image[None] if self.channels == 1 else image.transpose(2, 0, 1)
        return np.ascontiguousarray(planes, dtype=np.float32)

    def normalise(self, pixels: FloatArray) -> FloatArray:
        """Pixels ``[N, C, H, W]`` in 0..255 to what the network was trained on.

        Parameters
        ----------
        pixels
            ``[N, C, h, w]`` in 0..255.
        """
        mean = np.asarray(self.mean, dtype=np.float32)[:, None, None]
        std = np.asarray(self.std, dtype=np.float32)[:, None, None]
        return np.ascontiguousarray((pixels / 255 - mean) / std, dtype=np.float32)


def anchors(landmarks: FloatArray) -> FloatArray:
    """The three points ``[3, 2]`` that alignment rests on: both eyes and the mouth's centre."""
    mouth = (landmarks[INDEX["mouth_left"]] + landmarks[INDEX["mouth_right"]]) / 2
    return np.vstack([eye_centres(landmarks), mouth])


def align(have: FloatArray, template: FloatArray, size: int) -> FloatArray:
    """Matrix ``[2, 3]`` from image pixels to pixels of a crop of ``size`` x ``size``.

    ``have`` are a face's :func:`anchors` ``[3, 2]``, or its landmarks ``[24, 2]``.
    The roll is taken from the eyes alone; scale and place from eyes and mouth, so that a face
    turned aside (whose eyes are close together) is not enlarged. ``template`` is in 0..1.
    """
    wanted = anchors(template * size - 0.5)
    have = have if len(have) == 3 else anchors(have)
    across = have[1] - have[0]
    roll = np.arctan2(across[1], across[0])
    turn = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    level = (have - have.mean(axis=0)) @ turn.T
    scale = np.linalg.norm(wanted - wanted.mean(axis=0)) / np.linalg.norm(level)
    linear = turn * scale
    return np.column_stack([linear, wanted.mean(axis=0) - linear @ have.mean(axis=0)])


def box_matrix(box: Box, size: int, margin: float = 0.0) -> FloatArray:
    """Matrix ``[2, 3]`` that takes the square around ``box``, widened by ``margin``, to a crop."""
    x, y, width, height = box
    side = max(width, height) * (1 + 2 * margin)
    left, top = x + width / 2 - side / 2, y + height / 2 - side / 2
    scale = size / side
    return np.array([[scale, 0, (0.5 - left) * scale - 0.5], [0, scale, (0.5 - top) * scale - 0.5]])


def transform(points: FloatArray, matrix: FloatArray) -> FloatArray:
    """Points ``[..., 2]`` moved by a matrix ``[2, 3]``."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def invert(matrix: FloatArray) -> FloatArray:
    """The matrix ``[2, 3]`` that undoes another."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def largest(things: Iterable[T], box: Callable[[T], Box]) -> T | None:
    """What has the box of the largest area, the first of equals; None where there is nothing.

    >>> largest([(0, 0, 9, 9), (5, 5, 20, 5)], lambda box: box)
    (5, 5, 20, 5)
    """

    def area(thing: T) -> float:
        _, _, width, height = box(thing)
        return width * height

    return max(things, key=area, default=None)


def shrink(image: ImageArray, scale: float) -> ImageArray:
    """The image at ``scale`` times its size (at least 1 pixel), by area averaging."""
    import cv2

    height, width = image.shape[:2]
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def cut(image: ImageArray, matrix: FloatArray, size: int = DISPLAY) -> ImageArray:
    """The crop ``[size, size, 3]`` that ``matrix`` (to pixels of that crop) takes from the image.

    Beyond the image its edge is repeated. A large face is shrunk by area averaging, so that the
    crop does not alias; one that fits pixel by pixel is copied as it stands.
    """
    import cv2

    # only the part around the crop is processed, however large the photo is
    corners = transform(_CORNERS * (size - 1), invert(matrix))
    limits = np.array([image.shape[1], image.shape[0]])
    low = np.clip(np.floor(corners.min(axis=0)).astype(int) - 2, 0, limits - 1)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 3, low + 1, limits)
    part = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
    matrix = matrix @ np.array([[1, 0, low[0]], [0, 1, low[1]], [0, 0, 1]])
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if scale < 0.75:
        # to between one and two pixels of the source for each of the crop, then bilinear
        small = shrink(part, min(1.5 * scale, 1.0))
        sx, sy = part.shape[1] / small.shape[1], part.shape[0] / small.shape[0]
        matrix = matrix @ np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2], [0, 0, 1]])
        part = small
    return np.asarray(
        cv2.warpAffine(
            part, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ),
        dtype=np.uint8,
    )


_CORNERS = np.array([[0.0, 0.0], [1, 0], [0, 1], [1, 1]])


def sample(image: ImageArray, matrix: FloatArray, how: Preprocess) -> FloatArray:
    """A network's pixels ``[channels, size, size]`` of the crop that ``matrix`` cuts.

    ``matrix`` leads to pixels of a crop of :data:`DISPLAY`. The crop is cut at a whole multiple
    of the network's size and averaged down, so that a crop of that very size passes unchanged.
    """
    matrix = rescale(matrix, how.size / DISPLAY)
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    times = int(np.clip(np.floor(1 / scale), 1, 4))
    return how.pixels(cut(image, rescale(matrix, times), how.size * times))


def rescale(matrix: FloatArray, factor: float) -> FloatArray:
    """The matrix for the same crop with ``factor`` times as many pixels a side."""
    scaled = matrix * factor
    scaled[:, 2] += (factor - 1) / 2
    return np.asarray(scaled)
