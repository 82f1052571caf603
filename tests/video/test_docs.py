"""docs/video.md: its Python runs, and its commands have the options that it names."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from mien.commands.main import app
from tests.conftest import ROOT
from tests.video import clips

PAGES = [ROOT / "docs" / "video.md", ROOT / "docs" / "scale.md"]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


def test_the_python_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips.write(tmp_path / "clip.mp4", 12)
    monkeypatch.chdir(tmp_path)
    for block in blocks(PAGES[0], "python"):
        exec(compile(block, "video.md", "exec"), {})
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "annotated.mp4",
        "clip.mp4",
        "results",
        "rows.csv",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_options_that_the_page_names_exist(page: Path) -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]  # a group
    known = {
        name: {option for p in command.params for option in p.opts}
        for name, command in commands.items()
    }
    lines = "\n".join(blocks(page, "console")).splitlines()
    called = [shlex.split(line, comments=True) for line in lines if line.startswith("mien ")]
    assert len(called) >= 4
    for _, name, *words in called:
        given = {word for word in words if word.startswith("-")}
        assert given <= known[name], (name, given - known[name])
    text = page.read_text(encoding="utf-8")
    every = set().union(*known.values())
    assert set(re.findall(r"`(--[a-z-]+)", text)) <= every
