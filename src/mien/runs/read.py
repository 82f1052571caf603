"""Read a finished run's folder: its report and the scores of its test images."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.types import InputError, IntArray


@dataclass(frozen=True, eq=False)
class Scores:
    """What ``scores.csv`` holds: names, labels, the truth and the answer of each test image."""

    names: tuple[str, ...]
    labels: tuple[str, ...]
    truth: IntArray  # [N]
    answer: IntArray  # [N]


def read_run(folder: str | Path) -> dict[str, Any]:
    """What ``report.json`` of a run says; InputError where the folder holds no finished run."""
    path = Path(folder) / "report.json"
    if not path.is_file():
        raise InputError(f"{folder}: expected a finished run with its report.json, found none")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def read_scores(folder: str | Path) -> Scores:
    """The scores of a run's test images; InputError where there are none."""
    path = Path(folder) / "scores.csv"
    if not path.is_file():
        raise InputError(f"{folder}: expected a finished run with its scores.csv, found none")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    labels = tuple(rows[0][2:])
    return Scores(
        names=tuple(row[0] for row in rows[1:]),
        labels=labels,
        truth=np.array([labels.index(row[1]) for row in rows[1:]]),
        answer=np.array([np.argmax([float(v) for v in row[2:]]) for row in rows[1:]]),
    )


def read_history(path: Path) -> list[dict[str, str]]:
    """Rows of a ``history.csv``; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
