"""docs/training.md: its commands are understood as they are, and its Python runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from mien.runs.catalogue import find_recipe
from tests.conftest import ROOT

pytest.importorskip("torch", reason="torch is not installed: make test does without it")

PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
LINES = [
    line
    for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.M | re.S)
    for line in block.splitlines()
    if line.startswith("mien ")
]


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_page_has_these_arguments_and_its_recipe_exists(line: str) -> None:
    from typer.main import get_command

    from mien.commands.main import app

    words = shlex.split(line, comments=True)[1:]
    found: Any = get_command(app)
    while hasattr(found, "commands"):
        found = found.commands[words.pop(0)]
    found.make_context(found.name, list(words))  # raises where an option does not exist
    if line.startswith("mien train"):
        assert find_recipe(words[0]).is_file(), words[0]


@pytest.mark.filterwarnings("ignore")  # Lightning's advice
def test_the_python_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S):
        exec(compile(block, "docs/training.md", "exec"), {})
    assert "SHORTENED" in (tmp_path / "trial" / "report.md").read_text("utf-8")


def test_every_option_that_the_page_names_exists() -> None:
    from typer.main import get_command

    from mien.commands.main import app

    commands: Any = get_command(app)
    known = {
        option
        for name in ("train", "compare", "export")
        for parameter in commands.commands[name].params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    named = set(re.findall(r"`(--[a-z-]+)", PAGE)) | set(re.findall(r"(?<= )--[a-z-]+", PAGE))
    assert named <= known | {"--model", "--detector"}, named - known
