"""Axioms of the Shapley value, and what each kind of DnCShap equals, on random games."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mien.explainers.designs import (
    CONTEXTS,
    all_coalitions,
    dncshap_design,
    exact_design,
    interactions,
    tree_grid,
)
from mien.types import FloatArray, InputError, UnknownNameError

REPAIRED = [c for c in CONTEXTS if c != "printed"]


def games(players: int) -> st.SearchStrategy[FloatArray]:
    return arrays(np.float64, 2**players, elements=st.floats(-100, 100, width=32))


def game_by_order(players: int, order: int, seed: int) -> FloatArray:
    """A random game with interactions of at most ``order`` players, by its Harsanyi dividends."""
    rng = np.random.default_rng(seed)
    shown = all_coalitions(players)
    game = np.zeros(len(shown))
    for size in range(1, order + 1):
        for members in combinations(range(players), size):
            game += rng.normal() * shown[:, members].all(axis=1)
    return game


def solve(game: FloatArray, levels: int, contexts: str) -> FloatArray:
    """DnCShap of a game given by all its coalitions."""
    design = dncshap_design(levels, contexts)
    rows = design.coalitions @ (1 << np.arange(2**levels))
    return design.solve(game[rows])


@given(games(5))
def test_efficiency(game: FloatArray) -> None:
    assert exact_design(5).solve(game).sum() == pytest.approx(game[-1] - game[0], abs=1e-9)


@given(games(4), st.permutations(range(4)))
def test_symmetry_renaming_players_renames_values(game: FloatArray, order: list[int]) -> None:
    shown = all_coalitions(4)
    renamed = game[shown[:, order] @ (1 << np.arange(4))]
    values = exact_design(4).solve(game)
    np.testing.assert_allclose(exact_design(4).solve(renamed)[order], values, atol=1e-9)


@given(games(4), st.integers(0, 3))
def test_null_player_gets_nothing(game: FloatArray, player: int) -> None:
    index = np.arange(16)
    ignoring = game[index & ~(1 << player)]
    assert abs(exact_design(4).solve(ignoring)[player]) < 1e-9


@given(games(4), games(4), st.floats(-3, 3))
def test_linearity(one: FloatArray, two: FloatArray, factor: float) -> None:
    solver = exact_design(4)
    np.testing.assert_allclose(
        solver.solve(one + factor * two), solver.solve(one) + factor * solver.solve(two), atol=1e-8
    )


@given(games(4))
def test_the_value_is_the_mean_marginal_contribution_over_all_orders(game: FloatArray) -> None:
    from itertools import permutations

    marginal = np.zeros(4)
    orders = list(permutations(range(4)))
    for order in orders:
        seen = 0
        for player in order:
            marginal[player] += game[seen | 1 << player] - game[seen]
            seen |= 1 << player
    np.testing.assert_allclose(exact_design(4).solve(game), marginal / len(orders), atol=1e-9)


@given(games(5))
def test_interactions_sum_to_the_values_and_are_symmetric(game: FloatArray) -> None:
    matrix = interactions(game, 5)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-9)
    np.testing.assert_allclose(matrix.sum(axis=1), exact_design(5).solve(game), atol=1e-9)


def test_an_additive_game_has_no_interactions_and_a_pair_has_one() -> None:
    shown = all_coalitions(4)
    additive = shown @ np.array([1.0, -2, 3, 0])
    np.testing.assert_allclose(interactions(additive, 4), np.diag([1, -2, 3, 0]), atol=1e-12)
    pair = (shown[:, 0] & shown[:, 2]).astype(float)
    assert interactions(pair, 4)[0, 2] == pytest.approx(0.5)


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
@pytest.mark.parametrize("contexts", REPAIRED)
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_repaired_dncshap_is_efficient_for_every_game(
    levels: int, contexts: str, seed: int
) -> None:
    game = np.random.default_rng(seed).normal(size=2 ** (2**levels))
    gap = solve(game, levels, contexts).sum() - (game[-1] - game[0])
    assert abs(gap) < 1e-12 * 2**levels


@pytest.mark.parametrize("seed", range(5))
def test_both_contexts_are_exact_for_pairwise_games_of_sixteen_players(seed: int) -> None:
    game = game_by_order(16, 2, seed)
    exact = exact_design(16).solve(game)
    assert np.abs(solve(game, 4, "both") - exact).max() < 1e-9


@pytest.mark.parametrize("contexts", REPAIRED)
def test_every_context_is_exact_for_additive_games(contexts: str) -> None:
    game = game_by_order(8, 1, 3)
    np.testing.assert_allclose(solve(game, 3, contexts), exact_design(8).solve(game), atol=1e-12)


@pytest.mark.parametrize("contexts", ["absent", "present"])
def test_one_context_alone_is_not_exact_for_pairwise_games(contexts: str) -> None:
    game = game_by_order(8, 2, 0)
    assert np.abs(solve(game, 3, contexts) - exact_design(8).solve(game)).max() > 0.01


def owen_by_orders(game: FloatArray, levels: int) -> FloatArray:
    """Owen value of the tree by brute force: the mean over all orders that keep parts together."""

    def orders(start: int, stop: int) -> list[list[int]]:
        if stop - start == 1:
            return [[start]]
        middle = (start + stop) // 2
        left, right = orders(start, middle), orders(middle, stop)
        return [a + b for a in left for b in right] + [b + a for a in left for b in right]

    n = 2**levels
    value = np.zeros(n)
    every = orders(0, n)
    for order in every:
        seen = 0
        for player in order:
            value[player] += game[seen | 1 << player] - game[seen]
            seen |= 1 << player
    return value / len(every)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_owen_contexts_are_the_owen_value_of_the_tree(levels: int) -> None:
    game = np.random.default_rng(levels).normal(size=2 ** (2**levels))
    np.testing.assert_allclose(
        solve(game, levels, "owen"), owen_by_orders(game, levels), atol=1e-12
    )


@pytest.mark.parametrize("levels", [1, 2, 3, 4, 6])
def test_forward_passes_are_those_of_the_derivation(levels: int) -> None:
    n = 2**levels
    counts = {c: len(dncshap_design(levels, c).coalitions) for c in CONTEXTS}
    assert counts == {
        "both": 4 * n - 4 if n >= 4 else 2 * n,
        "absent": 2 * n,
        "present": 2 * n,
        "owen": 2 * (n**2 - 1) // 3 + 2,
        "printed": 2 * n,
    }
    assert len(exact_design(8).coalitions) == 256


@pytest.mark.parametrize("levels", [1, 2, 4, 6])
def test_the_printed_leaves_sum_to_a_multiple_of_the_total(levels: int) -> None:
    """Right at one and two levels, 2^(k-2) times the total from then on."""
    game = np.random.default_rng(0).normal(size=4096)
    design = dncshap_design(levels, "printed")
    rows = np.arange(len(design.coalitions))
    scores = game[rows]
    full = scores[design.coalitions.all(axis=1)][0]
    empty = scores[~design.coalitions.any(axis=1)][0]
    factor = 2.0 ** max(levels - 2, 0)
    assert design.solve(scores).sum() == pytest.approx(factor * (full - empty))


def test_no_coalition_is_evaluated_twice() -> None:
    for contexts in CONTEXTS:
        masks = dncshap_design(4, contexts).coalitions
        assert len(np.unique(masks, axis=0)) == len(masks)


@pytest.mark.parametrize("levels", [1, 2, 3, 5, 6, 8])
def test_the_grid_halves_across_first_and_gives_every_leaf_the_same_area(levels: int) -> None:
    size = 64
    leaf = tree_grid(levels, size)
    assert (np.bincount(leaf.ravel(), minlength=2**levels) == size**2 // 2**levels).all()
    half = 2 ** (levels - 1)
    assert (leaf[:, : size // 2] < half).all()
    assert (leaf[:, size // 2 :] >= half).all()


def test_bad_sizes_are_refused_with_the_way_out() -> None:
    with pytest.raises(InputError, match="dncshap"):
        exact_design(17)
    with pytest.raises(InputError, match="levels"):
        dncshap_design(8, "owen")
    with pytest.raises(UnknownNameError, match="did you mean 'both'"):
        dncshap_design(2, "bth")
    with pytest.raises(InputError, match="use fewer levels"):
        tree_grid(12, 48)
    with pytest.raises(InputError, match="1 level or more, got 0"):
        tree_grid(0, 48)


def test_shapley_weights_of_a_player_sum_to_one_over_the_coalitions_with_it() -> None:
    design = exact_design(6)
    gains = np.where(design.coalitions.T, design.weights, 0).sum(axis=1)
    np.testing.assert_allclose(gains, 1)
    assert sum(comb(6, k) for k in range(7)) == len(design.coalitions)
