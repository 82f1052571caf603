"""A run's report: our number beside the paper's, as JSON, Markdown and one HTML file."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from mien.evaluate import Report
from mien.recipe import Recipe
from mien.types import MissingExtraError


def write_report(
    folder: Path,
    recipe: Recipe,
    report: Report,
    facts: Mapping[str, Any],
    history: Sequence[Mapping[str, str]],
) -> None:
    """Write ``report.json``, ``report.md`` and ``report.html`` into the run's folder."""
    content = {"about": recipe.to_dict()["about"], "facts": dict(facts), "test": report.to_dict()}
    text = json.dumps(content, indent=1) + "\n"
    (folder / "report.json").write_text(text, encoding="utf-8")
    (folder / "report.md").write_text(markdown(recipe, report, facts), encoding="utf-8")
    (folder / "report.html").write_text(html(recipe, report, facts, history), encoding="utf-8")


def headline(recipe: Recipe, report: Report) -> str:
    """One sentence: what was measured, beside what the paper printed.

    The paper's number is called within, above or below our 95 % interval.
    """
    measured = {"accuracy": report.accuracy.value, "macro_f1": report.macro_f1}
    ours = measured[recipe.about.metric]
    text = f"{recipe.about.metric.replace('_', ' ')} {ours:.1%}"
    if recipe.about.metric == "accuracy":
        text += f" (95 % interval {report.accuracy.low:.1%} to {report.accuracy.high:.1%})"
    text += f" on {report.accuracy.images:,} test images, {recipe.data.protocol} protocol"
    printed = recipe.about.expected
    if printed is None:
        return text + "; the paper gives no number"
    text += f"; printed: {printed:.1%}"
    if recipe.about.metric == "accuracy":
        low, high = report.accuracy.low, report.accuracy.high
        where = "above" if printed > high else "below" if printed < low else "within"
        text += f", {where} our interval"
    return text


