"""A run's report: our number beside the paper's, as JSON, Markdown and one HTML file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mien.files import write_whole
from mien.results.tables import markdown_table, markdown_text
from mien.runs.evaluate import Report
from mien.runs.recipe import Recipe, mark
from mien.runs.report.figures import Points
from mien.runs.report.page import ExplainedAnswer, html
from mien.runs.report.rows import (
    CLASSES,
    GROUPS,
    class_rows,
    fact_rows,
    group_rows,
    headline,
    score_rows,
)

__all__ = ["ExplainedAnswer", "Points", "headline", "html", "markdown", "write_report"]


def write_report(
    folder: Path,
    recipe: Recipe,
    report: Report,
    facts: Mapping[str, Any],
    history: Sequence[Mapping[str, str]],
    *,
    points: Points | None = None,
    examples: Sequence[ExplainedAnswer] = (),
) -> None:
    """Write ``report.md``, ``report.html`` and, last, ``report.json`` into the run's folder."""
    page = html(recipe, report, facts, history, points=points, examples=examples)
    content = {"about": recipe.to_dict()["about"], "facts": dict(facts), "test": report.to_dict()}
    write_whole(folder / "report.md", markdown(recipe, report, facts))
    write_whole(folder / "report.html", page)
    write_whole(folder / "report.json", json.dumps(content, indent=1, allow_nan=False) + "\n")


def markdown(recipe: Recipe, report: Report, facts: Mapping[str, Any]) -> str:
    """The report as Markdown."""
    title = markdown_text(mark(recipe, recipe.about.title))
    parts = [f"# {title}\n", markdown_text(headline(recipe, report)) + ".\n"]
    parts += [f"> {markdown_text(warning)}\n" for warning in report.warnings]
    parts.append(markdown_table(["score", ""], score_rows(report, facts)))
    parts.append(markdown_table(CLASSES, class_rows(report)))
    if report.groups:
        parts.append(markdown_table(GROUPS, group_rows(report)))
    parts.append("Rows are the truth, columns the answers:\n")
    names = report.labels
    counts = [[name, *map(str, row)] for name, row in zip(names, report.confusion, strict=True)]
    parts.append(markdown_table(["", *names], counts))
    parts.append(markdown_table(["run", ""], fact_rows(recipe, facts)))
    return "\n".join(parts)
