"""What a run's folder holds, read with care: report, curves, scores of its test images."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.files import write_whole
from mien.results.tables import csv_rows, csv_text
from mien.types import InputError, IntArray

AGAIN = "delete it, and the same mien train command writes it again"


@dataclass(frozen=True, eq=False)
class Scores:
    """What ``scores.csv`` holds: names, labels, the truth and the answer of each test image."""

    names: tuple[str, ...]
    labels: tuple[str, ...]
    truth: IntArray  # [N]
    answer: IntArray  # [N]

    def order(self) -> list[int]:
        """Indices by name: runs of folds write their test images fold by fold."""
        return sorted(range(len(self.names)), key=self.names.__getitem__)


def read_run(folder: str | Path) -> dict[str, Any]:
    """What ``report.json`` of a run says; InputError where the folder holds no finished run."""
    path = Path(folder) / "report.json"
    if not Path(folder).exists():
        raise InputError(f"{folder}: no such folder; expected that of a finished run")
    if not path.is_file():
        raise InputError(f"{folder}: expected a finished run with its report.json, found none")
    return read_facts(path, ("about", "facts", "test"))


def read_facts(path: Path, needed: Iterable[str] = ()) -> dict[str, Any]:
    """A JSON object that training wrote, with the fields ``needed``.

    Raises InputError, which names the file and what to do, for one that is cut short, empty or
    something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, str(error)) from error
    missing = [name for name in needed if not isinstance(found, dict) or name not in found]
    if not isinstance(found, dict) or missing:
        raise damaged(path, f"it lacks {', '.join(missing) or 'its fields'}")
    return found


def damaged(path: Path, why: str) -> InputError:
    """The error for a file of a run that cannot be read, with what to do."""
    return InputError(f"{path}: expected what mien train wrote, but {_plain(why)}; {AGAIN}")


def _plain(why: str) -> str:
    return f"it cannot be read ({why.splitlines()[0][:120]})" if why else "it is empty"


def read_scores(folder: str | Path) -> Scores:
    """The scores of a run's test images; InputError where there are none, or not all."""
    path = Path(folder) / "scores.csv"
    if not path.is_file():
        raise InputError(f"{folder}: expected a finished run with its scores.csv, found none")
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = csv_rows(file)
        labels = tuple(rows[0][2:])
        if not labels or any(len(row) != len(rows[0]) for row in rows):
            raise damaged(path, "it is cut short")
        return Scores(
            names=tuple(row[0] for row in rows[1:]),
            labels=labels,
            truth=np.array([labels.index(row[1]) for row in rows[1:]], dtype=int),
            answer=np.array([np.argmax([float(v) for v in row[2:]]) for row in rows[1:]], int),
        )
    except (OSError, ValueError, IndexError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise damaged(path, str(error)) from error


def write_table(path: Path, header: Sequence[Any], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV file whole."""
    text = csv_text([header, *rows])
    # names of files need not be UTF-8: they are written as they are
    write_whole(path, text.encode("utf-8", "surrogateescape"))


def read_history(path: Path) -> list[dict[str, str]]:
    """Rows of a ``history.csv``; none where there is no file, InputError for one cut short."""
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows: list[dict[str, str]] = list(csv.DictReader(file, strict=True))
        for row in rows:
            if None in row or None in row.values():
                raise damaged(path, "it is cut short")
            int(row["epoch"]), float(row["seconds"])
    except (OSError, ValueError, KeyError, csv.Error) as error:
        if isinstance(error, InputError):
            raise
        raise damaged(path, f"{type(error).__name__}: {error}") from error
    return rows
