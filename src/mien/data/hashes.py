"""Measures of likeness between images: perceptual hash, blankness, thumbnails and correlation."""

from __future__ import annotations

import numpy as np

from mien.types import FloatArray, ImageArray

SIDE = 32  # thumbnails, pixels
BLANK = 1.0  # standard deviation in grey levels below which an image shows nothing


def thumbnail(pixels: ImageArray, side: int = SIDE) -> FloatArray:
    """Grey thumbnail ``[side, side] float32`` of ``[H, W, 3]``."""
    import cv2

    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def is_blank(pixels: ImageArray) -> bool:
    """Whether an image shows nothing: its grey levels hardly differ."""
    return float(pixels.mean(axis=2).std()) < BLANK


def perceptual_hash(small: FloatArray) -> int:
    """64 bits of a thumbnail: signs of its lowest 8 x 8 cosine frequencies about their median.

    Zauner 2010, "Implementation and benchmarking of perceptual image hash functions". The
    constant term is left out, so that brightness does not matter.

    >>> import numpy as np
    >>> ramp = np.tile(np.arange(32, dtype=np.float32), (32, 1))
    >>> perceptual_hash(ramp) == perceptual_hash(ramp + 20)
    True
    """
    import cv2

    low = cv2.dct(small)[:8, :8].ravel()[1:]
    bits = low > np.median(low)
    return int(sum(1 << i for i in np.flatnonzero(bits)))


def normalised(small: FloatArray) -> FloatArray:
    """A thumbnail as a vector of mean 0 and length 1, so that a dot product is a correlation."""
    flat = small.ravel() - small.mean()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-6), dtype=np.float32)
