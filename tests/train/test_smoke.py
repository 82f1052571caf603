"""Every recipe runs: small, on drawn faces, for two steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.runs.recipe import Recipe, read_recipe
from tests.conftest import ROOT

pytest.importorskip("torch", reason="torch is not installed: make test does without it")
pytest.importorskip("lightning", reason="lightning is not installed")

from mien.models.torch import names
from mien.models.torch.tiny import TINY
from mien.runs.read import read_run
from mien.train import smoke
from mien.train.fit import Where, fit
from tests.train.test_train import command

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


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return smoke.draw(tmp_path_factory.mktemp("faces"))


def test_all_recipes_are_run_and_all_models_are_made_small() -> None:
    covered = [name for _, files in DIFFERENT.values() for name in files]
    assert sorted(covered) == sorted(p.relative_to(FOLDER).as_posix() for p in FILES)
    assert set(names()) == set(TINY)
    for small, _ in DIFFERENT.values():
        assert small.training.epochs == 1
        assert not small.model.pretrained


@pytest.mark.parametrize("name", [n for n, (small, _) in DIFFERENT.items() if not small.grid])
def test_a_recipe_trains_tests_and_reports(name: str, faces: Path, tmp_path: Path) -> None:
    small, files = DIFFERENT[name]
    run = fit(small, faces, tmp_path / "run", where=Where("cpu", steps=smoke.STEPS))
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
    assert "2 of " in said.replace("2 of 2", "")
    assert "its numbers mean nothing" in said
    tested = list((tmp_path / "run" / "trials").glob("*/report.json"))
    assert len(tested) == 1


def test_the_command_says_what_it_made_small_and_explains_right_and_wrong_answers(
    tmp_path: Path,
) -> None:
    recipe = FOLDER / "gimefive" / "fer2013-13.toml"
    said = command("train", recipe, "--smoke", "-o", tmp_path / "run", "--device", "cpu")
    assert "gimefive-13 made small" in said
    assert "its numbers mean nothing" in said
    assert read_run(tmp_path / "run")["facts"]["images"]["train"] > 0
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<h2>Examples</h2>" in page


def test_a_grid_is_not_mistaken_for_one_training(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from mien.commands.main import app

    words = ["train", str(FOLDER / "gimefive" / "grid-final.toml"), "--smoke", "-o"]
    done = CliRunner().invoke(app, [*words, str(tmp_path)])
    assert "41,472 trainings; give --grid" in str(done.exception)
