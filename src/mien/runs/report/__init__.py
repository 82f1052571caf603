"""A run's report: our number beside the paper's, as JSON, Markdown and one HTML file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from mien.runs.evaluate import Report
from mien.runs.recipe import Recipe
from mien.runs.report.figures import (
    Points,
    confusion_figure,
    curves_figure,
    features_figure,
    reliability_figure,
)
from mien.runs.report.style import STYLE
from mien.runs.report.turning import turning

__all__ = ["Example", "Points", "headline", "html", "markdown", "write_report"]


@dataclass(frozen=True)
class Example:
    """One explained test image: what it shows, what was answered, and the evidence in words."""

    truth: str
    answer: str
    name: str  # of the image's file
    picture: str  # the crop and the evidence beside it, a data URL
    sentence: str


def write_report(
    folder: Path,
    recipe: Recipe,
    report: Report,
    facts: Mapping[str, Any],
    history: Sequence[Mapping[str, str]],
    *,
    points: Points | None = None,
    examples: Sequence[Example] = (),
) -> None:
    """Write ``report.json``, ``report.md`` and ``report.html`` into the run's folder."""
    content = {"about": recipe.to_dict()["about"], "facts": dict(facts), "test": report.to_dict()}
    text = json.dumps(content, indent=1) + "\n"
    (folder / "report.json").write_text(text, encoding="utf-8")
    (folder / "report.md").write_text(markdown(recipe, report, facts), encoding="utf-8")
    page = html(recipe, report, facts, history, points=points, examples=examples)
    (folder / "report.html").write_text(page, encoding="utf-8")


