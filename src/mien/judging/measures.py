"""How good a heat map is: pure functions on arrays.

Where pixels hold equal values (maps made of blocks do), their order is drawn at random from a
seed, so that neither method nor corner of the picture gains by it.
"""

from __future__ import annotations

import numpy as np

from mien.types import BoolArray, FloatArray, InputError, IntArray


def ranking(values: FloatArray, seed: int = 0) -> IntArray:
    """Flat indices of a map's pixels, from most evidence to least, ties in random order.

    >>> ranking(np.array([[0.0, 3.0], [1.0, 2.0]])).tolist()
    [1, 3, 2, 0]
    """
    flat = np.asarray(values, dtype=np.float64).ravel()
    chance = np.random.default_rng(seed).permutation(flat.size)
    # what differs by rounding alone is equal: block maps are sums of the same numbers
    rounded = np.round(flat / max(float(np.abs(flat).max()), 1e-300), 9)
    return np.asarray(np.lexsort((chance, -rounded)))


def top(values: FloatArray, share: float, seed: int = 0) -> BoolArray:
    """The ``share`` of pixels with most evidence, as a mask of the map's shape."""
    if not 0 < share <= 1:
        raise InputError(f"share: expected more than 0 and at most 1, got {share}")
    count = max(round(share * values.size), 1)
    mask = np.zeros(values.size, dtype=bool)
    mask[ranking(values, seed)[:count]] = True
    return mask.reshape(values.shape)


def dice(one: BoolArray, other: BoolArray) -> float:
    """Dice overlap of two masks, 0..1 (Dice 1945): twice the common part over both sizes.

    >>> dice(np.array([True, True, False]), np.array([False, True, False])) == 2 / 3
    True
    """
    both = int(one.sum()) + int(other.sum())
    return 2 * float((one & other).sum()) / both if both else 1.0


def sparseness(values: FloatArray) -> float:
    """Gini index of the absolute values: 0 for an even map, towards 1 for a single pixel.

    Chalasani et al. 2020 (arXiv:1810.06583).

    >>> round(sparseness(np.ones((4, 4))), 6), round(sparseness(np.eye(10)), 1)
    (0.0, 0.9)
    """
    size = np.sort(np.abs(np.asarray(values, dtype=np.float64)).ravel())
    total = size.sum()
    if total <= 0:
        return 0.0
    rank = np.arange(1, size.size + 1)
    return float(((2 * rank - size.size - 1) * size).sum() / (size.size * total))


def rank_correlation(one: FloatArray, other: FloatArray) -> float:
    """Spearman's correlation of two arrays, ties at their mean rank; 0 where one is constant.

    >>> rank_correlation(np.array([1.0, 2, 3]), np.array([10.0, 20, 25]))
    1.0
    """
    return correlation(_ranks(one), _ranks(other))


def correlation(one: FloatArray, other: FloatArray) -> float:
    """Pearson's correlation of two arrays of one shape; 0 where one is constant but for rounding.

    >>> correlation(np.array([1e-9, 2e-9, 3e-9]), np.array([5.0, 6.0, 7.0]))
    1.0
    """
    a, b = (np.asarray(x, dtype=np.float64).ravel() for x in (one, other))
    flat = [np.ptp(x) <= 1e-9 * np.abs(x).max(initial=0.0) for x in (a, b)]
    if any(flat):
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    return round(float(a @ b) / float(np.linalg.norm(a) * np.linalg.norm(b)), 12)


def _ranks(values: FloatArray) -> FloatArray:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return np.asarray((last - (count - 1) / 2)[place].ravel(), dtype=np.float64)