def _facts(recipe: Recipe, facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    about = recipe.about
    rows = [("paper", about.paper), ("repeats", about.table), ("paper's protocol", about.protocol),
            ("notes", about.notes), ("cost", about.cost)]  # fmt: skip
    for name, value in facts.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        rows.append((name.replace("_", " "), f"{text:,}" if isinstance(text, int) else str(text)))
    return [(name, text) for name, text in rows if text]


def _scores(report: Report) -> list[tuple[str, str]]:
    return [
        ("accuracy (95 % interval)", str(report.accuracy)),
        ("among the two most probable", f"{report.top2:.4f}"),
        ("macro precision, recall, F1",
         f"{report.macro_precision:.4f}, {report.macro_recall:.4f}, {report.macro_f1:.4f}"),
        ("weighted precision, recall, F1",
         f"{report.weighted_precision:.4f}, {report.weighted_recall:.4f}, "
         f"{report.weighted_f1:.4f}"),
        ("expected calibration error", f"{report.ece:.4f}"),
        ("negative log-likelihood", f"{report.nll:.4f}"),
    ]  # fmt: skip


def _class_rows(report: Report) -> list[list[str]]:
    return [
        [c.label, f"{c.precision:.3f}", f"{c.recall:.3f}", f"{c.f1:.3f}", str(c.images)]
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
    lines += table(["score", "test"], [list(row) for row in _scores(report)])
    lines += table(["class", "precision", "recall", "F1", "images"], _class_rows(report))
    if report.groups:
        rows = [[name, str(score), str(score.images)] for name, score in report.groups.items()]
        lines += table(["group", "accuracy (95 % interval)", "images"], rows)
    lines += ["Rows are the truth, columns the answers:", ""]
    counts = [[name, *map(str, row)] for name, row in zip(names, report.confusion, strict=True)]
    lines += table(["", *names], counts)
    lines += table(["run", ""], [list(row) for row in _facts(recipe, facts)])
    return "\n".join(lines)


STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1e2228 }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top;
         border-bottom: 1px solid #d6dae0 }
td + td { font-variant-numeric: tabular-nums }
figure { margin: 1.5rem 0; break-inside: avoid } img { max-width: 100% }
figcaption, .quiet { color: #70767f }
.head { font-size: 1.15rem } .warn { color: #d55e00 }
"""


def html(
    recipe: Recipe,
    report: Report,
    facts: Mapping[str, Any],
    history: Sequence[Mapping[str, str]],
) -> str:
    """The report as one self-contained HTML page that also prints well."""

    def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
        head = "".join(f"<th>{escape(h)}</th>" for h in header)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def figure(picture: str, caption: str) -> str:
        text = escape(caption)
        return f'<figure><img alt="{text}" src="{picture}"><figcaption>{text}</figcaption></figure>'

    title = escape(recipe.about.title)
    parts = [f"<h1>{title}</h1>", f'<p class="head">{escape(headline(recipe, report))}.</p>']
    parts += [f'<p class="warn">{escape(text)}</p>' for text in report.warnings]
    parts.append(table(["score", "test"], _scores(report)))
    parts.append(table(["class", "precision", "recall", "F1", "images"], _class_rows(report)))
    if report.groups:
        rows = [[name, str(score), str(score.images)] for name, score in report.groups.items()]
        parts.append(table(["group", "accuracy (95 % interval)", "images"], rows))
    parts.append(figure(confusion_figure(report), "Confusion: rows are the truth, in per cent"))
    parts.append(figure(reliability_figure(report), "Reliability: share right against the score"))
    if len(history) > 1:
        parts.append(figure(curves_figure(history), "Learning curves"))
    parts.append(table(["run", ""], _facts(recipe, facts)))
    body = "\n".join(parts)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style><body>{body}</body></html>\n"
    )


def _figure(size: tuple[float, float]) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "reports need matplotlib, which is not installed; run: pip install 'mien[train]'"
        ) from error
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots()


def _data_url(figure: Any) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def confusion_figure(report: Report) -> str:
    """The confusion matrix as a picture (a data URL), each row in per cent of its class."""
    counts = np.array(report.confusion, dtype=float)
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = _figure((6.2, 5.2))
    axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    places = range(len(report.labels))
    axes.set_xticks(places, report.labels, rotation=40, ha="right")
    axes.set_yticks(places, report.labels)
    axes.set_xlabel("answer")
    axes.set_ylabel("truth")
    for i in places:
        for j in places:
            colour = "white" if share[i, j] > 55 else "black"
            axes.text(j, i, f"{share[i, j]:.0f}", ha="center", va="center", color=colour)
    return _data_url(figure)


def reliability_figure(report: Report) -> str:
    """Share of right answers against the mean score, per bin; the area of a dot is its images."""
    figure, axes = _figure((5.0, 4.2))
    sure, right, images = (np.array(v, dtype=float) for v in zip(*report.reliability, strict=True))
    axes.plot([0, 1], [0, 1], color="#b0b6be", linewidth=1)
    axes.scatter(sure, right, s=20 + 300 * images / images.sum(), color="#0072b2")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="score", ylabel="share right")
    return _data_url(figure)


def curves_figure(history: Sequence[Mapping[str, str]]) -> str:
    """Losses and validation accuracy by epoch."""
    figure, axes = _figure((6.6, 3.8))
    epochs = [int(row["epoch"]) for row in history]
    for name, colour in (("train_loss", "#70767f"), ("val_loss", "#d55e00")):
        axes.plot(epochs, [float(row.get(name) or "nan") for row in history], color=colour,
                  label=name.replace("_", " "))  # fmt: skip
    axes.set(xlabel="epoch", ylabel="loss")
    other = axes.twinx()
    other.plot(epochs, [float(row.get("val_accuracy") or "nan") for row in history],
               color="#0072b2", label="val accuracy")  # fmt: skip
    other.set_ylabel("accuracy")
    lines = axes.get_lines() + other.get_lines()
    axes.legend(lines, [line.get_label() for line in lines], frameon=False, loc="center right")
    return _data_url(figure)
