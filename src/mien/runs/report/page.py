"""A run's report as one HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from mien.runs.evaluate import Report
from mien.runs.recipe import Recipe, mark
from mien.runs.report.figures import (
    Points,
    confusion_figure,
    curves_figure,
    features_figure,
    reliability_figure,
)
from mien.runs.report.rows import (
    CLASSES,
    GROUPS,
    class_rows,
    fact_rows,
    group_rows,
    headline,
    score_rows,
)
from mien.runs.report.style import STYLE
from mien.runs.report.turning import turning


@dataclass(frozen=True)
class ExplainedAnswer:
    """One explained test image: what it shows, what was answered, and the evidence in words."""

    truth: str
    answer: str
    name: str  # of the image's file
    picture: str  # the crop and the evidence beside it, a data URL
    sentence: str


def html(
    recipe: Recipe,
    report: Report,
    facts: Mapping[str, Any],
    history: Sequence[Mapping[str, str]],
    *,
    points: Points | None = None,
    examples: Sequence[ExplainedAnswer] = (),
) -> str:
    """The report as one self-contained HTML page that also prints well."""
    title = escape(mark(recipe, recipe.about.title))
    parts = [f"<h1>{title}</h1>", f'<p class="head">{escape(headline(recipe, report))}.</p>']
    parts += [f'<p class="warn">{escape(text)}</p>' for text in report.warnings]
    tables = _table(["score", ""], score_rows(report, facts), "scores")
    tables += _table(CLASSES, class_rows(report))
    parts.append(f'<div class="pair">{tables}</div>')
    if report.groups:
        parts.append(_table(GROUPS, group_rows(report)))
    pictures = _figure(confusion_figure(report), "Confusion: each row in per cent of its truth.")
    pictures += _figure(
        reliability_figure(report),
        "Reliability: the share of correct answers at each score; larger dots, more images.",
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
    parts.append(_table(["", ""], fact_rows(recipe, facts), "run"))
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
    which = f"{shown:,} of {points.whole:,} test images, chosen at random" * (shown < points.whole)
    which = which or f"all {shown:,} test images"
    caption = (
        f"t-SNE of {points.of}, {which}. Neighbours are alike to the network; "
        "distances between far groups and their sizes mean nothing."
    )
    still = _figure(features_figure(points), caption)
    return ["<h2>What the network sees as alike</h2>", turning(points), still]


def _examples(examples: Sequence[ExplainedAnswer]) -> list[str]:
    cards = []
    for e in examples:
        outcome = "correct" if e.truth == e.answer else f"answered {e.answer}"
        cards.append(
            f'<figure class="card"><img alt="{escape(e.sentence)}" src="{e.picture}">'
            f"<figcaption><b>{escape(e.truth)}</b>, {escape(outcome)}<br>{escape(e.sentence)}"
            f'<br><span class="quiet">{escape(e.name)}</span></figcaption></figure>'
        )
    note = (
        "One correct and one wrong answer of each class, chosen at random. Left: the image. Right: "
        "what each region adds to the answer given (vermilion for it, blue against it), as exact "
        "Shapley values in logits. It is what the network used, not a cause and not a feeling."
    )
    return [
        "<h2>Examples</h2>",
        f'<p class="quiet">{note}</p>',
        f'<div class="cards">{"".join(cards)}</div>',
    ]
