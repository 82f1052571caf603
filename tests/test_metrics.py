from __future__ import annotations

import numpy as np
import pytest

from mien.metrics import (
    accuracy,
    bootstrap_interval,
    calibration_error,
    confusion,
    cross_entropy,
    macro_f1,
    recall,
)
from mien.types import InputError

TRUTH = np.array([0, 0, 0, 1, 1, 2])
GUESS = np.array([0, 0, 1, 1, 2, 2])


def test_counts_and_shares_by_hand() -> None:
    assert confusion(TRUTH, GUESS, 3).tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]
    assert accuracy(TRUTH, GUESS) == pytest.approx(4 / 6)
    np.testing.assert_allclose(recall(TRUTH, GUESS, 3), [2 / 3, 1 / 2, 1])
    assert macro_f1(TRUTH, GUESS, 3) == pytest.approx((4 / 5 + 2 / 4 + 2 / 3) / 3)


def test_a_class_that_never_occurs_counts_in_nothing() -> None:
    assert np.isnan(recall(TRUTH, GUESS, 4)[3])
    assert macro_f1(TRUTH, GUESS, 4) == macro_f1(TRUTH, GUESS, 3)


def test_calibration_error_of_a_calibrated_and_of_an_overconfident_answer() -> None:
    rng = np.random.default_rng(0)
    sure = rng.uniform(0.5, 1, 40_000)
    p = np.stack([sure, 1 - sure], axis=1)
    truth = (rng.random(40_000) > sure).astype(int)
    assert calibration_error(truth, p) < 0.01
    always = np.tile([1.0, 0.0], (100, 1))
    assert calibration_error(np.r_[np.zeros(70, int), np.ones(30, int)], always) == pytest.approx(
        0.3
    )


def test_cross_entropy_is_least_for_the_target_itself() -> None:
    target = np.array([[0.7, 0.3], [0.2, 0.8]])
    best = cross_entropy(target, target)
    assert best == pytest.approx(-(target * np.log(target)).sum() / 2)
    assert cross_entropy(target, np.full((2, 2), 0.5)) > best


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(60):
        low, high = bootstrap_interval((rng.random(300) < 0.7).astype(float), seed=seed, draws=400)
        hits += low <= 0.7 <= high
    assert hits >= 52


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(InputError, match="one length"):
        accuracy(TRUTH, GUESS[:3])
    with pytest.raises(InputError, match="one length"):
        accuracy(TRUTH[:0], GUESS[:0])
