from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.balance import class_weights, sample
from mien.types import InputError, MienError

#: FER2013's training images: angry, disgust, fear, happy, sad, surprise, neutral.
TRAIN = np.array([3995, 436, 4097, 7215, 4830, 3171, 4965])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.sampled_from(["train", "val", "test", None])),
        min_size=1,
        max_size=80,
    ),
    st.floats(0.05, 1),
    st.floats(1, 3),
    st.integers(0, 5),
)
def test_only_training_images_are_sampled(
    images: list[tuple[int, str | None]], limit: float, factor: float, seed: int
) -> None:
    labels, splits = np.array([a for a, _ in images]), [b for _, b in images]
    found = sample(labels, splits, limit=limit, factor=factor, seed=seed)
    others = [row for row in found.rows if splits[row] != "train"]
    assert others == [row for row, split in enumerate(splits) if split != "train"]
    assert all(c == 0 for row, c in zip(found.rows, found.copies, strict=True) if row in others)
    pairs = list(zip(found.rows.tolist(), found.copies.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)


def test_counts_of_the_vit_study() -> None:
    labels = np.repeat(np.arange(7), TRAIN)
    found = sample(labels, ["train"] * len(labels))
    assert np.bincount(labels[found.rows]).tolist() == [2886, 872, 2886, 2886, 2886, 2886, 2886]
    assert found.copies.max() == 1


def test_broken_factor_repeats_a_part() -> None:
    labels = np.array([0] * 100 + [1] * 10)
    found = sample(labels, ["train"] * 110, limit=1, factor=1.5)
    assert np.bincount(labels[found.rows]).tolist() == [100, 15]


def test_nothing_changes_at_one() -> None:
    labels = np.array([0, 0, 1])
    found = sample(labels, ["train"] * 3, limit=1, factor=1)
    assert found.rows.tolist() == [0, 1, 2]


def test_same_seed_same_rows() -> None:
    labels = np.repeat(np.arange(7), TRAIN // 10)
    rows = [sample(labels, ["train"] * len(labels), seed=s).rows.tolist() for s in (0, 0, 1)]
    assert rows[0] == rows[1] != rows[2]


@pytest.mark.parametrize("bad", [{"limit": 0}, {"limit": 1.1}, {"factor": 0.5}, {"factor": 11}])
def test_bad_bounds(bad: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected"):
        sample(np.array([0, 1]), ["train"] * 2, **bad)  # type: ignore[arg-type]


def test_balanced_weights_are_scikit_learns() -> None:
    sklearn = pytest.importorskip("sklearn.utils.class_weight")
    labels = np.repeat(np.arange(7), TRAIN // 10)
    theirs = sklearn.compute_class_weight("balanced", classes=np.arange(7), y=labels)
    np.testing.assert_allclose(class_weights(np.bincount(labels)), theirs)


def test_effective_weights() -> None:
    ours = class_weights(TRAIN, "effective", beta=0.9999)
    effective = (1 - 0.9999**TRAIN) / (1 - 0.9999)
    np.testing.assert_allclose(ours * effective, (ours * effective)[0])
    assert ours.sum() == pytest.approx(7)
    np.testing.assert_allclose(class_weights(TRAIN, "effective", beta=0), 1)


def test_empty_class_weighs_nothing() -> None:
    assert class_weights(np.array([4, 0, 4])).tolist() == [1, 0, 1]
    for counts, kind in ((np.array([0, 0]), "balanced"), (np.array([1, 2]), "equal")):
        with pytest.raises(MienError):
            class_weights(counts, kind)
