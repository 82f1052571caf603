"""Two groups compared by resampling: intervals, permutation tests, effect sizes, on arrays.

Rows are independent units (faces, clips, people), columns are what was measured of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations, product
from statistics import NormalDist
from typing import Final

import numpy as np

from mien.types import FloatArray, InputError

CELLS: Final = 4_000_000  # of the matrices that are held at once
SLACK: Final = 1e-9  # relative; statistics that differ by less are equal but for rounding


@dataclass(frozen=True, eq=False)
class Permuted:
    """What a permutation test gives: a p-value for each column, and from how many assignments."""

    p: FloatArray  # [C], two-sided
    assignments: int  # the given one among them
    exact: bool  # whether these are all that there are


def permutation_test(
    first: FloatArray, second: FloatArray, *, draws: int = 9999, seed: int = 0
) -> Permuted:
    """Whether two groups ``[N, C]`` and ``[M, C]`` have the same means, column by column.

    Units are dealt anew to the groups; the statistic is Welch's t, with which the test holds its
    level also where the spreads differ (Janssen 1997, doi:10.1016/S0167-7152(97)00043-6). All
    assignments are looked at where there are no more than ``draws``, else so many at random.
    Raises InputError for a group of fewer than two units.

    >>> import numpy as np
    >>> low, high = np.array([[1.0], [2], [3], [4]]), np.array([[11.0], [12], [13], [14]])
    >>> test = permutation_test(low, high)
    >>> test.p.round(4).tolist(), test.assignments, test.exact
    ([0.0286], 70, True)
    """
    n, m = _enough(first), _enough(second)
    values = np.concatenate([first, second])
    values = values - values.mean(axis=0)
    sums, squares = values.sum(axis=0), (values**2).sum(axis=0)

    def statistic(chosen: FloatArray) -> FloatArray:
        s, q = chosen @ values, chosen @ values**2
        spread = _variance(s, q, n) / n + _variance(sums - s, squares - q, m) / m
        return _ratio(s / n - (sums - s) / m, spread)

    whole = math.comb(n + m, n)
    given = (np.arange(n + m) < n)[None].astype(float)
    if whole <= draws:
        every = np.zeros((whole, n + m))
        chosen = np.array(list(combinations(range(n + m), n)))
        every[np.arange(whole)[:, None], chosen] = 1
        return _counted(statistic(given), [statistic(every)], exact=True)
    rng = np.random.default_rng(seed)
    parts = (
        statistic(rng.permuted(np.repeat(given, size, axis=0), axis=1))
        for size in _pieces(draws, n + m)
    )
    return _counted(statistic(given), parts, exact=False)


def sign_flip_test(differences: FloatArray, *, draws: int = 9999, seed: int = 0) -> Permuted:
    """Whether paired differences ``[N, C]`` have the mean 0, column by column.

    Each unit's two values are exchanged, or not: the permutation test of paired values. All ``2^N``
    ways are looked at where there are no more than ``draws``. Raises InputError for fewer than two.

    >>> import numpy as np
    >>> sign_flip_test(np.arange(1.0, 7.0)[:, None]).p.tolist()
    [0.03125]
    """
    n = _enough(differences)
    squares = (differences**2).sum(axis=0)

    def statistic(signs: FloatArray) -> FloatArray:
        s = signs @ differences
        return _ratio(s / n, _variance(s, squares, n) / n)

    given = np.ones((1, n))
    if 2**n <= draws:
        every = np.array(list(product((1.0, -1.0), repeat=n)))
        return _counted(statistic(given), [statistic(every)], exact=True)
    rng = np.random.default_rng(seed)
    parts = (statistic(rng.choice((1.0, -1.0), (size, n))) for size in _pieces(draws, n))
    return _counted(statistic(given), parts, exact=False)


def bootstrap_means(values: FloatArray, *, draws: int, rng: np.random.Generator) -> FloatArray:
    """Means ``[draws, C]`` of as many units drawn with replacement from ``values`` ``[N, C]``."""
    n = len(values)
    means = []
    for size in _pieces(draws, n):
        drawn = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        means.append(counts @ values / n)
    return np.concatenate(means)


def interval(
    draws: FloatArray, level: float, units: int, freedom: int
) -> tuple[FloatArray, FloatArray]:
    """The expanded percentile interval of bootstrap draws ``[draws, C]``, low and high.

    Plain percentiles are too narrow for few units, by the part that a variance lacks when it is
    divided by n, and by what Student's t is wider than the normal distribution. Both are made good
    (Hesterberg 2015, doi:10.1080/00031305.2015.1089789, section 4.5). ``units`` are those of the
    smaller group, ``freedom`` the degrees of freedom.
    """
    normal = NormalDist()
    z = normal.inv_cdf((1 + level) / 2)
    tail = normal.cdf(-_student(z, freedom) * math.sqrt(units / (units - 1)))
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return np.asarray(low), np.asarray(high)


def _student(z: float, freedom: int) -> float:
    """Student's quantile from the normal one (Abramowitz and Stegun 1964, 26.7.5).

    >>> round(_student(1.95996, 9), 3)
    2.262
    """
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + math.fsum(term / freedom**i for i, term in enumerate(terms, 1))


def hedges_g(first: FloatArray, second: FloatArray, *, paired: bool = False) -> FloatArray:
    """How far the second group's mean lies above the first's, in standard deviations ``[C]``.

    With Hedges' correction for small groups (Hedges 1981, doi:10.3102/10769986006002107). The
    standard deviation is pooled; of paired values it is the root of the mean of both variances
    (g_av of Lakens 2013, doi:10.3389/fpsyg.2013.00863). nan where nothing varies.

    >>> import numpy as np
    >>> hedges_g(np.array([[1.0], [2], [3]]), np.array([[2.0], [3], [4]])).round(3).tolist()
    [0.8]
    """
    n, m = len(first), len(second)
    one, two = first.var(axis=0, ddof=1), second.var(axis=0, ddof=1)
    freedom = n - 1 if paired else n + m - 2
    pooled = (one + two) / 2 if paired else ((n - 1) * one + (m - 1) * two) / freedom
    scale = np.maximum(np.abs(first).max(axis=0), np.abs(second).max(axis=0))
    varies = pooled > (1e-12 * scale) ** 2  # more than rounding does
    with np.errstate(divide="ignore", invalid="ignore"):
        d = (second.mean(axis=0) - first.mean(axis=0)) / np.sqrt(pooled)
    return np.where(varies, d * (1 - 3 / (4 * freedom - 1)), np.nan)


def cliffs_delta(first: FloatArray, second: FloatArray) -> FloatArray:
    """How much more often the second's unit is above the first's than below ``[C]``, in -1..1.

    Over all pairs of one unit of each (Cliff 1993, doi:10.1037/0033-2909.114.3.494).

    >>> import numpy as np
    >>> cliffs_delta(np.array([[1.0], [2]]), np.array([[2.0], [3]])).tolist()
    [0.75]
    """
    found = []
    for a, b in zip(first.T, second.T, strict=True):
        ranked = np.sort(a)
        above = np.searchsorted(ranked, b, "left").sum()
        below = (len(a) - np.searchsorted(ranked, b, "right")).sum()
        found.append((above - below) / (len(a) * len(b)))
    return np.array(found)


def holm(p: FloatArray) -> FloatArray:
    """P-values ``[T]`` corrected for the number of tests (Holm 1979, Scand. J. Statist. 6).

    The chance of even one false finding among all of them stays below the level.

    >>> import numpy as np
    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate((len(p) - np.arange(len(p))) * p[order])
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(steps, 1.0)
    return corrected


