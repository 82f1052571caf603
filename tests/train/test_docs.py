"""docs/training.md and the first training: their Python runs, and so do the tutorial's commands."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.pages import commands, follow

pytest.importorskip("torch", reason="torch is not installed: make test does without it")

from mien.runs.catalogue import find_recipe

PAGE = ROOT / "docs" / "training.md"


def test_the_recipes_that_the_page_names_exist() -> None:
    named = [words[1] for words in commands(PAGE) if words[0] == "train"]
    assert len(named) >= 4
    assert all(find_recipe(name).is_file() for name in named)


@pytest.mark.filterwarnings("ignore")  # Lightning's advice
def test_the_python_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    follow(PAGE, with_commands=False)
    assert "SHORTENED" in (tmp_path / "trial" / "report.md").read_text("utf-8")


@pytest.mark.filterwarnings("ignore")
def test_the_first_training_goes_as_its_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    follow(ROOT / "docs" / "tutorials" / "first-training.md")
    assert {"faces.parquet", "trial.png", "trial.mien.json"} <= {p.name for p in tmp_path.iterdir()}