def infidelity(values: FloatArray, hidden: BoolArray, falls: FloatArray) -> float:
    """How badly a map predicts what hiding parts of the crop does: 0 is perfect, 1 says nothing.

    Yeh et al. 2019 (arXiv:1901.09392, definition 2.1) for hidden masks ``[m, h, w]`` and the
    falls of the score ``[m]``: the squared error of the sum of the hidden values, after the best
    common scale, over the squared falls. The scale is free because methods differ in their units.

    >>> values = np.array([[1.0, 2.0]])
    >>> infidelity(values, np.array([[[True, False]], [[False, True]]]), np.array([2.0, 4.0]))
    0.0
    """
    predicted = hidden.reshape(len(hidden), -1).astype(np.float64) @ values.ravel()
    power = float(predicted @ predicted)
    scale = float(predicted @ falls) / power if power > 0 else 0.0
    return float(((scale * predicted - falls) ** 2).sum() / max(float(falls @ falls), 1e-12))


def widened(mask: BoolArray, share: float) -> BoolArray:
    """A square mask grown by a disc whose radius is a share of its side."""
    import cv2

    radius = round(share * mask.shape[0])
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc) > 0)


def pointing(values: FloatArray, truth: BoolArray) -> float:
    """Whether the strongest pixel lies in a mask (the pointing game, Zhang et al. 2018), 0..1.

    Among equally strong pixels, the share that does. The game widens the true evidence by 15
    pixels of 224 first: :func:`widened`.
    """
    best = values >= values.max() - 1e-9 * max(float(np.abs(values).max()), 1e-300)
    return float(truth[best].mean())


def edges(pixels: FloatArray) -> FloatArray:
    """How strong the edges of a crop ``[C, h, w]`` are at each pixel, by Sobel's operator.

    A map that knows the picture and no model: what explains nothing should be no better than it
    (Adebayo et al. 2018, section 5.1).

    >>> import numpy as np
    >>> step = np.repeat([[0.0, 0.0, 1.0, 1.0]], 4, axis=0)[None]
    >>> edges(step)[1].tolist()
    [0.0, 4.0, 4.0, 0.0]
    """
    import cv2

    grey = np.asarray(pixels, dtype=np.float64).mean(axis=0)
    across, down = (cv2.Sobel(grey, cv2.CV_64F, *way) for way in ((1, 0), (0, 1)))
    return np.asarray(np.hypot(across, down))


def mass_inside(values: FloatArray, truth: BoolArray) -> float:
    """Share of the evidence for the target that lies in a mask, 0..1; 0 where there is none."""
    positive = np.maximum(values, 0)
    total = float(positive.sum())
    return float(positive[truth].sum()) / total if total > 0 else 0.0


def concentration(
    values: FloatArray, labels: IntArray, count: int
) -> tuple[FloatArray, FloatArray]:
    """Shares ``[n]`` of the absolute evidence and of the area that each of n regions has."""
    size = np.bincount(labels.ravel(), weights=np.abs(values).ravel(), minlength=count)
    area = np.bincount(labels.ravel(), minlength=count) / labels.size
    return size / max(float(size.sum()), 1e-300), area


def probability_curve_area(probabilities: FloatArray) -> float:
    """Area under a curve of probabilities at even steps from nothing to everything, 0..1."""
    p = np.asarray(probabilities, dtype=np.float64)
    return float(((p[1:] + p[:-1]) / 2).mean())


def permutation_p(
    scores: FloatArray, own: IntArray, rounds: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Mean of ``scores[i, own[i]]`` and how often shuffled expectations reach it.

    ``scores`` ``[N, K]`` holds each crop's score under each of K expectations, ``own`` which of
    them is its own; the shuffle deals the same expectations out anew. The p-value counts the
    observed deal, so it is never 0 (Phipson and Smyth 2010).
    """
    rng = np.random.default_rng(seed)
    rows = np.arange(len(own))
    seen = float(scores[rows, own].mean())
    dealt = np.array([scores[rows, rng.permutation(own)].mean() for _ in range(rounds)])
    return seen, float((1 + (dealt >= seen - 1e-12).sum()) / (rounds + 1))