def _enough(values: FloatArray) -> int:
    if values.ndim != 2 or len(values) < 2:
        raise InputError(f"expected at least 2 units to test, got {len(values)}")
    return len(values)


def _variance(sums: FloatArray, squares: FloatArray, n: int) -> FloatArray:
    """Unbiased variances from sums and sums of squares, without what rounding adds to none."""
    found = (squares - sums**2 / n) / (n - 1)
    return np.where(found > 1e-13 * np.maximum(squares, 1e-300) / n, found, 0.0)


def _ratio(difference: FloatArray, variance: FloatArray) -> FloatArray:
    """A difference in standard errors; infinite where nothing varies but the difference."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(difference) / np.sqrt(variance)
    return np.where(variance > 0, t, np.where(np.abs(difference) > 1e-12, np.inf, 0.0))


def _counted(given: FloatArray, parts: Iterable[FloatArray], *, exact: bool) -> Permuted:
    """The share of assignments whose statistic is no smaller than the given one's."""
    limit = np.where(np.isinf(given), np.inf, given * (1 - SLACK))
    beyond, count = np.zeros(given.shape[1]), 0
    for part in parts:
        beyond += (part >= limit).sum(axis=0)
        count += len(part)
    if not exact:  # the given assignment is one of them (Phipson and Smyth 2010)
        beyond, count = beyond + 1, count + 1
    return Permuted(beyond / count, count, exact)


def _pieces(draws: int, width: int) -> list[int]:
    """Sizes of pieces of the draws whose matrices are not too large."""
    size = max(min(draws, CELLS // max(width, 1)), 1)
    return [min(size, draws - start) for start in range(0, draws, size)]
