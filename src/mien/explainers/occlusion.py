"""Occlusion and RISE: one patch hidden at a time, and many parts hidden at random."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mien.explainers.masks import CHUNK, baseline_pixels, evaluate_masks
from mien.explainers.method import Case, Evidence, method
from mien.explainers.parameters import Cells, Samples, Shown, Stride, Window
from mien.types import BoolArray, FloatArray, InputError


@method("occlusion", rank=50, title="Occlusion: a sliding window", tiny={"window": 12, "stride": 6})
def occlusion(case: Case, *, window: Window = 0, stride: Stride = 0) -> Evidence:
    """How far the score falls where a square window is hidden (Zeiler and Fergus 2014).

    Section 4.2 of arXiv:1311.2901. Each pixel holds the mean fall over the windows that cover
    it, per pixel of a window, so that a part's sum compares with other methods'. ``window`` and
    ``stride`` are in pixels; 0 means a quarter of the side, and a quarter of the window. What
    several parts say only together is not seen: the values need not add up.
    """
    size = case.pixels.shape[1]
    window = window or max(size // 4, 1)
    stride = stride or max(window // 4, 1)
    if not 1 <= window < size or not 1 <= stride <= window:
        raise InputError(
            f"expected a window of 1 to {size - 1} pixels and a stride up to the window, got "
            f"{window} and {stride}"
        )
    hidden = _windows(size, window, stride)
    baseline = baseline_pixels(case.pixels, case.baseline)
    base, value = case.score(np.stack([baseline, case.pixels]))[:, 0]
    chunks = (~hidden[i : i + CHUNK] for i in range(0, len(hidden), CHUNK))
    falls = value - evaluate_masks(case.score, case.pixels, baseline, chunks)[:, 0]
    covered = hidden.sum(axis=0)
    total = np.tensordot(falls, hidden.astype(np.float64), axes=1)
    return Evidence(
        values=total / np.maximum(covered, 1) / window**2,
        base=float(base),
        value=float(value),
        players=max((size // window) ** 2, 1),
        evaluations=len(hidden) + 2,
        efficient=False,
        options={"window": window, "stride": stride},
    )


def _windows(size: int, window: int, stride: int) -> BoolArray:
    """Windows ``[m, size, size]`` that cover every pixel: the last ones touch the border."""
    starts = sorted({*range(0, size - window + 1, stride), size - window})
    found = np.zeros((len(starts) ** 2, size, size), dtype=bool)
    for i, top in enumerate(starts):
        for j, left in enumerate(starts):
            found[i * len(starts) + j, top : top + window, left : left + window] = True
    return found


@method("rise", rank=60, title="RISE: random masks", budget={"samples": 256}, tiny={"samples": 300})
def rise(case: Case, *, samples: Samples = 1000, grid: Cells = 8, shown: Shown = 0.5) -> Evidence:
    """Mean score with a pixel shown less that with it hidden, over random masks (RISE).

    Petsiuk, Das and Saenko 2018 (arXiv:1806.07421): coarse random masks of ``grid`` x ``grid``
    cells, each shown with chance ``shown``, enlarged smoothly and shifted at random. The mean
    score is taken off first, so that values are signed and the choice of ``shown`` does not shift
    them. The scale is that of a cell's effect, spread over its pixels; values need not add up.
    """
    size = case.pixels.shape[1]
    if not 2 <= grid <= size or not 10 <= samples <= 100_000 or not 0.05 <= shown <= 0.95:
        raise InputError(
            f"expected a grid of 2 to {size}, 10 to 100000 samples and shown in 0.05..0.95, got "
            f"{grid}, {samples} and {shown}"
        )
    baseline = baseline_pixels(case.pixels, case.baseline)
    base, value = case.score(np.stack([baseline, case.pixels]))[:, 0]
    rng = np.random.default_rng(case.seed)
    # sums over the masks, of which no more than a chunk is in memory
    total, mask_sum, mask_squares, products = 0.0, *np.zeros((3, size, size))
    for masks in _soft_masks(rng, samples, grid, shown, size):
        gain = evaluate_masks(case.score, case.pixels, baseline, [masks])[:, 0] - base
        total += gain.sum()
        mask_sum += masks.sum(axis=0, dtype=np.float64)
        mask_squares += (masks**2).sum(axis=0, dtype=np.float64)
        products += np.tensordot(gain.astype(np.float64), masks, axes=1)
    # the covariance of score and mask over the mask's variance: the slope, pixel by pixel
    slope = products - total / samples * mask_sum
    slope /= np.maximum(mask_squares - mask_sum**2 / samples, 1e-9)
    return Evidence(
        values=slope * (grid / size) ** 2,
        base=float(base),
        value=float(value),
        players=grid**2,
        evaluations=samples + 2,
        efficient=False,
        seed=case.seed,
        options={"samples": samples, "grid": grid, "shown": shown},
    )


def _soft_masks(
    rng: np.random.Generator, samples: int, grid: int, shown: float, size: int
) -> Iterator[FloatArray]:
    """Masks ``[., size, size] float32`` in 0..1."""
    import cv2

    cell = -(-size // grid)
    side = (grid + 1) * cell
    for start in range(0, samples, CHUNK):
        count = min(CHUNK, samples - start)
        coarse = (rng.random((count, grid + 1, grid + 1)) < shown).astype(np.float32)
        shifts = rng.integers(0, cell, (count, 2))
        wide = (cv2.resize(m, (side, side), interpolation=cv2.INTER_LINEAR) for m in coarse)
        yield np.stack(
            [mask[y : y + size, x : x + size] for mask, (y, x) in zip(wide, shifts, strict=True)]
        )
