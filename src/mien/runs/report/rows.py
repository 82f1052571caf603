"""What a report says, in words and numbers, whatever it is written in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mien.runs.evaluate import Report
from mien.runs.recipe import Recipe, mark

CLASSES = ("class", "precision", "recall", "F1", "images")
GROUPS = ("group", "accuracy (95 % interval)", "images")


def headline(recipe: Recipe, report: Report) -> str:
    """One sentence: what was measured, beside what the paper printed.

    The paper's number is called within, above or below our 95 % interval. A run that was shortened
    says so, and the number of the whole experiment does not stand beside it.

    Parameters
    ----------
    recipe
        What was trained.
    report
        How the test images were answered.
    """
    measured = {"accuracy": report.accuracy.value, "macro_f1": report.macro_f1}
    ours = measured[recipe.about.metric]
    text = f"{recipe.about.metric.replace('_', ' ').capitalize()} {ours:.1%}"
    if recipe.about.metric == "accuracy":
        text += f" (95 % interval {report.accuracy.low:.1%} to {report.accuracy.high:.1%})"
    text += f" on {report.accuracy.images:,} test images, {recipe.data.protocol} protocol"
    if recipe.about.shortened:
        return f"{mark(recipe, text)}; not the experiment, so no printed number stands beside it"
    if recipe.about.changed:
        text += f", with {recipe.about.changed}"
    printed = recipe.about.expected
    if printed is None:
        ours_alone = recipe.about.paper.startswith("ours")
        return text if ours_alone else f"{text}; the paper gives no number"
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


def fact_rows(recipe: Recipe, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was run, and which number it repeats."""
    about = recipe.about
    rows = [
        ("paper", about.paper),
        ("repeats", about.table),
        ("paper's protocol", about.protocol),
        ("changed", about.changed),
        ("notes", about.notes),
        ("cost", about.cost),
    ]
    shown = {k: v for k, v in facts.items() if k != "framing"}  # in words: pictures
    rows += [(name.replace("_", " "), _value(value)) for name, value in shown.items()]
    return [(name, text) for name, text in rows if text]


def score_rows(report: Report, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The scores of the whole test, in words and numbers."""
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


def class_rows(report: Report) -> list[list[str]]:
    """The scores of each class."""
    return [
        [c.label, *map(_share, (c.precision, c.recall, c.f1)), str(c.images)]
        for c in report.classes
    ]


def group_rows(report: Report) -> list[list[str]]:
    """The accuracy of each group of people."""
    return [[name, str(score), str(score.images)] for name, score in report.groups.items()]
