"""DnCShap as its paper prints it: each erratum of docs/dncshap.md, shown on the printed text."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import numpy as np
import pytest

from mien.explainers.designs import all_coalitions, dncshap_design, exact_design
from mien.types import FloatArray
from tests.conftest import ROOT

SIZE = 8
Model = Callable[[FloatArray], float]


def parts(data: FloatArray, axis: int) -> tuple[FloatArray, FloatArray]:
    """The printed ``get_parts``: it is given the whole image and no coordinates."""
    first, second = data.copy(), data.copy()
    half = SIZE // 2
    if axis == 0:
        first[half:], second[:half] = 0, 0
    else:
        first[:, half:], second[:, :half] = 0, 0
    return first, second


def printed(model: Model, data: FloatArray, times: int, *, returns: bool) -> FloatArray:
    """Algorithms 1 and 2 line by line; ``returns`` supplies what the base case lacks."""
    value = np.full((SIZE, SIZE), np.nan)

    def rec(times: int, i: int, box: slice, b: float, f: float, score: float) -> None:
        if times == 0:
            value[box] = score
            if returns:
                return
        one, two = (model(part) for part in parts(data, 1 if i == 1 else 0))
        score_1 = (((one - b) + (f - two)) / 2) / 2
        score_2 = (((two - b) + (f - one)) / 2) / 2
        rec(times - 1, abs(i - 1), box, b + two, one + f, score_2)
        rec(times - 1, abs(i - 1), box, b + one, two + f, score_1)

    one, two = (model(part) for part in parts(data, 0))
    f, b = model(data), model(np.zeros_like(data))
    half = SIZE // 2
    rec(times - 1, 1, slice(0, half), b + two, one + f, ((one - b) + (f - two)) / 2)
    rec(times - 1, 1, slice(half, SIZE), b + one, two + f, ((two - b) + (f - one)) / 2)
    return value


@pytest.fixture
def model() -> Model:
    weights = np.random.default_rng(0).normal(size=(SIZE, SIZE))
    return lambda picture: float(np.tanh((picture * weights).sum()))


@pytest.fixture
def picture() -> FloatArray:
    return np.random.default_rng(1).uniform(0.5, 1, (SIZE, SIZE))


def test_without_a_return_the_recursion_does_not_end(model: Model, picture: FloatArray) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(300)
    try:
        with pytest.raises(RecursionError):
            printed(model, picture, 3, returns=False)
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize("times", [2, 4, 6])
def test_without_coordinates_the_map_holds_two_values_however_many_parts(
    times: int, model: Model, picture: FloatArray
) -> None:
    assert len(np.unique(printed(model, picture, times, returns=True))) <= 2


def four_leaves() -> FloatArray:
    """Printed values of an additive game, whose Shapley values are 1, -2, 5 and 0.5."""
    game = all_coalitions(4) @ np.array([1.0, -2.0, 5.0, 0.5])
    np.testing.assert_allclose(exact_design(4).solve(game), [1.0, -2.0, 5.0, 0.5])
    design = dncshap_design(2, "printed")
    return design.solve(game[design.coalitions @ (1 << np.arange(4))]).reshape(2, 2)


def test_the_swap_hands_each_part_its_siblings_value() -> None:
    """The larger of two halves comes out as the smaller."""
    assert (four_leaves()[:, 0] < four_leaves()[:, 1]).all()


def test_single_evaluations_beside_accumulated_ones_count_half() -> None:
    """Their sum is right, and their difference half of what it should be, the swap undone."""
    values = four_leaves()
    np.testing.assert_allclose(values.sum(axis=1), [-1, 5.5])
    np.testing.assert_allclose(values[:, 1] - values[:, 0], [1.5, 2.25])


def test_every_test_that_the_page_names_exists() -> None:
    page = (ROOT / "docs" / "dncshap.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    written = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("*.py"))
    assert len(named) > 8
    assert not [name for name in named if f"def {name}(" not in written]
