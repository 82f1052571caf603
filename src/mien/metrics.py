"""Scores of a classifier: pure functions on arrays, each with its interval where it has one."""

from __future__ import annotations

import math

import numpy as np

from mien.types import FloatArray, InputError, IntArray


def _checked(truth: IntArray, guess: IntArray) -> tuple[IntArray, IntArray]:
    if truth.shape != guess.shape or truth.ndim != 1 or not len(truth):
        raise InputError(
            f"expected two label arrays of one length >= 1, got {truth.shape} and {guess.shape}"
        )
    return truth, guess


def accuracy(truth: IntArray, guess: IntArray) -> float:
    """Share of right answers, in 0..1.

    >>> import numpy as np
    >>> accuracy(np.array([0, 1, 1]), np.array([0, 1, 0]))
    0.6666666666666666
    """
    truth, guess = _checked(truth, guess)
    return float(np.mean(truth == guess))


def confusion(truth: IntArray, guess: IntArray, classes: int) -> IntArray:
    """Counts ``[classes, classes]``: rows are the truth, columns the answer."""
    truth, guess = _checked(truth, guess)
    return np.bincount(truth * classes + guess, minlength=classes**2).reshape(classes, classes)


def recall(truth: IntArray, guess: IntArray, classes: int) -> FloatArray:
    """Recall of each class ``[classes]``; nan for a class that never occurs."""
    counts = confusion(truth, guess, classes)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.diag(counts) / counts.sum(axis=1))


def precision(truth: IntArray, guess: IntArray, classes: int) -> FloatArray:
    """Precision of each class ``[classes]``; nan for a class that is never answered."""
    counts = confusion(truth, guess, classes)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.diag(counts) / counts.sum(axis=0))


def top_k(truth: IntArray, probability: FloatArray, k: int) -> float:
    """Share of images whose class is among the k most probable, in 0..1."""
    best = np.argsort(-probability, axis=1)[:, :k]
    return float((best == truth[:, None]).any(axis=1).mean())


def mcnemar(truth: IntArray, first: IntArray, second: IntArray) -> tuple[int, int, float]:
    """Images that only the first, only the second answers rightly, and the exact p-value.

    McNemar 1947, doi:10.1007/BF02295996; two-sided, by the binomial distribution.

    >>> import numpy as np
    >>> mcnemar(np.zeros(6, int), np.zeros(6, int), np.ones(6, int))
    (6, 0, 0.03125)
    """
    one, two = first == truth, second == truth
    b, c = int((one & ~two).sum()), int((two & ~one).sum())
    n, few = b + c, min(b, c)
    tail = sum(math.comb(n, i) for i in range(few + 1))
    return b, c, min(1.0, 2 * tail / 2**n) if n else 1.0


def f1(truth: IntArray, guess: IntArray, classes: int) -> FloatArray:
    """F1 of each class ``[classes]``; 0 for a class that neither occurs nor is answered."""
    counts = confusion(truth, guess, classes)
    return np.asarray(2 * np.diag(counts) / np.maximum(counts.sum(axis=0) + counts.sum(axis=1), 1))


def macro_f1(truth: IntArray, guess: IntArray, classes: int) -> float:
    """Mean F1 over the classes that occur in the truth, in 0..1.

    scikit-learn's ``f1_score`` with ``average="macro"`` and ``labels`` of the truth; by its
    default a class that is answered but never occurs counts as 0.

    >>> import numpy as np
    >>> round(macro_f1(np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1]), 3), 3)
    0.833
    """
    return float(f1(truth, guess, classes)[np.unique(truth)].mean())


def calibration_error(
    truth: IntArray, probability: FloatArray, bins: int = 15, weight: FloatArray | None = None
) -> float:
    """Expected calibration error of the top answer, equal-width bins, in 0..1.

    Naeini et al. 2015; 15 bins as in Guo et al. 2017, arXiv:1706.04599, section 2. ``weight``
    ``[N]`` says how much each image counts, as where classes should come as often as another
    prior says.

    >>> import numpy as np
    >>> p = np.array([[0.9, 0.1], [0.9, 0.1]])
    >>> round(calibration_error(np.array([0, 1]), p), 2)
    0.4
    >>> round(calibration_error(np.array([0, 1]), p, weight=np.array([9.0, 1.0])), 2)
    0.0
    """
    guess = probability.argmax(axis=1)
    sure = probability.max(axis=1)
    truth, guess = _checked(truth, guess)
    which = np.minimum((sure * bins).astype(int), bins - 1)
    share = np.ones(len(truth)) if weight is None else np.asarray(weight, dtype=np.float64)
    gap = share / share.sum() * ((truth == guess) - sure)
    return float(np.abs(np.bincount(which, weights=gap, minlength=bins)).sum())


def cross_entropy(target: FloatArray, probability: FloatArray) -> float:
    """Mean cross-entropy in nats between targets ``[N, K]`` (rows sum to 1) and probabilities."""
    return float(-(target * np.log(np.clip(probability, 1e-12, 1))).sum(axis=1).mean())


def bootstrap_interval(
    values: FloatArray, *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of ``values`` ``[N]`` (Efron and Tibshirani 1993).

    >>> import numpy as np
    >>> low, high = bootstrap_interval(np.r_[np.ones(70), np.zeros(30)])
    >>> 0.55 < low < 0.70 < high < 0.85
    True
    """
    rng, n = np.random.default_rng(seed), len(values)
    means = np.empty(draws)
    step = max(50_000 // max(n, 1), 1)  # draws at once, few enough for the cache
    for start in range(0, draws, step):
        part = means[start : start + step]
        part[:] = values[rng.integers(0, n, (len(part), n))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def probabilities(logits: FloatArray, temperature: float = 1.0) -> FloatArray:
    """Softmax of logits over the last axis, divided by the temperature first (Guo et al. 2017).

    >>> import numpy as np
    >>> probabilities(np.array([0.0, 0.0]))
    array([0.5, 0.5])
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    odds = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=-1, keepdims=True))


def fit_temperature(logits: FloatArray, target: FloatArray, weight: FloatArray) -> float:
    """Temperature of least cross-entropy for logits ``[N, K]`` (Guo et al. 2017, section 4.2).

    ``target`` ``[N, K]`` rows sum to 1, ``weight`` is ``[N]``; golden search over 0.2..5.

    >>> import numpy as np
    >>> logits = np.log([[0.9, 0.1]] * 10)
    >>> target = np.array([[1.0, 0.0]] * 9 + [[0.0, 1.0]])
    >>> round(fit_temperature(3 * logits, target, np.ones(10)), 3)
    3.0
    """

    def loss(log_t: float) -> float:
        p = probabilities(logits, float(np.exp(log_t)))
        return float((weight * -(target * np.log(p + 1e-12)).sum(axis=1)).sum())

    low, high = np.log(0.2), np.log(5.0)
    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(60):
        a, b = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, b) if loss(a) < loss(b) else (a, high)
    return float(np.exp((low + high) / 2))