def headline(recipe: Recipe, report: Report) -> str:
    """One sentence: what was measured, beside what the paper printed.

    The paper's number is called within, above or below our 95 % interval.
    """
    measured = {"accuracy": report.accuracy.value, "macro_f1": report.macro_f1}
    ours = measured[recipe.about.metric]
    text = f"{recipe.about.metric.replace('_', ' ').capitalize()} {ours:.1%}"
    if recipe.about.metric == "accuracy":
        text += f" (95 % interval {report.accuracy.low:.1%} to {report.accuracy.high:.1%})"
    text += f" on {report.accuracy.images:,} test images, {recipe.data.protocol} protocol"
    printed = recipe.about.expected
    if printed is None:
        return (
            text if recipe.about.paper.startswith("ours") else f"{text}; the paper gives no number"
        )
    text += f"; printed: {printed:.1%}"
    if recipe.about.metric == "accuracy":
        low, high = report.accuracy.low, report.accuracy.high
        where = "above" if printed > high else "below" if printed < low else "within"
        text += f", {where} our interval"
    return text


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_value(v)}" for k, v in value.items())
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _facts(recipe: Recipe, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    about = recipe.about
    rows = [
        ("paper", about.paper),
        ("repeats", about.table),
        ("paper's protocol", about.protocol),
        ("notes", about.notes),
        ("cost", about.cost),
    ]
    rows += [(name.replace("_", " "), _value(value)) for name, value in facts.items()]
    return [(name, text) for name, text in rows if text]


def _scores(report: Report, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    sides = [
        (f"accuracy on {long} images", f"{facts[f'{short}_accuracy']:.4f}")
        for short, long in (("train", "training"), ("val", "validation"))
        if f"{short}_accuracy" in facts
    ]
    return [
        ("accuracy (95 % interval)", str(report.accuracy)),
        *sides,
        ("among the two most probable", f"{report.top2:.4f}"),
        (
            "macro precision, recall, F1",
            f"{report.macro_precision:.4f}, {report.macro_recall:.4f}, {report.macro_f1:.4f}",
        ),
        (
            "weighted precision, recall, F1",
            f"{report.weighted_precision:.4f}, {report.weighted_recall:.4f}, "
            f"{report.weighted_f1:.4f}",
        ),
        ("expected calibration error", f"{report.ece:.4f}"),
        ("negative log-likelihood", f"{report.nll:.4f}"),
    ]


def _share(value: float) -> str:
    """Three digits; "-" for what has no value, as the precision of a class never answered."""
    return "-" if math.isnan(value) else f"{value:.3f}"


def _class_rows(report: Report) -> list[list[str]]:
    return [
        [c.label, *map(_share, (c.precision, c.recall, c.f1)), str(c.images)]
        for c in report.classes
    ]


def markdown(recipe: Recipe, report: Report, facts: Mapping[str, Any]) -> str:
    """The report as Markdown."""

    def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
        lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
        return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]

    names = report.labels
    lines = [f"# {recipe.about.title}", "", headline(recipe, report) + ".", ""]
    lines += [f"> {warning}\n" for warning in report.warnings]
    lines += table(["score", ""], [list(row) for row in _scores(report, facts)])
    lines += table(["class", "precision", "recall", "F1", "images"], _class_rows(report))
    if report.groups:
        rows = [[name, str(score), str(score.images)] for name, score in report.groups.items()]
        lines += table(["group", "accuracy (95 % interval)", "images"], rows)
    lines += ["Rows are the truth, columns the answers:", ""]
    counts = [[name, *map(str, row)] for name, row in zip(names, report.confusion, strict=True)]
    lines += table(["", *names], counts)
    lines += table(["run", ""], [list(row) for row in _facts(recipe, facts)])
    return "\n".join(lines)


def html(
    recipe: Recipe,
    report: Report,
    facts: Mapping[str, Any],
    history: Sequence[Mapping[str, str]],
    *,
    points: Points | None = None,
    examples: Sequence[Example] = (),
) -> str:
    """The report as one self-contained HTML page that also prints well."""
    title = escape(recipe.about.title)
    parts = [f"<h1>{title}</h1>", f'<p class="head">{escape(headline(recipe, report))}.</p>']
    parts += [f'<p class="warn">{escape(text)}</p>' for text in report.warnings]
    tables = _table(["score", ""], _scores(report, facts), "scores")
    tables += _table(["class", "precision", "recall", "F1", "images"], _class_rows(report))
    parts.append(f'<div class="pair">{tables}</div>')
    if report.groups:
        rows = [[name, str(score), str(score.images)] for name, score in report.groups.items()]
        parts.append(_table(["group", "accuracy (95 % interval)", "images"], rows))
    pictures = _figure(confusion_figure(report), "Confusion: each row in per cent of its truth.")
    pictures += _figure(
        reliability_figure(report),
        "Reliability: the share of right answers at each score; larger dots, more images.",
    )
    parts.append(f'<div class="pair">{pictures}</div>')
    if len(history) > 1:
        parts.append("<h2>Learning curves</h2>")
        parts.append(
            _figure(curves_figure(history), "The dot marks the epoch whose weights count.")
        )
    if points is not None:
        parts += _features(points)
    if examples:
        parts += _examples(examples)
    parts.append("<h2>The run</h2>")
    parts.append(_table(["", ""], _facts(recipe, facts), "run"))
    body = "\n".join(parts)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{STYLE}</style></head><body>{body}</body></html>\n"
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    head = "".join(f"<th>{escape(h)}</th>" for h in header) if any(header) else ""
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    top = f"<thead><tr>{head}</tr></thead>" if head else ""
    return f'<table class="{kind}">{top}<tbody>{body}</tbody></table>'


def _figure(picture: str, caption: str) -> str:
    text = escape(caption)
    return f'<figure><img alt="{text}" src="{picture}"><figcaption>{text}</figcaption></figure>'


def _features(points: Points) -> list[str]:
    shown = len(points.names)
    which = f"{shown:,} of {points.whole:,} test images, drawn by chance" * (shown < points.whole)
    which = which or f"all {shown:,} test images"
    caption = (
        f"t-SNE of what goes into the last layer, {which}. Neighbours are alike to the network; "
        "distances between far groups and their sizes mean nothing."
    )
    still = _figure(features_figure(points), caption)
    return ["<h2>What the network sees as alike</h2>", turning(points), still]


def _examples(examples: Sequence[Example]) -> list[str]:
    cards = []
    for e in examples:
        said = "right" if e.truth == e.answer else f"answered {e.answer}"
        cards.append(
            f'<figure class="card"><img alt="{escape(e.sentence)}" src="{e.picture}">'
            f"<figcaption><b>{escape(e.truth)}</b>, {escape(said)}<br>{escape(e.sentence)}"
            f'<br><span class="quiet">{escape(e.name)}</span></figcaption></figure>'
        )
    note = (
        "One right and one wrong answer of each class, drawn by chance. Left the image, right what "
        "each region adds to the answer given (vermilion for it, blue against it): exact Shapley "
        "values in logits. It is what the network used, not a cause and not a feeling."
    )
    return [
        "<h2>Examples</h2>",
        f'<p class="quiet">{note}</p>',
        f'<div class="cards">{"".join(cards)}</div>',
    ]
