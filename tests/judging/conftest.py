"""Drawn faces for judging: 42 of 6 people, with their true evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.data.synthetic import write


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drawn") / "drawn.parquet"
    write(path, 42, people=6, seed=3)
    return path
