"""docs/data.md: its Python runs, its commands run, its table names every reader."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mien.commands.main import app
from mien.data.base import DATASETS
from mien.data.split import SCHEMES

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


def test_python_runs() -> None:
    assert len(blocks("python")) == 3
    try:
        for block in blocks("python"):
            exec(compile(block, "docs/data.md", "exec", dont_inherit=True), {})
    finally:
        DATASETS.remove("dashes")


def test_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line[2:] for line in "".join(blocks("console")).splitlines()]
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("mien ")]
    assert len(commands) >= 6
    for command in commands:
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, (command, done.output)


def test_every_reader_and_scheme_is_in_a_table() -> None:
    for name in (*DATASETS.names(), *SCHEMES.names()):
        assert f"`{name}`" in PAGE, name
