"""docs/data.md: its commands run, its table names every reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.data.base import DATASETS
from mien.data.split import SCHEMES
from tests.conftest import ROOT
from tests.pages import commands, run_command

PAGE = ROOT / "docs" / "data.md"


def test_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    called = commands(PAGE)
    assert len(called) >= 6
    for words in called:
        run_command(words)


def test_every_reader_and_scheme_is_in_a_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in (*DATASETS.names(), *SCHEMES.names()):
        assert f"`{name}`" in text, name
