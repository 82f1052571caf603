"""The numbers of a comparison of groups: means with intervals, tests with effect sizes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from mien.resampling import (
    Permuted,
    bootstrap_means,
    cliffs_delta,
    hedges_g,
    holm,
    interval,
    permutation_test,
    sign_flip_test,
)
from mien.results.groups import Units, kind_of

LEVEL: Final = 0.95


@dataclass(frozen=True)
class GroupMean:
    """The mean of one column in one group, with its 95 % bootstrap interval."""

    column: str
    kind: str  # expression, region, measure, angle or other
    group: str
    units: int
    mean: float
    low: float
    high: float
    sd: float  # between units


@dataclass(frozen=True)
class GroupTest:
    """One column in two groups: the second's mean less the first's, and what speaks for it."""

    column: str
    kind: str
    first: str
    second: str
    difference: float
    low: float  # of the difference's 95 % bootstrap interval
    high: float
    hedges_g: float | None  # None where nothing varies
    cliffs_delta: float
    p: float
    p_holm: float  # corrected for all tests of the comparison


def means_of(units: Units, draws: int, seed: int) -> tuple[GroupMean, ...]:
    """The mean of every column in every group."""
    found = []
    for group, values in units.values.items():
        rng = np.random.default_rng(seed)
        n = len(values)
        low, high = interval(bootstrap_means(values, draws=draws, rng=rng), LEVEL, n, n - 1)
        mean, sd = values.mean(axis=0), values.std(axis=0, ddof=1)
        for i, column in enumerate(units.columns):
            numbers = (float(v[i]) for v in (mean, low, high, sd))
            found.append(GroupMean(column, kind_of(column), group, len(values), *numbers))
    return tuple(found)


def tests_of(
    units: Units, draws: int, seed: int
) -> tuple[tuple[GroupTest, ...], dict[tuple[str, str], Permuted]]:
    """Every column in every pair of groups, corrected together."""
    pairs = list(combinations(units.groups, 2))
    permuted, parts = {}, []
    for a, b in pairs:
        one, two = units.values[a], units.values[b]
        rng = np.random.default_rng(seed)
        if units.paired:
            permuted[a, b] = sign_flip_test(two - one, draws=draws, seed=seed)
            drawn = bootstrap_means(two - one, draws=draws, rng=rng)
        else:
            permuted[a, b] = permutation_test(one, two, draws=draws, seed=seed)
            drawn = -bootstrap_means(one, draws=draws, rng=rng)
            drawn = drawn + bootstrap_means(two, draws=draws, rng=rng)
        fewer = min(len(one), len(two))
        freedom = fewer - 1 if units.paired else len(one) + len(two) - 2
        low, high = interval(drawn, LEVEL, fewer, freedom)
        g = hedges_g(one, two, paired=units.paired)
        parts.append((two.mean(axis=0) - one.mean(axis=0), low, high, g, cliffs_delta(one, two)))
    p = np.stack([permuted[pair].p for pair in pairs])
    corrected = holm(p.ravel()).reshape(p.shape)
    tests = []
    for j, column in enumerate(units.columns):
        for i, (a, b) in enumerate(pairs):
            difference, least, most, size, delta = (float(v[j]) for v in parts[i])
            tests.append(
                GroupTest(
                    column=column,
                    kind=kind_of(column),
                    first=a,
                    second=b,
                    difference=difference,
                    low=least,
                    high=most,
                    hedges_g=size if np.isfinite(size) else None,
                    cliffs_delta=delta,
                    p=float(p[i, j]),
                    p_holm=float(corrected[i, j]),
                )
            )
    return tuple(tests), permuted
