"""The images of a run: which rows, on which side, decoded in memory or on the fly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.types import InputError

torch = pytest.importorskip("torch", reason="torch is not installed: make test does without it")

from mien.models.torch import create  # noqa: E402 - after the check
from mien.train import pixels  # noqa: E402
from mien.train.folds import folds_of  # noqa: E402
from mien.train.loader import select  # noqa: E402
from mien.train.pixels import read_pixels  # noqa: E402
from mien.train.training import _module  # noqa: E402
from tests.train.small import RECIPE, rows_of  # noqa: E402


def test_validation_is_held_out_of_training_by_subject_and_never_of_test() -> None:
    subjects: list[str | None] = [f"s{i // 4}" for i in range(100)]
    sides = ["train"] * 80 + ["test"] * 20
    (fold,) = folds_of(rows_of(sides, subjects), 0)
    assert set(fold.test) == set(range(80, 100))
    assert len(fold.val) > 0
    assert not set(fold.train) & set(fold.val)
    assert not {subjects[i] for i in fold.train} & {subjects[i] for i in fold.val}
    folds = folds_of(rows_of([i // 4 % 5 for i in range(100)], subjects), 0)
    assert len(folds) == 5
    assert sorted(np.concatenate([p.test for p in folds])) == list(range(100))
    for fold in folds:
        whole = np.concatenate([fold.train, fold.val, fold.test])
        assert sorted(whole) == list(range(100))
    with pytest.raises(InputError, match="training and test images"):
        folds_of(rows_of(["train"] * 10, [None] * 10), 0)


def test_a_random_split_validates_on_random_images_or_on_none() -> None:
    subjects: list[str | None] = [f"s{i // 10}" for i in range(100)]
    rows = rows_of(["test" if i % 10 == 0 else "train" for i in range(100)], subjects)
    (fold,) = folds_of(rows, 0)  # everybody is on both sides
    assert len({subjects[i] for i in fold.val}) > 5
    assert {subjects[i] for i in fold.test} <= {subjects[i] for i in fold.train}
    (last,) = folds_of(rows, 0, "last")
    assert (len(last.train), len(last.val)) == (90, 0)


@pytest.mark.parametrize(("counts", "expected"), [("resampled", 1.0), ("all", 5.0)])
def test_classes_are_weighed_by_the_images_of_an_epoch(counts: str, expected: float) -> None:
    sides = ["train"] * 60 + ["val"] * 2 + ["test"] * 2
    rows = rows_of(sides, [None] * 64)
    rows.label[:60] = np.arange(60) >= 50  # 50 of one class, 10 of the other
    recipe = RECIPE.change(
        data={"labels": ["happy", "sad"], "under": 0.2},  # 10 of each in an epoch
        training={"class_weights": "balanced", "class_counts": counts},
    )
    module, _ = _module(recipe, rows, folds_of(rows, 0)[0], None, new=True)
    assert float(module.weights[1] / module.weights[0]) == pytest.approx(expected)


def test_rows_and_pixels_are_those_of_the_file(drawn: Path) -> None:
    rows = select(RECIPE, drawn)
    assert len(rows.number) == 280
    assert {"train", "val", "test"} == set(rows.side)
    _, spec = create("compact", classes=7)
    twice = read_pixels(drawn, np.array([5, 3, 5]), spec.preprocess)
    assert twice.shape == (3, 1, 48, 48)
    assert torch.equal(twice[0], twice[2])
    assert not torch.equal(twice[0], twice[1])
    with pytest.raises(InputError, match="expected images of fer2013, got synthetic"):
        select(RECIPE.change(data={"sets": ["fer2013"]}), drawn)


@pytest.mark.parametrize("workers", [0, 1])
def test_images_decoded_on_the_fly_are_those_in_memory(
    drawn: Path, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, spec = create("compact", classes=7)
    rows = np.array([5, 3, 5, 200])
    monkeypatch.setattr(pixels, "DECODED_BYTES", 0)
    monkeypatch.setattr(pixels.Encoded, "workers", workers)
    images = pixels.Images(
        pixels.pixels_of(drawn, rows, spec.preprocess, tmp_path / "copy"), np.eye(4)
    )
    assert isinstance(images.pixels, pixels.Encoded)
    assert (tmp_path / "copy").stat().st_size > 0
    torch.testing.assert_close(
        torch.cat(list(images.batches(3))), read_pixels(drawn, rows, spec.preprocess)
    )


def test_the_owners_split_in_two_parts_tests_their_validation_images_too(drawn: Path) -> None:
    official = select(RECIPE, drawn)
    rows = select(RECIPE.change(data={"protocol": "paper", "scheme": "train-test"}), drawn)
    (fold,) = folds_of(rows, 0)
    assert rows.scheme == "train-test"
    owners = {
        s: {int(n) for n, side in zip(official.number, official.side, strict=True) if side == s}
        for s in ("train", "val", "test")
    }
    assert set(rows.number[fold.test].tolist()) == owners["val"] | owners["test"]
    assert set(rows.number[fold.val].tolist()) < owners["train"]
    assert len(fold.val) > 0


def test_scores_are_told_apart_by_sex_where_the_data_know_it(tmp_path: Path) -> None:
    from mien.data.prepare import prepare
    from tests.data.examples import example

    tree = example("kdef", tmp_path / "kdef")
    prepare("kdef", tree.source, tmp_path / "kdef.parquet")
    recipe = RECIPE.change(data={"sets": ["kdef"], "protocol": "paper", "folds": 2})
    rows = select(recipe, tmp_path / "kdef.parquet")
    assert {g for g in rows.group if g} == {"F", "M"}
