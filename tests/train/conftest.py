"""Drawn faces to train on, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.data import synthetic
from tests.conftest import made_once


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Parquet file of 280 faces: 196 to train on, 42 to validate and 42 to test."""
    return made_once(
        tmp_path_factory,
        "drawn-280.parquet",
        lambda path: synthetic.write(path, 280, people=40, size=48),
    )
