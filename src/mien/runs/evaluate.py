"""Report: how well a model answers on a split, with intervals; pure functions on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from mien.metrics import (
    accuracy,
    bootstrap_interval,
    calibration_error,
    confusion,
    cross_entropy,
    f1,
    macro_f1,
    mcnemar,
    precision,
    recall,
    top_k,
)
from mien.types import BoolArray, FloatArray, InputError, IntArray

SMALL_GROUP = 30  # images; below, a group's figure says little


@dataclass(frozen=True)
class Score:
    """A share with its 95 % bootstrap interval and the number of images behind it."""

    value: float
    low: float
    high: float
    images: int

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class ClassScore:
    """One class: precision, recall and F1 in 0..1 (nan where undefined), and its images."""

    label: str
    precision: float
    recall: float
    f1: float
    images: int


@dataclass(frozen=True)
class Report:
    """What was measured on one split."""

    labels: tuple[str, ...]
    accuracy: Score
    top2: float
    macro_precision: float
    macro_recall: float  # the unweighted average recall
    macro_f1: float
    weighted_precision: float
    weighted_recall: float
    weighted_f1: float
    ece: float
    nll: float
    classes: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]  # rows are the truth
    reliability: tuple[tuple[float, float, int], ...]  # mean score, share right, images per bin
    groups: dict[str, Score] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields; None, which JSON knows, for what is undefined."""
        fields = asdict(self)
        for row in fields["classes"]:
            row |= {k: None for k, v in row.items() if isinstance(v, float) and np.isnan(v)}
        return fields


def evaluate(
    truth: IntArray,
    probability: FloatArray,
    labels: Sequence[str],
    *,
    groups: Sequence[str | None] = (),
    seed: int = 0,
) -> Report:
    """All scores of probabilities ``[N, K]`` against labels ``[N]`` (indices into ``labels``).

    ``groups`` name each image's group (sex, age, character); None is left out. Intervals are
    percentile bootstraps over images, with ``seed``. Raises InputError for shapes that do not
    fit or for probabilities that are not finite.

    >>> import numpy as np
    >>> report = evaluate(np.array([0, 1, 1]), np.eye(2)[[0, 1, 0]], ("happy", "sad"))
    >>> round(report.accuracy.value, 3), report.confusion
    (0.667, ((1, 0), (1, 1)))
    """
    _check(truth, probability, labels)
    guess = probability.argmax(axis=1)
    right = guess == truth
    k = len(labels)
    counts = confusion(truth, guess, k)
    sizes = counts.sum(axis=1)
    precisions, recalls = precision(truth, guess, k), recall(truth, guess, k)
    both = f1(truth, guess, k)
    seen = sizes > 0
    share = sizes / sizes.sum()
    clean = np.nan_to_num(precisions)
    named, warnings = _grouped(right, groups, seed)
    rows = zip(labels, precisions, recalls, both, sizes, strict=True)
    return Report(
        labels=tuple(labels),
        accuracy=_score(right, seed),
        top2=top_k(truth, probability, min(2, k)),
        macro_precision=float(clean[seen].mean()),
        macro_recall=float(recalls[seen].mean()),
        macro_f1=macro_f1(truth, guess, k),
        weighted_precision=float((clean * share).sum()),
        weighted_recall=accuracy(truth, guess),
        weighted_f1=float((both * share).sum()),
        ece=calibration_error(truth, probability),
        nll=cross_entropy(np.eye(k)[truth], probability),
        classes=tuple(
            ClassScore(label, float(p), float(r), float(f), int(n)) for label, p, r, f, n in rows
        ),
        confusion=tuple(tuple(int(n) for n in row) for row in counts),
        reliability=_reliability(right, probability.max(axis=1)),
        groups=named,
        warnings=warnings,
    )


def _check(truth: IntArray, probability: FloatArray, labels: Sequence[str]) -> None:
    shape = (len(truth), len(labels))
    if probability.shape != shape or not len(truth):
        raise InputError(
            f"expected probabilities of shape {list(shape)} with at least one row, "
            f"got {list(probability.shape)}"
        )
    if not np.isfinite(probability).all():
        raise InputError("expected finite probabilities, got nan or infinity; the model diverged")


def _grouped(
    right: BoolArray, groups: Sequence[str | None], seed: int
) -> tuple[dict[str, Score], tuple[str, ...]]:
    """The accuracy of each group, and warnings of those that are small."""
    named, warnings = {}, []
    for name in sorted({g for g in groups if g is not None}):
        chosen = np.array([g == name for g in groups])
        named[name] = _score(right[chosen], seed)
        if chosen.sum() < SMALL_GROUP:
            warnings.append(
                f"group {name}: {int(chosen.sum())} images only; its figure says little"
            )
    return named, tuple(warnings)


def _score(right: BoolArray, seed: int) -> Score:
    low, high = bootstrap_interval(right.astype(float), seed=seed)
    return Score(float(right.mean()), low, high, len(right))


def _reliability(
    right: BoolArray, sure: FloatArray, bins: int = 10
) -> tuple[tuple[float, float, int], ...]:
    which = np.minimum((sure * bins).astype(int), bins - 1)
    return tuple(
        (float(sure[which == b].mean()), float(right[which == b].mean()), int((which == b).sum()))
        for b in range(bins)
        if (which == b).any()
    )


@dataclass(frozen=True)
class Comparison:
    """Two models on the same images: accuracies and McNemar's exact test."""

    first: float
    second: float
    only_first: int  # images that the first alone answers correctly
    only_second: int
    p_value: float


def compare(truth: IntArray, first: IntArray, second: IntArray) -> Comparison:
    """Compare two models' answers ``[N]`` on the same images (McNemar 1947, exact, two-sided)."""
    only_first, only_second, p = mcnemar(truth, first, second)
    return Comparison(accuracy(truth, first), accuracy(truth, second), only_first, only_second, p)
