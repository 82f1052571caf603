"""Grids: every point once, the best on validation tested once, resumed after a kill."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mien.data import synthetic
from mien.types import InputError, MienError
from tests.train.small import CPU, RECIPE

pytest.importorskip("optuna", reason="optuna is not installed")

from mien.runs.read import read_run
from mien.train import descend, report
from mien.train.folds import folds_of
from mien.train.loader import select
from mien.train.search import Search, Trial, search
from mien.train.summary import write_summary
from mien.train.training import train_fold

pytestmark = pytest.mark.filterwarnings("ignore")

GRID = RECIPE.change(
    training={"epochs": 2},
    grid={"training.learning_rate": [0.05, 1e-6], "model.options.stem": [4, 8]},
)


@pytest.fixture(scope="module")
def found(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Search:
    result = search(GRID, drawn, tmp_path_factory.mktemp("search"), where=CPU)
    report.write(result.run)
    return result


def points(result: Search) -> list[tuple[Any, ...]]:
    return [tuple(trial.point.values()) for trial in result.trials]


def test_every_point_is_trained_once_and_the_best_on_validation_is_tested(found: Search) -> None:
    assert sorted(points(found)) == [(1e-6, 4), (1e-6, 8), (0.05, 4), (0.05, 8)]
    assert found.best.accuracy == max(trial.accuracy or 0 for trial in found.trials)
    tested = [t.number for t in found.trials if (t.folder / "scores.csv").exists()]
    assert tested == [found.best.number]
    facts = read_run(found.best.folder)["facts"]
    assert facts["recipe_hash"] == GRID.at(found.best.point).hash
    assert facts["val_accuracy"] == pytest.approx(found.best.accuracy)


def test_only_the_weights_of_the_best_are_kept(found: Search) -> None:
    kept = [p.parent.name for p in found.folder.rglob("weights.safetensors")]
    assert kept == [found.best.folder.name]
    assert not list(found.folder.rglob("*.ckpt"))


def test_a_trial_is_what_the_recipe_gives_alone(found: Search, drawn: Path, tmp_path: Path) -> None:
    trial = found.trials[1]
    recipe = GRID.at(trial.point)
    rows = select(recipe, drawn)
    (fold,) = folds_of(rows, recipe.training.seed)
    alone = train_fold(recipe, rows, fold, tmp_path / "run", None, CPU)
    assert alone.facts["val_accuracy"] == pytest.approx(trial.accuracy)
    assert alone.facts["val_nll"] == pytest.approx(trial.facts["val_nll"], abs=1e-5)


def test_the_table_and_the_picture_hold_every_trial(found: Search) -> None:
    write_summary(found)
    with (found.folder / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["trial"]) for row in rows] == [0, 1, 2, 3]
    for row, trial in zip(rows, found.trials, strict=True):
        assert float(row["val_accuracy"]) == trial.accuracy
        assert float(row["training.learning_rate"]) == trial.point["training.learning_rate"]
    text = (found.folder / "search.md").read_text(encoding="utf-8")
    assert "4 of 4 trainings" in text
    assert f"trial {found.best.number} (" in text
    assert (found.folder / "search.png").read_bytes().startswith(b"\x89PNG")


class Killed(BaseException):
    """Ends a training as a kill does: nothing of ours catches it."""


def test_a_killed_search_goes_on_without_doing_anything_twice(
    found: Search, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[tuple[str, int]] = []
    deadly: list[int] = [5]
    plain = descend.History.on_train_epoch_start

    def start(self: Any, trainer: Any, module: Any) -> None:
        starts.append((self.path.parent.name, trainer.current_epoch))
        if len(starts) - 1 in deadly:
            raise Killed
        plain(self, trainer, module)

    monkeypatch.setattr(descend.History, "on_train_epoch_start", start)
    with pytest.raises(Killed):
        search(GRID, drawn, tmp_path / "search", where=CPU)
    assert starts[-1] == ("0002", 1)  # in the second epoch of the third trial
    deadly.clear()
    seen: list[int] = []
    again = search(
        GRID, drawn, tmp_path / "search", where=CPU, on_trial=lambda t, *_: seen.append(t.number)
    )
    assert starts == [(f"{n:04d}", e) for n in range(3) for e in (0, 1)] + [
        ("0002", 1),
        ("0003", 0),
        ("0003", 1),
    ]
    assert seen == [2, 3]
    assert points(again) == points(found)
    assert [t.accuracy for t in again.trials] == [t.accuracy for t in found.trials]
    assert again.run.report.confusion == found.run.report.confusion


def test_a_trial_that_fails_is_recorded_and_costs_no_other(drawn: Path, tmp_path: Path) -> None:
    recipe = RECIPE.change(training={"epochs": 1}, grid={"model.options.dropout": [0.1, 3.0]})
    seen: list[Trial] = []
    result = search(recipe, drawn, tmp_path, where=CPU, on_trial=lambda t, *_: seen.append(t))
    failed = [t for t in result.trials if t.accuracy is None]
    assert [t.point["model.options.dropout"] for t in failed] == [3.0]
    assert "between 0 and 1" in failed[0].error
    assert "Traceback" in (failed[0].folder / "error.txt").read_text()
    assert result.best.point["model.options.dropout"] == 0.1
    assert len(seen) == 2
    write_summary(result)
    assert "1 of them failed" in (tmp_path / "search.md").read_text()
    with pytest.raises(MienError, match="all 1 trials failed"):
        search(
            RECIPE.change(grid={"model.options.dropout": [3.0]}), drawn, tmp_path / "b", where=CPU
        )


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_other_samplers_take_some_points_by_their_seed(
    sampler: str, drawn: Path, tmp_path: Path
) -> None:
    recipe = GRID.change(
        training={"epochs": 1},
        grid={
            "training.learning_rate": [0.1, 0.01, 0.001],
            "training.momentum": [0.0, 0.5, 0.9],
        },
    )
    few = replace(CPU, steps=3)
    results = [
        search(recipe, drawn, tmp_path / name, sampler=sampler, trials=2, where=few)
        for name in ("a", "b")
    ]
    assert len(results[0].trials) == 2
    assert points(results[0]) == points(results[1])
    assert [t.accuracy for t in results[0].trials] == [t.accuracy for t in results[1].trials]
    more = search(recipe, drawn, tmp_path / "a", sampler=sampler, trials=3, where=few)
    assert points(more)[:2] == points(results[0])
    assert len(more.trials) == 3


def test_folds_are_validated_on_what_each_holds_out(drawn: Path, tmp_path: Path) -> None:
    recipe = GRID.change(
        data={"protocol": "paper", "folds": 2},
        training={"epochs": 1},
        grid={"training.learning_rate": [0.05, 1e-6]},
    )
    result = search(recipe, drawn, tmp_path / "run", where=CPU)
    rows = select(recipe, drawn)
    held = sum(len(fold.val) for fold in folds_of(rows, recipe.training.seed))
    for trial in result.trials:
        assert trial.facts["val_images"] == held
        right = (trial.accuracy or 0) * held
        assert math.isclose(right, round(right), abs_tol=1e-6)
    assert result.run.report.accuracy.images == 280
    assert result.run.facts["trainings"] == 2


def test_what_cannot_be_searched_is_refused(found: Search, drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\[grid\]"):
        search(RECIPE, drawn, tmp_path / "a", where=CPU)
    with pytest.raises(InputError, match="--trials"):
        search(GRID, drawn, tmp_path / "b", sampler="tpe", where=CPU)
    with pytest.raises(InputError, match="another recipe"):
        search(GRID.change(training={"seed": 9}), drawn, found.folder, where=CPU)
    other = tmp_path / "other.parquet"
    synthetic.write(other, 70, people=10, size=48)
    with pytest.raises(InputError, match="other images"):
        search(GRID, other, found.folder, where=CPU)
