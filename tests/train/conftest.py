"""Drawn faces to train on, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.data import synthetic


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Parquet file of 280 faces: 196 to train on, 42 to validate and 42 to test."""
    path = tmp_path_factory.mktemp("drawn") / "drawn.parquet"
    synthetic.write(path, 280, people=40, size=48)
    return path
