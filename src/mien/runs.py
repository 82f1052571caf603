"""Read a finished run's folder: its report and the scores of its test images."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.evaluate import compare
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


COLUMNS = (
    "run", "model", "data", "parameters", "training time", "train", "val", "test (95 %)",
    "macro F1", "printed", "McNemar",
)  # fmt: skip


def comparison(folders: Sequence[str | Path]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of finished runs side by side, in the form of the papers' tables.

    ``train``, ``val`` and ``test`` are accuracies; ``McNemar`` is the exact test against the first
    run (McNemar 1947), with how many images only the first and only this one answers rightly.
    """
    found = [(Path(folder), read_run(folder), read_scores(folder)) for folder in folders]
    first = found[0][2]
    rows = []
    for number, (folder, report, scores) in enumerate(found):
        facts, test, printed = report["facts"], report["test"], report["about"]["expected"]
        versus = ""
        if number and (scores.names != first.names or scores.labels != first.labels):
            versus = "other images"
        elif number:
            result = compare(first.truth, first.answer, scores.answer)
            versus = f"p {result.p_value:.3g} ({result.only_first} to {result.only_second})"
        accuracy = test["accuracy"]
        rows.append([
            str(folder), facts["model"], f"{accuracy['images']:,} test", f"{facts['parameters']:,}",
            clock(facts.get("training_seconds", facts["seconds"])),
            *(f"{facts[k]:.1%}" if k in facts else "" for k in ("train_accuracy", "val_accuracy")),
            f"{accuracy['value']:.1%} ({accuracy['low']:.1%} to {accuracy['high']:.1%})",
            f"{test['macro_f1']:.3f}", "" if printed is None else f"{printed:.1%}", versus,
        ])  # fmt: skip
    return list(COLUMNS), rows


def clock(seconds: float) -> str:
    """A duration in words.

    >>> clock(12.3), clock(754), clock(8000)
    ('12 s', '13 min', '2.2 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
