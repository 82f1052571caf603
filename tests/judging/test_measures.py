"""Measures of heat maps: what they say of maps whose worth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.emotions import SEVEN
from mien.judging import measures as m
from mien.judging.action_units import SHOWN, UNITS, expected_regions, read_expected
from mien.judging.faces import lift
from mien.types import InputError, UnknownNameError
from mien.vision.regions import REGIONS

RNG = np.random.default_rng(0)


@given(st.integers(0, 1000))
def test_a_ranking_is_a_permutation_that_never_rises(seed: int) -> None:
    values = np.random.default_rng(seed).integers(-3, 4, (5, 6)).astype(float)
    order = m.ranking(values, seed)
    assert sorted(order) == list(range(30))
    assert (np.diff(values.ravel()[order]) <= 0).all()


def test_ties_are_broken_by_the_seed_and_not_by_place() -> None:
    flat = np.zeros((20, 20))
    first, second = (m.top(flat, 0.3, seed) for seed in (0, 1))
    assert first.sum() == second.sum() == 120
    assert m.dice(first, second) < 0.5  # chance is 0.3
    assert np.array_equal(first, m.top(flat, 0.3, 0))
    assert 0.2 < first[:10].mean() < 0.4  # no half of the picture is favoured


def test_dice_of_equal_masks_is_one_and_of_apart_ones_zero() -> None:
    one = np.zeros((4, 4), dtype=bool)
    one[0] = True
    assert m.dice(one, one) == 1
    assert m.dice(one, ~one) == 0
    with pytest.raises(InputError, match="share"):
        m.top(one.astype(float), 0)


def test_rank_correlation_is_scipys() -> None:
    from scipy.stats import spearmanr

    a, b = RNG.integers(0, 9, 80).astype(float), RNG.normal(size=80)
    assert m.rank_correlation(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert m.rank_correlation(np.ones(5), b[:5]) == 0


def test_infidelity_is_zero_for_the_truth_whatever_its_scale_and_one_for_noise() -> None:
    truth = RNG.normal(size=(8, 8))
    hidden = RNG.random((200, 8, 8)) < 0.3
    falls = hidden.reshape(200, -1) @ truth.ravel()
    assert m.infidelity(7 * truth, hidden, falls) == pytest.approx(0)
    other = m.infidelity(RNG.normal(size=(8, 8)), hidden, falls)
    assert 0.3 < other <= 1.0 + 1e-9
    assert m.infidelity(np.zeros((8, 8)), hidden, falls) == pytest.approx(1)


def test_infidelity_is_captums_normalised_one_up_to_the_mean_square_of_the_falls() -> None:
    """captum scales the map once for all perturbations, as here, and leaves out the division."""
    import torch
    from captum.metrics import infidelity

    weights = torch.randn(1, 16, generator=torch.Generator().manual_seed(0))
    x = torch.rand(1, 16, generator=torch.Generator().manual_seed(1)) + 0.5
    hidden = RNG.random((64, 16)) < 0.4
    given_to_captum = iter([torch.from_numpy(hidden.astype(np.float32))])

    def perturb(inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mask = next(given_to_captum)
        return mask, inputs * (1 - mask)

    def forward(inputs: torch.Tensor) -> torch.Tensor:
        return torch.tanh(inputs @ weights[0])

    values = (x * weights).numpy()
    theirs = infidelity(
        forward,
        perturb,
        x,
        torch.from_numpy(values),
        n_perturb_samples=64,
        max_examples_per_batch=64,
        normalize=True,
    )
    shown = x.repeat(64, 1) * (1 - torch.from_numpy(hidden.astype(np.float32)))
    falls = (forward(x) - forward(shown)).numpy().astype(float)
    ours = m.infidelity(values.reshape(4, 4), hidden.reshape(64, 4, 4), falls)
    assert float(theirs[0]) == pytest.approx(ours * float((falls**2).mean()), rel=1e-4)


def test_sparseness_takes_the_sign_off_first() -> None:
    values = RNG.normal(size=(6, 6))
    assert m.sparseness(values) == pytest.approx(m.sparseness(-np.abs(values)))
    assert m.sparseness(np.zeros((3, 3))) == 0


def test_pointing_and_mass_tell_right_from_wrong() -> None:
    truth = np.zeros((48, 48), dtype=bool)
    truth[30:36, 16:32] = True
    right, wrong = truth.astype(float), (~truth).astype(float)
    assert m.pointing(right, truth) == m.mass_inside(right, truth) == 1
    assert m.pointing(wrong, truth) == m.mass_inside(wrong, truth) == 0
    assert m.pointing(np.ones((48, 48)), truth) == pytest.approx(truth.mean())
    near = m.widened(truth, 15 / 224)
    assert near[27, 20]
    assert not near[26, 20]


def test_a_permutation_test_finds_what_belongs_together_and_nothing_else() -> None:
    own = np.arange(60) % 6
    scores = RNG.normal(size=(60, 6))
    value, p = m.permutation_p(scores, own)
    assert p > 0.01
    scores[np.arange(60), own] += 1.5
    better, small = m.permutation_p(scores, own)
    assert better == pytest.approx(value + 1.5)
    assert small < 0.002


def test_lift_is_zero_for_an_even_map_and_positive_where_it_is_expected() -> None:
    labels = np.repeat(np.arange(8), 6).reshape(6, 8)
    assert lift(np.ones((6, 8)), labels, ["mouth"]) == pytest.approx(0)
    mouth = (labels == REGIONS.index("mouth")).astype(float)
    assert lift(mouth, labels, ["mouth"]) == pytest.approx(6 / 7)
    background = (labels == REGIONS.index("background")).astype(float)
    assert lift(background, labels, ["mouth"]) == 0  # no evidence on the face
    assert lift(-mouth, labels, ["mouth"]) == 0


def test_every_expression_but_neutral_is_expected_in_regions_that_exist() -> None:
    assert set(UNITS) == {*SEVEN, "contempt"} - {"neutral"}
    assert {unit for units in UNITS.values() for unit in units} == set(SHOWN)
    for regions in expected_regions().values():
        assert regions
        assert set(regions) < set(REGIONS)


def test_a_table_of_ones_own_is_read_and_checked(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "mine.toml"
    path.write_text('happy = ["mouth"]\nsad = ["brows", "mouth"]\n')
    assert read_expected(path) == {"happy": ("mouth",), "sad": ("brows", "mouth")}
    path.write_text('happy = ["moth"]\n')
    with pytest.raises(UnknownNameError, match="did you mean 'mouth'"):
        read_expected(path)
    path.write_text("happy = 3\n")
    with pytest.raises(InputError, match="expected happy ="):
        read_expected(path)
    with pytest.raises(InputError, match="TOML"):
        read_expected(tmp_path / "none.toml")
