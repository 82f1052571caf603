"""Shapley values of a cooperative game given by its coalitions' scores: exact, and DnCShap.

Every method here is linear in the scores, and its coalitions are known in advance. So each is a
:class:`Design`: the coalitions to evaluate ``[m, n]`` and the weights ``[n, m]`` that turn their
scores into the n players' values. One batch of m forward passes explains all classes at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import factorial
from typing import Final

import numpy as np

from mien.registry import choose
from mien.types import BoolArray, FloatArray, InputError, IntArray

CONTEXTS: Final = ("both", "absent", "present", "owen", "printed")
MOST_PLAYERS = 16  # exact values need 2^n evaluations
KEPT_LEVELS = 8  # 256 leaves, 2 MiB of weights; each level more is four times that


@dataclass(frozen=True, eq=False)
class Design:
    """Which coalitions to evaluate, and how their scores become the players' values."""

    coalitions: BoolArray  # [m, n]
    weights: FloatArray  # [n, m]

    def solve(self, scores: FloatArray) -> FloatArray:
        """Values ``[n]`` or ``[n, K]`` from the scores ``[m]`` or ``[m, K]`` of the coalitions."""
        return np.asarray(self.weights @ scores)


def all_coalitions(players: int) -> BoolArray:
    """All ``2^n`` coalitions ``[2^n, n]``; row i shows player j where bit j of i is set."""
    if not 1 <= players <= MOST_PLAYERS:
        raise InputError(
            f"expected 1 to {MOST_PLAYERS} players for exact Shapley values, got {players}; "
            "use the method 'dncshap'"
        )
    return np.asarray((np.arange(2**players)[:, None] >> np.arange(players)) % 2 == 1)


@lru_cache(maxsize=16)
def exact_design(players: int) -> Design:
    """Exact Shapley values (Shapley 1953; Lundberg and Lee 2017, arXiv:1705.07874, equation 8).

    >>> import numpy as np
    >>> glove = np.array([0, 0, 0, 1.0])  # worth 1 only together
    >>> exact_design(2).solve(glove)
    array([0.5, 0.5])
    """
    shown = all_coalitions(players)
    size = shown.sum(axis=1)
    n = factorial(players)
    gain = np.array([factorial(max(s - 1, 0)) * factorial(players - s) / n for s in size])
    loss = np.array([factorial(s) * factorial(max(players - s - 1, 0)) / n for s in size])
    return Design(shown, np.where(shown, gain[:, None], -loss[:, None]).T)


@lru_cache(maxsize=16)
def _interaction_weights(players: int) -> FloatArray:
    """Weights ``[n, n, 2^n]`` of the pairwise Shapley interaction index, halved."""
    shown = all_coalitions(players)
    n = factorial(max(players - 1, 1))
    weights = np.zeros((players, players, len(shown)))
    for i, j in product(range(players), repeat=2):
        if i == j:
            continue
        rest = shown.sum(axis=1) - shown[:, i] - shown[:, j]
        size = np.array([factorial(s) * factorial(players - s - 2) / n for s in rest])
        sign = np.where(shown[:, i] == shown[:, j], 1.0, -1.0)
        weights[i, j] = size * sign / 2
    return weights


def interactions(scores: FloatArray, players: int) -> FloatArray:
    """Shapley interaction values ``[n, n]`` from the scores ``[2^n]`` of all coalitions.

    Off the diagonal half of the pair's Shapley interaction index (Grabisch and Roubens 1999),
    on it what is left of the player's Shapley value, so that rows sum to the Shapley values and
    the matrix to the whole score (Lundberg et al. 2020, doi:10.1038/s42256-019-0138-9).

    >>> import numpy as np
    >>> interactions(np.array([0, 0, 0, 1.0]), 2)
    array([[0. , 0.5],
           [0.5, 0. ]])
    """
    pairs = _interaction_weights(players) @ scores
    np.fill_diagonal(pairs, exact_design(players).solve(scores) - pairs.sum(axis=1))
    return np.asarray(pairs)


