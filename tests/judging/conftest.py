"""Drawn faces for judging: 84 of 20 people, with their true evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.data.synthetic import write


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drawn") / "drawn.parquet"
    write(path, 84, people=20, seed=3)
    return path
