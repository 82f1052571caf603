"""The report's pictures, each as a data URL: confusion, reliability, curves, features."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.emotions import COLOURS
from mien.extras import need
from mien.results import draw
from mien.runs.evaluate import Report
from mien.types import FloatArray, IntArray

INK, PALE, BLUE, VERMILION = "#1e2228", "#70767f", "#0072b2", "#d55e00"


@dataclass(frozen=True, eq=False)
class Points:
    """Test images laid out by what the network makes of them, in two and in three dimensions."""

    labels: tuple[str, ...]
    names: tuple[str, ...]
    truth: IntArray  # [n], index into labels
    answer: IntArray  # [n]
    flat: FloatArray = field(repr=False)  # [n, 2]
    deep: FloatArray = field(repr=False)  # [n, 3]
    whole: int = 0  # of so many test images
    of: str = "what goes into the last layer"


def new_figure(size: tuple[float, float], columns: int = 1, **options: Any) -> tuple[Any, Any]:
    """A figure of ``size`` in inches and its axes; MissingExtraError without matplotlib."""
    figure = need("matplotlib.figure", "train", "a report").Figure(
        figsize=size, layout="constrained"
    )
    return figure, figure.subplots(1, columns, **options)


def png(figure: Any) -> bytes:
    """A figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def quiet(axes: Any) -> None:
    """Leave only the axes that are read."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=PALE)
    axes.grid(color="#e8eaee", linewidth=0.8)
    axes.set_axisbelow(True)


def colour(label: str) -> str:
    """The expression's colour as HTML writes it."""
    return "#{:02x}{:02x}{:02x}".format(*COLOURS[label])


def confusion_figure(report: Report) -> str:
    """The confusion matrix, each row in per cent of its class, with its images beside it."""
    counts = np.array(report.confusion, dtype=float)
    sizes = counts.sum(axis=1)
    share = 100 * counts / np.maximum(sizes, 1)[:, None]
    figure, axes = new_figure((5.6, 4.9))
    axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    places = range(len(report.labels))
    axes.set_xticks(places, report.labels, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, [f"{n} ({int(s)})" for n, s in zip(report.labels, sizes, strict=True)])
    axes.set_xlabel("answer", color=PALE)
    axes.set_ylabel("truth (images)", color=PALE)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for i in places:
        for j in places:
            if sizes[i]:
                axes.text(
                    j,
                    i,
                    f"{share[i, j]:.0f}",
                    ha="center",
                    va="center",
                    color="white" if share[i, j] > 55 else INK,
                    weight="bold" if i == j else "normal",
                )
    return draw.data_url(png(figure))


def reliability_figure(report: Report) -> str:
    """Share of correct answers against the mean score, per bin; the area of a dot is its images."""
    figure, axes = new_figure((5.6, 4.9))
    sure, right, images = (np.array(v, dtype=float) for v in zip(*report.reliability, strict=True))
    axes.plot([0, 1], [0, 1], color="#b0b6be", linewidth=1)
    axes.text(0.03, 0.95, "under-confident", color=PALE, fontsize=9)
    axes.text(0.97, 0.03, "over-confident", color=PALE, fontsize=9, ha="right")
    for x, y in zip(sure, right, strict=True):
        axes.plot([x, x], [x, y], color=BLUE, linewidth=1, alpha=0.5)
    axes.scatter(sure, right, s=20 + 300 * images / images.sum(), color=BLUE, zorder=3)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("score", color=PALE)
    axes.set_ylabel("share correct", color=PALE)
    quiet(axes)
    return draw.data_url(png(figure))


def curves_figure(history: Sequence[Mapping[str, str]]) -> str:
    """Losses and accuracies by epoch; rows of folds name their ``training``.

    A dot marks the epoch whose weights were kept.
    """
    figure, (left, right) = new_figure((9.6, 3.5), 2)
    trainings = list(dict.fromkeys(row.get("training", "") for row in history))
    for number, name in enumerate(trainings):
        rows = [row for row in history if row.get("training", "") == name]
        epochs = [int(row["epoch"]) for row in rows]
        column = {
            k: np.array([float(row.get(k) or "nan") for row in rows])
            for k in ("train_loss", "val_loss", "val_accuracy", "train_accuracy", "test_accuracy")
        }
        style = {"linewidth": 1.8 if len(trainings) == 1 else 1.0}
        named = number == 0
        left.plot(
            epochs, column["train_loss"], color=PALE, label="training" if named else None, **style
        )
        left.plot(
            epochs,
            column["val_loss"],
            color=VERMILION,
            label="validation" if named else None,
            **style,
        )
        right.plot(
            epochs,
            column["val_accuracy"],
            color=BLUE,
            label="validation" if named and _known(column["val_accuracy"]) else None,
            **style,
        )
        for side, tint in (("train", PALE), ("test", VERMILION)):
            values = column[f"{side}_accuracy"]
            if _known(values):
                label = ("training, as they are" if side == "train" else side) if named else None
                right.plot(epochs, values, color=tint, label=label, **style)
        if _known(column["val_accuracy"]):
            best = int(np.nanargmax(column["val_accuracy"]))
            right.scatter(
                epochs[best],
                column["val_accuracy"][best],
                color=BLUE,
                zorder=3,
                label="kept" if named else None,
            )
    left.set_title("loss", loc="left", color=INK, fontsize=11)
    right.set_title("accuracy", loc="left", color=INK, fontsize=11)
    for axes in (left, right):
        axes.set_xlabel("epoch", color=PALE)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
        quiet(axes)
    return draw.data_url(png(figure))


def _known(values: FloatArray) -> bool:
    """Whether an epoch has this number."""
    return bool(np.isfinite(values).any())


def features_figure(points: Points) -> str:
    """The still picture of t-SNE: two dimensions, and three seen from one side."""
    from matplotlib.lines import Line2D

    figure, _ = new_figure((9.6, 4.6))
    figure.clear()
    flat, deep = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2, projection="3d")
    wrong = points.answer != points.truth
    for i, name in enumerate(points.labels):
        for which, marker in ((~wrong, "o"), (wrong, "x")):
            chosen = which & (points.truth == i)
            style = {"s": 12, "marker": marker, "color": colour(name), "linewidths": 0.9}
            flat.scatter(*points.flat[chosen].T, **style)
            deep.scatter(*points.deep[chosen].T, depthshade=True, **style)
    for axes, title in ((flat, "two dimensions"), (deep, "three dimensions")):
        axes.set_title(title, loc="left", color=INK, fontsize=11)
        axes.tick_params(length=0, labelsize=0, labelcolor="none")
    flat.spines[:].set_color("#d6dae0")
    flat.set_xticks([])
    flat.set_yticks([])
    handles = [
        Line2D([], [], marker="o", linestyle="", color=colour(n), label=n) for n in points.labels
    ]
    handles.append(Line2D([], [], marker="x", linestyle="", color=PALE, label="wrong answer"))
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=len(handles),
        frameon=False,
        fontsize=9,
        columnspacing=1.2,
        handletextpad=0.2,
    )
    return draw.data_url(png(figure))
