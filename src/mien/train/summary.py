"""A finished search as a table (CSV and Markdown) and as a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from mien.files import write_whole
from mien.results.tables import markdown_table
from mien.runs.read import write_table
from mien.runs.recipe import mark
from mien.runs.report import headline
from mien.runs.report.figures import BLUE, INK, PALE, VERMILION, new_figure, png, quiet
from mien.train.search import Search, Trial


def write_summary(search: Search) -> None:
    """Write ``trials.csv``, ``search.md`` and ``search.png`` into the search's folder."""
    varied = list(search.recipe.grid)
    known = ("val_nll", "parameters", "epochs", "seconds")
    rows = []
    for trial in search.trials:
        value = "" if trial.accuracy is None else trial.accuracy
        point = [written(trial.point[name]) for name in varied]
        facts = [trial.facts.get(name, "") for name in known]
        rows.append([trial.number, *point, value, *facts, trial.error])
    write_table(
        search.folder / "trials.csv", ["trial", *varied, "val_accuracy", *known, "error"], rows
    )
    write_whole(search.folder / "search.md", markdown(search))
    write_whole(search.folder / "search.png", png(search_figure(search)))


def written(value: Any) -> str:
    """A grid's value as people write it.

    >>> written(0.001), written("sgd"), written([64, 128])
    ('0.001', 'sgd', '[64, 128]')
    """
    return value if isinstance(value, str) else json.dumps(value)


def short(name: str) -> str:
    """The last part of a dotted name, in words.

    >>> short("model.options.head_dropout")
    'head dropout'
    """
    return name.rpartition(".")[2].replace("_", " ")


def ranked(search: Search) -> list[Trial]:
    """The trials, best on validation first, failed ones last."""
    return sorted(search.trials, key=lambda t: (t.accuracy is None, -(t.accuracy or 0), t.number))


def table(search: Search) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the ranked trials; only what varies among them has a column."""
    varied = varying(search)
    header = ["trial", *map(short, varied), "validation", "parameters", "epochs", "minutes"]
    rows = []
    for t in ranked(search):
        values = [written(t.point[name]) for name in varied]
        if t.accuracy is None:
            rows.append([str(t.number), *values, f"failed: {t.error}", "", "", ""])
            continue
        rows.append(
            [
                str(t.number),
                *values,
                f"{t.accuracy:.2%}",
                f"{t.facts['parameters']:,}",
                str(t.facts["epochs"]),
                f"{t.facts['seconds'] / 60:.1f}",
            ]
        )
    return header, rows


def varying(search: Search) -> list[str]:
    """Names of the grid that take several values."""
    return [name for name, values in search.recipe.grid.items() if len(values) > 1]


def markdown(search: Search) -> str:
    """The search as Markdown: the test of the best trial, then all trials."""
    best = search.best
    point = ", ".join(f"{short(name)} {written(v)}" for name, v in best.point.items())
    failed = sum(t.accuracy is None for t in search.trials)
    failures = f", {failed} of them failed" * bool(failed)
    header, rows = table(search)
    title = mark(search.recipe, search.recipe.about.title)
    lines = [
        f"# {title}: {len(search.trials)} of {search.recipe.points:,} trainings{failures}",
        "",
        f"Best on validation, trial {best.number} ({point}): {best.accuracy:.2%}. Tested once: "
        f"{headline(search.recipe.at(best.point), search.run.report)}.",
        "",
        "![Accuracy on validation images by each value](search.png)",
        "",
        markdown_table(header, rows),
    ]
    return "\n".join(lines)


def search_figure(search: Search) -> Any:
    """Accuracy on validation images by trial and by each varied value, with the values' means."""
    good = [t for t in search.trials if t.accuracy is not None]
    varied = varying(search)
    columns = min(len(varied) + 1, 4)
    lines = -(-(len(varied) + 1) // columns)
    figure, first = new_figure((3.1 * columns, 2.9 * lines))
    figure.clear()
    del first
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
    panels = list(grid.flat)
    scores = 100 * np.array([t.accuracy for t in good], dtype=float)
    _by_trial(panels[0], [t.number for t in good], scores, search.best.number)
    for axes, name in zip(panels[1:], varied, strict=False):
        _by_value(axes, name, search.recipe.grid[name], good, scores)
    for axes in panels[len(varied) + 1 :]:
        axes.set_visible(False)
    for row in grid:
        row[0].set_ylabel("validation accuracy, %", color=PALE)
    return figure


def _by_trial(axes: Any, numbers: Sequence[int], scores: Any, best: int) -> None:
    axes.scatter(numbers, scores, s=14, color=BLUE, alpha=0.6)
    axes.plot(numbers, np.maximum.accumulate(scores), color=PALE, linewidth=1)
    axes.scatter(
        [best], scores.max(), s=50, facecolors="none", edgecolors=VERMILION, linewidths=1.6
    )
    axes.set_title("trial (ring: best)", loc="left", color=INK, fontsize=10)
    axes.xaxis.get_major_locator().set_params(integer=True)
    quiet(axes)


def _by_value(axes: Any, name: str, values: list[Any], good: list[Trial], scores: Any) -> None:
    random = np.random.default_rng(0)
    for place, value in enumerate(values):
        chosen = np.array([t.point[name] == value for t in good], dtype=bool)
        if chosen.any():
            spread = place + random.uniform(-0.15, 0.15, chosen.sum())
            axes.scatter(spread, scores[chosen], s=14, color=BLUE, alpha=0.6)
            axes.hlines(scores[chosen].mean(), place - 0.3, place + 0.3, color=VERMILION)
    axes.set_xticks(range(len(values)), [written(v) for v in values])
    axes.set_xlim(-0.6, len(values) - 0.4)
    axes.set_title(f"{short(name)} (line: mean)", loc="left", color=INK, fontsize=10)
    quiet(axes)