class _Coalitions:
    """Coalitions written down once each, so that none is evaluated twice."""

    def __init__(self, players: int) -> None:
        self.players = players
        self.rows: dict[bytes, int] = {}
        self.masks: list[BoolArray] = []

    def row(self, members: BoolArray) -> int:
        key = members.tobytes()
        if key not in self.rows:
            self.rows[key] = len(self.masks)
            self.masks.append(members)
        return self.rows[key]


def dncshap_design(levels: int, contexts: str = "both") -> Design:
    """DnCShap (Malik, Kumar and Raman 2021, doi:10.1145/3490035.3490271), repaired.

    ``n = 2^levels`` players are the leaves of a balanced binary tree, in the tree's order. A part
    with value phi splits into two with ``(phi +- mean(v(first + C) - v(second + C))) / 2``, so
    the two always sum to phi and all leaves to ``v(all) - v(none)``. ``contexts`` says which
    sets C of the rest enter the mean: nothing (``absent``), everything (``present``), ``both``
    (exact for games with at most pairwise interactions), or every union of the siblings along
    the path (``owen``, the Owen value of the tree). ``printed`` is the update of the paper's
    Algorithms 1 and 2, with only the coordinates and the missing return supplied; its values do
    not sum to anything.

    >>> dncshap_design(2, "both").coalitions.shape
    (12, 4)
    """
    contexts = choose("context", contexts, CONTEXTS)
    if not 1 <= levels <= 12 or (contexts == "owen" and levels > 7):
        limit = 7 if contexts == "owen" else 12
        raise InputError(f"expected 1 to {limit} levels for {contexts!r}, got {levels}")
    return _kept(levels, contexts) if levels <= KEPT_LEVELS else _tree_design(levels, contexts)


def _tree_design(levels: int, contexts: str) -> Design:
    n = 2**levels
    rows = _Coalitions(n)
    full, empty = rows.row(np.ones(n, bool)), rows.row(np.zeros(n, bool))
    if contexts == "printed":
        leaves = _printed(rows, levels, full, empty)
    else:
        leaves = [{full: 1.0, empty: -1.0}]
        parts = [(0, n)]
        for depth in range(levels):
            leaves, parts = _split(rows, leaves, parts, depth, contexts)
    weights = np.zeros((n, len(rows.masks)))
    for leaf, terms in enumerate(leaves):
        weights[leaf, list(terms)] = list(terms.values())
    return Design(np.stack(rows.masks), weights)


_kept = lru_cache(maxsize=16)(_tree_design)


Terms = dict[int, float]  # a value as a weighted sum of coalition scores: row -> weight


def _add(*parts: tuple[float, Terms]) -> Terms:
    total: Terms = {}
    for factor, terms in parts:
        for row, weight in terms.items():
            total[row] = total.get(row, 0.0) + factor * weight
    return total


