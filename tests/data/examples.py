"""The tiny example of a registered data set, by name."""

from __future__ import annotations

from pathlib import Path

from mien.data.base import DATASETS, Example


def example(name: str, folder: Path, number: int = 0) -> Example:
    """Write the example of one of a set's layouts, the official one first."""
    folder.mkdir(exist_ok=True)
    return DATASETS.get(name).examples[number](folder)
