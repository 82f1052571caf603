"""Which images a run trained on, chose on and tested: ``split.csv``, by their names and pixels."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from mien.results.tables import csv_rows
from mien.runs.read import damaged, write_table
from mien.types import InputError

SPLIT: Final = "split.csv"
HEADER: Final = ("filepath", "pixel_hash", "side")
FOLD: Final = "fold-"  # begins the name of a fold
TRAINED: Final = ("train", "val")  # what weights were fitted to, and chosen on


class Side(NamedTuple):
    """One image of a run: train, val, test, or the fold that tests it."""

    name: str
    pixels: str  # hash of its pixels
    side: str


@dataclass(frozen=True, eq=False)
class Sides:
    """The images of a run, each on its side."""

    rows: tuple[Side, ...] = field(repr=False)

    @cached_property
    def _own(self) -> dict[tuple[str, str], str]:
        return {(row.name, row.pixels): row.side for row in self.rows}

    @cached_property
    def _pixels(self) -> dict[str, str]:
        """Pixels to a side, training before test where copies are on both."""
        order = {"train": 0, "val": 1}
        last_first = sorted(self.rows, key=lambda row: -order.get(row.side, 2))
        return {row.pixels: row.side for row in last_first}

    @property
    def folds(self) -> bool:
        """Whether the run is one of folds, of which each image is tested by one."""
        return bool(self.rows) and self.rows[0].side.startswith(FOLD)

    def own(self, name: str, pixels: str) -> str | None:
        """The side of an image of the run, None for another image.

        >>> Sides((Side("a.png", "01", "train"),)).own("a.png", "01")
        'train'
        """
        return self._own.get((name, pixels))

    def alike(self, pixels: str) -> str | None:
        """The side of an image of the run with the same pixels, None where there is none.

        >>> Sides((Side("a.png", "01", "test"), Side("b.png", "01", "train"))).alike("01")
        'train'
        """
        return self._pixels.get(pixels)


def write_sides(folder: Path, rows: Iterable[Side]) -> Path:
    """Write ``split.csv`` into a run's folder."""
    path = folder / SPLIT
    write_table(path, HEADER, rows)
    return path


def read_sides(folder: Path) -> Sides | None:
    """The sides of a run's images; None for a run that did not write them down.

    Raises InputError for a file that is damaged.
    """
    path = folder / SPLIT
    if not path.is_file():
        return None
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            header, *rows = csv_rows(file)
        if tuple(header) != HEADER:
            raise damaged(path, f"its columns are {', '.join(header)}")
        return Sides(tuple(Side(*row) for row in rows))
    except (OSError, ValueError, TypeError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise damaged(path, str(error)) from error