def _contexts_of(start: int, stop: int, depth: int, n: int, contexts: str) -> list[BoolArray]:
    """The sets of the rest, as masks ``[n]``, beside which the part start..stop is split."""
    outside = np.ones(n, bool)
    outside[start:stop] = False
    if depth == 0 or contexts == "absent":
        return [np.zeros(n, bool)]
    if contexts == "present":
        return [outside]
    if contexts == "both":
        return [np.zeros(n, bool), outside]
    siblings = []
    width = stop - start
    for _ in range(depth):
        first = start // (2 * width) * 2 * width
        sibling = np.zeros(n, bool)
        sibling[first : first + 2 * width] = True
        sibling[start // width * width : start // width * width + width] = False
        siblings.append(sibling)
        width *= 2
    return [
        np.any([s for s, used in zip(siblings, choice, strict=True) if used], axis=0)
        if any(choice)
        else np.zeros(n, bool)
        for choice in product((False, True), repeat=depth)
    ]


def _split(
    rows: _Coalitions, values: list[Terms], parts: list[tuple[int, int]], depth: int, contexts: str
) -> tuple[list[Terms], list[tuple[int, int]]]:
    """All parts of one depth split in two."""
    new_values, new_parts = [], []
    for value, (start, stop) in zip(values, parts, strict=True):
        middle = (start + stop) // 2
        first, second = np.zeros(rows.players, bool), np.zeros(rows.players, bool)
        first[start:middle], second[middle:stop] = True, True
        around = _contexts_of(start, stop, depth, rows.players, contexts)
        share = 1 / len(around)
        gap: Terms = {}
        for context in around:
            ahead, behind = rows.row(first | context), rows.row(second | context)
            gap = _add((1.0, gap), (share, {ahead: 1.0}), (-share, {behind: 1.0}))
        new_values += [_add((0.5, value), (0.5, gap)), _add((0.5, value), (-0.5, gap))]
        new_parts += [(start, middle), (middle, stop)]
    return new_values, new_parts


def _printed(rows: _Coalitions, levels: int, full: int, empty: int) -> list[Terms]:
    """Leaf scores by the printed update: accumulators, the constant divisor and the swap kept."""
    leaves: list[Terms] = []

    def recurse(start: int, stop: int, times: int, none: Terms, whole: Terms, score: Terms) -> None:
        if times == 0:
            leaves.append(score)
            return
        middle = (start + stop) // 2
        first, second = np.zeros(rows.players, bool), np.zeros(rows.players, bool)
        first[start:middle], second[middle:stop] = True, True
        one, two = {rows.row(first): 1.0}, {rows.row(second): 1.0}
        divisor = 2 if times == levels else 4
        score_1 = _add(
            (1 / divisor, one), (-1 / divisor, none), (1 / divisor, whole), (-1 / divisor, two)
        )
        score_2 = _add(
            (1 / divisor, two), (-1 / divisor, none), (1 / divisor, whole), (-1 / divisor, one)
        )
        if times < levels:  # Algorithm 1 hands each part the other's score; Algorithm 2 does not
            score_1, score_2 = score_2, score_1
        recurse(
            start, middle, times - 1, _add((1, none), (1, two)), _add((1, one), (1, whole)), score_1
        )
        recurse(
            middle, stop, times - 1, _add((1, none), (1, one)), _add((1, two), (1, whole)), score_2
        )

    recurse(0, rows.players, levels, {empty: 1.0}, {full: 1.0}, {})
    return leaves


def tree_grid(levels: int, size: int, step: int = 1) -> IntArray:
    """The leaf that owns each pixel ``[size, size]``: halves first across (x), then down (y).

    The paper splits columns first. Leaves are of equal size to within ``step`` pixels, between
    whose multiples all borders lie: 1, or the side of a ViT's patches. Raises InputError below
    one level, and where there are more leaves than steps.

    >>> tree_grid(2, 2)
    array([[0, 2],
           [1, 3]])
    >>> tree_grid(1, 6, step=2)[0]
    array([0, 0, 0, 0, 1, 1])
    """
    if levels < 1:
        raise InputError(f"expected 1 level or more, got {levels}")
    column_bits, row_bits = (levels + 1) // 2, levels // 2
    if size % step or 2**column_bits > size // step:
        unit = "pixels" if step == 1 else f"patches of {step} pixels"
        raise InputError(
            f"expected at most {size // step} {unit} across, got 2^{levels} parts, "
            f"{2**column_bits} across; use fewer levels"
        )
    column, row = _halves(size, step, column_bits), _halves(size, step, row_bits)
    leaf = np.zeros((size, size), dtype=np.int64)
    for level in range(levels):
        if level % 2 == 0:
            column_bits -= 1
            leaf = leaf * 2 + (column[None, :] >> column_bits) % 2
        else:
            row_bits -= 1
            leaf = leaf * 2 + (row[:, None] >> row_bits) % 2
    return leaf


def _halves(size: int, step: int, bits: int) -> IntArray:
    """Which of ``2^bits`` parts each of ``size`` pixels is in, borders at multiples of step."""
    borders = np.ceil(np.arange(1, 2**bits) * (size // step) / 2**bits) * step
    return np.searchsorted(borders, np.arange(size), side="right")
