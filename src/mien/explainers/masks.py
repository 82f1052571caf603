"""One mask-and-baseline engine for every method that asks "what if this part were hidden?"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from mien.registry import choose
from mien.types import BoolArray, FloatArray, IntArray

BASELINES: Final = ("mean", "black", "blur")
CHUNK = 256  # masked crops in memory at once


def baseline_pixels(pixels: FloatArray, kind: str) -> FloatArray:
    """What stands where a part is hidden: pixels ``[C, h, w]`` in 0..255, never normalised values.

    ``mean`` is the crop's mean colour, ``black`` is 0 (black before normalisation), ``blur`` is
    the crop after a Gaussian of a sixth of its side.

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
    sigma = pixels.shape[1] / 6
    planes = [cv2.GaussianBlur(plane, (0, 0), sigma) for plane in pixels.astype(np.float32)]
    return np.asarray(np.stack(planes), dtype=pixels.dtype)


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
    results = []
    for start in range(0, len(coalitions), CHUNK):
        shown = coalitions[start : start + CHUNK][:, players][:, None]
        results.append(score(np.where(shown, pixels, baseline).astype(np.float32)))
    return np.concatenate(results).astype(np.float64)


def paint(values: FloatArray, players: IntArray) -> FloatArray:
    """A map ``[h, w]`` that spreads each player's value evenly over its pixels.

    The map sums to the players' values; a player without pixels must hold 0.
    """
    sizes = np.bincount(players.ravel(), minlength=len(values))
    return np.asarray((values / np.maximum(sizes, 1))[players], dtype=np.float64)
