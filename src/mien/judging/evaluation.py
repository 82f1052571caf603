"""Models measured on labelled sets: what they answer, and how often, how evenly, how surely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from mien.judging.answering import Answers, Row, ask, labelled
from mien.judging.own import parts_of
from mien.loading import load
from mien.metrics import calibration_error
from mien.options import options_of, read
from mien.priors import shares_of
from mien.runs.evaluate import Comparison, Report, compare, evaluate
from mien.types import InputError

NO_FACE: Final = "no face"


@dataclass(frozen=True)
class Candidate:
    """A model and how it is asked: its name or path, its head, its prior, mirror images or not."""

    model: str
    head: str | None = None
    prior: str | None = None
    flip: bool = False

    def __str__(self) -> str:
        parts = {"head": self.head, "prior": self.prior}
        texts = [f"{name}={value}" for name, value in parts.items() if value]
        texts += ["flip=true"] if self.flip else []
        return self.model + (f":{','.join(texts)}" if texts else "")


def read_candidate(text: str) -> Candidate:
    """A model that may carry options, as ``mien:head=ferplus,prior=even,flip=true``.

    Raises UnknownNameError for another option, InputError for a value.

    >>> read_candidate("mien:head=fer2013,prior=even")
    Candidate(model='mien', head='fer2013', prior='even', flip=False)
    """
    model, colon, tail = text.rpartition(":")
    if not colon or "=" not in tail:
        return Candidate(text)

    def known(*, head: str = "", prior: str = "", flip: bool = False) -> None: ...

    given = read(f"the model {model!r}", options_of(known), tail.split(","))
    return Candidate(model, given.get("head"), given.get("prior"), given.get("flip", False))


@dataclass(frozen=True, eq=False)
class Measured:
    """One model on one set."""

    model: str
    identity: str
    data: str
    detector: str
    prior: dict[str, float] | None
    report: Report  # a face that is not found is a wrong answer
    ece: float | None  # over the faces that were found, as often as the set has each expression
    ece_prior: float | None  # the same, as often as the model's prior says
    no_face: int
    left_out: int
    unreadable: int
    versus: Comparison | None  # against the first model on the same set
    known: str = ""  # of a run: how the images stand to those that it was trained on

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        plain = {k: v for k, v in vars(self).items() if k not in ("report", "versus")}
        against = None if self.versus is None else vars(self.versus)
        return {**plain, **self.report.to_dict(), "ece": self.ece, "against_first": against}


def measure(
    models: Sequence[str],
    sets: Sequence[Path],
    *,
    labels: Sequence[str] = (),
    among: bool = False,
    split: str = "",
    detector: str = "none",
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> list[Measured]:
    """Every model on every set, the sets one after another.

    Parameters
    ----------
    models
        Names or paths, which may carry options: see :func:`read_candidate`.
    sets
        Parquet files of ``mien data``, or any with the columns image and label.
    labels
        Only images of these expressions; default: all that the model knows.
    among
        Answer with one of ``labels``, too, as where a set has no neutral faces.
    split
        Only this split; default: ``test`` where the file has one, else all rows.
    detector
        ``none`` where the images are face crops, else one that finds faces in them.
    advance
        Called after each image.

    Two models that differ in their prior alone are asked once. Raises InputError for a set
    without such images, UnknownNameError for a model's option.
    """
    candidates = [read_candidate(text) for text in models]
    if not candidates or not sets:
        raise InputError("expected at least one model and one set")
    found = []
    for path in sets:
        asked: dict[Candidate, tuple[Answers, str]] = {}
        rows: list[tuple[Candidate, Answers, str]] = []
        for candidate in candidates:
            bare = replace(candidate, prior=None)
            if bare not in asked:
                asked[bare] = _answers(bare, path, labels, split, detector, advance)
            answers, identity = asked[bare]
            if candidate.prior is not None:
                answers = answers.under(_prior(candidate, answers.labels))
            if among and labels:
                answers = answers.among(labels)
            rows.append((candidate, answers, identity))
        first = rows[0][1]
        found += [
            scored(str(c), identity, path.stem, detector, a, None if a is first else first, seed)
            for c, a, identity in rows
        ]
    return found


def _prior(candidate: Candidate, labels: tuple[str, ...]) -> dict[str, float]:
    recognizer = load(
        candidate.model, head=candidate.head, prior=candidate.prior, detector="none", threads=1
    )
    shares = shares_of(recognizer.model.prior, labels)
    assert shares is not None  # load raises where the model states none
    return shares


def _answers(
    candidate: Candidate,
    path: Path,
    labels: Sequence[str],
    split: str,
    detector: str,
    advance: Callable[[], None],
) -> tuple[Answers, str]:
    """A model's answers for a set, and what identifies the model.

    A run is asked about the images that it tested, each by the fold that did so.
    """
    parts = parts_of(candidate.model, path, split)
    found: list[Row] = []
    for part in parts:
        how = {"head": candidate.head, "flip": candidate.flip, "detector": detector}
        recognizer = load(part.model, **how)  # type: ignore[arg-type]  # as load takes them
        found += ask(recognizer, labelled(path, split, part.rows), labels, advance)
    known = recognizer.labels
    found.sort(key=lambda row: row.number)  # of folds, back into the order of the file
    good = [row for row in found if row.asked and row.read]
    if not good:
        wanted = ", ".join(name for name in known if not labels or name in labels)
        raise InputError(f"{path}: expected images of {wanted}, got none to measure on")
    p = np.array([row.probability for row in good])
    answer = Answers(
        known,
        np.array([known.index(str(row.truth)) for row in good]),
        p,
        p.sum(axis=1) > 0,
        recognizer.prior,
        sum(not row.asked for row in found),
        sum(row.asked and not row.read for row in found),
        parts[0].known,
    )
    identity = recognizer.model.identity
    return answer, identity if len(parts) == 1 else f"{identity}, last of {len(parts)} folds"


def scored(
    model: str,
    identity: str,
    data: str,
    detector: str,
    answers: Answers,
    first: Answers | None,
    seed: int,
) -> Measured:
    """The scores of a model's answers; faces that were not found are wrong answers.

    Parameters
    ----------
    model
        How the model is called in tables.
    identity
        What identifies it.
    data
        The set's name.
    detector
        What found the faces, ``none`` for crops.
    answers
        What it said.
    first
        What the model that it is set against said, if any.
    seed
        Of the bootstrap interval.
    """
    k = len(answers.labels)
    p, labels = answers.probability, answers.labels
    if not answers.found.all():  # a column of its own, so that no expression is answered there
        p = np.column_stack([p, np.where(answers.found, 0.0, 1e-6)])
        labels = (*labels, NO_FACE)
    seen = answers.found
    truth, sure = answers.truth[seen], answers.probability[seen]
    even = None
    if answers.prior is not None and len(truth):
        counts = np.bincount(truth, minlength=k)
        shares = np.array([answers.prior[name] for name in answers.labels])
        even = calibration_error(truth, sure, weight=(shares / np.maximum(counts, 1))[truth])
    versus = None
    if first is not None and _same(first, answers):
        versus = compare(answers.truth, first.guess, answers.guess)
    return Measured(
        model=model,
        identity=identity,
        data=data,
        detector=detector,
        prior=answers.prior,
        report=evaluate(answers.truth, p, labels, seed=seed),
        ece=calibration_error(truth, sure) if len(truth) else None,
        ece_prior=even,
        no_face=int((~seen).sum()),
        left_out=answers.left_out,
        unreadable=answers.unreadable,
        versus=versus,
        known=answers.known,
    )


def _same(first: Answers, second: Answers) -> bool:
    """Whether two models answered the same images in the same words."""
    same = first.labels == second.labels and first.truth.shape == second.truth.shape
    return same and bool((first.truth == second.truth).all())


HEADER: Final = (
    "set", "model", "images", "accuracy", "mean recall", "macro-F1", "ECE", "ECE, own prior",
    "no face", "McNemar",
)  # fmt: skip


def table(found: Sequence[Measured]) -> tuple[list[str], list[list[str]]]:
    """Header and rows: the scores, then the recall of each expression that the sets show."""
    shown = [c.label for m in found for c in m.report.classes if c.images]
    names = list(dict.fromkeys(shown))
    rows = []
    for m in found:
        recalls = {c.label: f"{c.recall:.2f}" for c in m.report.classes if c.images}
        score = m.report.accuracy
        rows.append(
            [
                m.data,
                m.model,
                f"{score.images:,}",
                f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})",
                f"{m.report.macro_recall:.3f}",
                f"{m.report.macro_f1:.3f}",
                *("" if e is None else f"{e:.3f}" for e in (m.ece, m.ece_prior)),
                str(m.no_face) if m.no_face else "",
                _versus(m.versus),
                *(recalls.get(name, "") for name in names),
            ]
        )
    return [*HEADER, *names], rows


def _versus(found: Comparison | None) -> str:
    if found is None:
        return ""
    return f"p {found.p_value:.2g} ({found.only_first} to {found.only_second})"
