"""One mask-and-baseline engine for every method that asks "what if this part were hidden?"."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Final

import numpy as np
from PIL import Image

from mien.models.weights import HERE
from mien.registry import choose
from mien.types import BoolArray, FloatArray, IntArray

BASELINES: Final = ("mean", "black", "blur", "face")  # what may stand where a part is hidden
MEAN_CONTRAST = 0.6  # of the baseline ``face``: a mean has less contrast than any one face
CHUNK = 256  # masked crops in memory at once


def baseline_pixels(pixels: FloatArray, kind: str) -> FloatArray:
    """What stands where a part is hidden: pixels ``[C, h, w]`` in 0..255, never normalised values.

    ``mean`` is the crop's mean colour, ``black`` is 0 (black before normalisation), ``blur`` is
    the crop after a Gaussian of a sixth of its side, ``face`` is the mean of drawn neutral faces,
    registered as crops are, with the crop's brightness and part of its contrast: what a face
    without an expression might show there.

    >>> import numpy as np
    >>> float(baseline_pixels(np.full((1, 4, 4), 7.0), "mean").max())
    7.0
    """
    import cv2

    kind = choose("baseline", kind, BASELINES)
    if kind == "black":
        return np.zeros_like(pixels)
    if kind == "mean":
        return np.broadcast_to(pixels.mean(axis=(1, 2), keepdims=True), pixels.shape).copy()
    if kind == "face":
        return _mean_face(pixels)
    sigma = pixels.shape[1] / 6
    planes = [cv2.GaussianBlur(plane, (0, 0), sigma) for plane in pixels.astype(np.float32)]
    return np.asarray(np.stack(planes), dtype=pixels.dtype)


def _mean_face(pixels: FloatArray) -> FloatArray:
    """The mean face at the crop's size, with each channel's mean and part of its spread."""
    import cv2

    size = pixels.shape[1]
    face = cv2.resize(_stored_face(), (size, size), interpolation=cv2.INTER_AREA)
    unit = (face - face.mean()) / max(float(face.std()), 1e-6)
    mean = pixels.mean(axis=(1, 2), keepdims=True)
    spread = pixels.std(axis=(1, 2), keepdims=True)
    return np.asarray(np.clip(mean + MEAN_CONTRAST * spread * unit, 0, 255), dtype=pixels.dtype)


@cache
def _stored_face() -> FloatArray:
    path = HERE / "mean_face.png"
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"), dtype=np.float32)


def evaluate_coalitions(
    score: Callable[[FloatArray], FloatArray],
    pixels: FloatArray,
    baseline: FloatArray,
    players: IntArray,
    coalitions: BoolArray,
) -> FloatArray:
    """Scores ``[m, K]`` of the crop with the players of each coalition shown, the rest hidden.

    Parameters
    ----------
    score
        Takes pixels ``[N, C, h, w]`` in 0..255 to logits ``[N, K]``.
    pixels, baseline
        ``[C, h, w]``: the crop, and what stands where a player is absent.
    players
        ``[h, w]``: the player that owns each pixel.
    coalitions
        ``[m, n]``: which of n players are shown in each of m pictures.
    """
    chunks = (coalitions[i : i + CHUNK] for i in range(0, len(coalitions), CHUNK))
    return evaluate_masks(score, pixels, baseline, (chunk[:, players] for chunk in chunks))


def evaluate_masks(
    score: Callable[[FloatArray], FloatArray],
    pixels: FloatArray,
    baseline: FloatArray,
    masks: Iterable[FloatArray | BoolArray],
) -> FloatArray:
    """Scores ``[m, K]`` of the crop seen through masks, which come in chunks ``[., h, w]``.

    A mask is 1 where the crop is shown, 0 where the baseline is, and mixes them between.
    """
    results = []
    for chunk in masks:
        shown = chunk[:, None]
        if chunk.dtype == bool:
            seen = np.where(shown, pixels, baseline)
        else:
            seen = shown * pixels + (1 - shown) * baseline
        results.append(score(seen.astype(np.float32)))
    return np.concatenate(results).astype(np.float64)


def paint(values: FloatArray, players: IntArray) -> FloatArray:
    """A map ``[h, w]`` that spreads each player's value evenly over its pixels.

    The map sums to the players' values; a player without pixels must hold 0.
    """
    sizes = np.bincount(players.ravel(), minlength=len(values))
    return np.asarray((values / np.maximum(sizes, 1))[players], dtype=np.float64)
