"""Recipes run: small, on drawn faces, for two steps; every setting of every recipe does."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.runs.recipe import Recipe, read_recipe
from tests.conftest import ROOT

pytest.importorskip("torch", reason="torch is not installed: make test does without it")
pytest.importorskip("lightning", reason="lightning is not installed")

from mien.models.torch import MODELS, names
from mien.runs.folder import IMAGES, claim
from mien.runs.read import read_run
from mien.train import report, smoke
from mien.train.fit import Where, fit
from mien.types import InputError
from tests.train.small import RECIPE, command

pytestmark = pytest.mark.filterwarnings("ignore")

FOLDER = ROOT / "recipes"
FILES = sorted(p for p in FOLDER.rglob("*.toml") if p.parent.name != "builtin")


def once_each() -> dict[str, tuple[Recipe, list[str]]]:
    """Shrunk recipes by hash, and the files that are the same once they are shrunk."""
    found: dict[str, tuple[Recipe, list[str]]] = {}
    for path in FILES:
        small = smoke.shrink(read_recipe(path))
        name = path.relative_to(FOLDER).as_posix()
        found.setdefault(small.hash, (small, []))[1].append(name)
    return found


DIFFERENT = {files[0]: (small, files) for small, files in once_each().values()}
#: Numbers of which any value runs like any other.
NUMBERS = ("seed", "learning_rate", "momentum", "weight_decay", "gamma", "milestones", "epochs")


def covering() -> list[str]:
    """A few recipes that together have every setting of all."""

    def settings(recipe: Recipe) -> set[tuple[str, str, str]]:
        found = recipe.to_dict()
        return {
            (part, key, str(value))
            for part in ("data", "model", "training")
            for key, value in found[part].items()
            if key not in NUMBERS
        }

    having = {name: settings(small) for name, (small, _) in DIFFERENT.items() if not small.grid}
    left: set[tuple[str, str, str]] = set().union(*having.values())
    chosen: list[str] = []
    while left:
        chosen.append(max(having, key=lambda name: len(having[name] & left)))
        left -= having[chosen[-1]]
    return chosen


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return smoke.draw(tmp_path_factory.mktemp("faces"))


def test_all_recipes_and_models_are_made_small() -> None:
    covered = [name for _, files in DIFFERENT.values() for name in files]
    assert sorted(covered) == sorted(p.relative_to(FOLDER).as_posix() for p in FILES)
    assert all(MODELS.get(name).tiny for name in names())
    for small, _ in DIFFERENT.values():
        assert small.training.epochs == 1
        assert not small.model.pretrained


@pytest.mark.parametrize("name", covering())
def test_a_recipe_trains_and_tests(name: str, faces: Path, tmp_path: Path) -> None:
    small, files = DIFFERENT[name]
    run = fit(small, faces, tmp_path / "run", where=Where("cpu", steps=smoke.STEPS))
    if name == covering()[0]:  # its pictures take longer than the training
        assert report.write(run).is_file()
    assert 0 <= run.report.accuracy.value <= 1, files
    assert run.report.labels == small.data.labels
    assert (tmp_path / "run" / "weights.safetensors").exists()


@pytest.mark.parametrize("name", [n for n, (small, _) in DIFFERENT.items() if small.grid])
def test_a_grid_runs_two_of_its_points(name: str, tmp_path: Path) -> None:
    said = command(
        "train",
        FOLDER / name,
        "--smoke",
        "--grid",
        "-o",
        tmp_path / "run",
        "--device",
        "cpu",
        "--no-examples",
    )
    assert "2 of 2: validation" in said
    assert said.count("a smoke run of two steps on drawn faces") == 1
    assert "2 of " in said.replace("2 of 2", "")
    assert "its numbers mean nothing" in said
    tested = list((tmp_path / "run" / "trials").glob("*/report.json"))
    assert len(tested) == 1


def test_every_file_of_a_smoke_run_says_what_it_is_and_none_holds_the_printed_number(
    tmp_path: Path,
) -> None:
    run = tmp_path / "run"
    said = command("train", "gimefive/fer2013-13", "--smoke", "-o", run, "--device", "cpu")
    texts = {p.name: p.read_text("utf-8") for p in run.iterdir() if p.suffix != ".safetensors"}
    mark = "gimefive-13 made small; its numbers mean nothing"
    for text in (said, *(texts[f"report.{kind}"] for kind in ("json", "md", "html"))):
        assert "smoke run: 2 steps of 4 drawn faces" in text
        assert mark in text
        assert "interval; printed" not in text
        assert "our interval" not in text
    assert mark in texts["recipe.toml"]
    assert read_run(run)["facts"]["images"]["train"] > 0
    assert "<h2>Examples</h2>" in texts["report.html"]
    table = command("compare", run, run)
    assert "SHORTENED" in table
    assert "64.1" not in table
    with pytest.raises(InputError, match="another recipe"):
        claim(run, read_recipe(FOLDER / "gimefive" / "fer2013-13.toml"), fingerprint(run))


def fingerprint(run: Path) -> str:
    """Of the split, as the first line of a run's recipe says it."""
    first = (run / "recipe.toml").read_text("utf-8").partition("\n")[0]
    return first.removeprefix(IMAGES)


def test_fewer_epochs_than_the_recipes_are_marked(drawn: Path, tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(RECIPE.change(training={"epochs": 30}).to_toml(), encoding="utf-8")
    words = ["train", file, "--data", drawn, "--no-examples", "--device", "cpu"]
    said = command(*words, "--epochs", "1", "-o", tmp_path / "run")
    assert "epoch 1 of 1: training loss" in said
    assert "SHORTENED (1 of 30 epochs): Accuracy" in said
    assert "90.0%" not in said


def test_a_grid_is_not_mistaken_for_one_training(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from mien.commands.main import app

    words = ["train", str(FOLDER / "gimefive" / "grid-final.toml"), "--smoke", "-o"]
    done = CliRunner().invoke(app, [*words, str(tmp_path)])
    assert "41,472 trainings; give --grid" in str(done.exception)
