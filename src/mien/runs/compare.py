"""Finished runs side by side, in the form of the papers' tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mien.runs.evaluate import compare
from mien.runs.literature import Printed, printed
from mien.runs.read import Scores, read_run, read_scores
from mien.wording import duration

COLUMNS = (
    "run",
    "model",
    "data",
    "parameters",
    "training time",
    "train",
    "val",
    "test (95 %)",
    "macro F1",
    "printed",
    "McNemar",
)


def comparison(
    folders: Sequence[str | Path], *, literature: bool = False
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of finished runs side by side, in the form of the papers' tables.

    With ``literature``, what the papers print of others on the same sets stands below. ``train``,
    ``val`` and ``test`` are accuracies; ``McNemar`` is the exact test against the first
    run (McNemar 1947), with how many images the first alone and this one alone answer correctly.
    """
    found = [(Path(folder), read_run(folder), read_scores(folder)) for folder in folders]
    first = found[0][2]
    rows = [
        _row(folder, report, _versus(first, scores) if number else "")
        for number, (folder, report, scores) in enumerate(found)
    ]
    if literature:
        sets = {s for _, report, _ in found for s in report["facts"].get("sets", "").split(", ")}
        rows += [_printed(row) for row in printed(sets)]
    return list(COLUMNS), rows


def _printed(row: Printed) -> list[str]:
    """A number of a paper's comparison with others, which nothing here has measured."""
    cells = {
        "run": row.source,
        "model": row.method,
        "data": f"{row.data}, as printed",
        "printed": f"{row.accuracy:.2%}",
    }
    return [cells.get(column, "") for column in COLUMNS]


def _versus(first: Scores, scores: Scores) -> str:
    """McNemar's test against the first run, where both answered the same images, in any order."""
    mine, theirs = first.order(), scores.order()
    if (
        scores.labels != first.labels
        or [first.names[i] for i in mine] != [scores.names[i] for i in theirs]
        or (first.truth[mine] != scores.truth[theirs]).any()
    ):
        return "other images"
    result = compare(first.truth[mine], first.answer[mine], scores.answer[theirs])
    return f"p {result.p_value:.3g} ({result.only_first} to {result.only_second})"


def _row(folder: Path, report: dict[str, Any], versus: str) -> list[str]:
    """One run; the printed number stands beside a whole experiment alone."""
    facts, test, about = report["facts"], report["test"], report["about"]
    accuracy, printed = test["accuracy"], about.get("expected")
    short = about.get("shortened", "")
    what = ", ".join(facts[k] for k in ("sets", "protocol") if k in facts)
    shares = [f"{facts[k]:.1%}" if k in facts else "" for k in ("train_accuracy", "val_accuracy")]
    return [
        f"{folder} (SHORTENED: {short})" if short else str(folder),
        facts["model"],
        f"{what}: {accuracy['images']:,} test" if what else f"{accuracy['images']:,} test",
        f"{facts['parameters']:,}",
        duration(facts.get("training_seconds", facts["seconds"])),
        *shares,
        f"{accuracy['value']:.1%} ({accuracy['low']:.1%} to {accuracy['high']:.1%})",
        f"{test['macro_f1']:.3f}",
        "" if printed is None or short else f"{printed:.1%}",
        versus,
    ]
