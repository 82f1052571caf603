"""Models measured on labelled sets: what they answer, and how often, how evenly, how surely."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from mien.data.table import ImageTable, image_bytes
from mien.judging.own import parts_of
from mien.metrics import calibration_error
from mien.options import options_of, read
from mien.priors import read_prior, shares_of, shifted
from mien.recognizer import Recognizer, load
from mien.runs.evaluate import Comparison, Report, compare, evaluate
from mien.types import BoolArray, FloatArray, InputError, IntArray, Prediction

NO_FACE: Final = "no face"
BATCH: Final = 64  # images of one model call


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
class Answers:
    """What a model said of the images of a set.

    Each row has one answer: that for the largest face. Where none was found, ``found`` is False
    and the row's probabilities are 0.
    """

    labels: tuple[str, ...]
    truth: IntArray  # [N], indices into labels
    probability: FloatArray  # [N, K]
    found: BoolArray  # [N]
    prior: dict[str, float] | None  # that the answers expect
    left_out: int  # images of expressions that the model does not know, or that were not asked for
    unreadable: int
    known: str = ""  # of a run: how the images stand to those that it was trained on

    @property
    def guess(self) -> IntArray:
        """The answers ``[N]``; K, which is no label, where no face was found."""
        return np.where(self.found, self.probability.argmax(axis=1), len(self.labels))

    def under(self, prior: dict[str, float]) -> Answers:
        """The same answers under another prior; InputError where their own is not known."""
        if self.prior is None:
            raise InputError("the model's card states no prior; leave prior= out")
        of = read_prior(self.prior, self.labels)
        odds = np.where(self.found[:, None], self.probability, 1.0)
        moved = shifted(odds, of, read_prior(prior, self.labels))
        return replace(self, probability=np.where(self.found[:, None], moved, 0.0), prior=prior)

    def among(self, labels: Sequence[str]) -> Answers:
        """The answers where only these labels can be given; the rows' labels are all among them."""
        kept = [i for i, name in enumerate(self.labels) if name in labels]
        names = tuple(self.labels[i] for i in kept)
        p = self.probability[:, kept]
        whole = p.sum(axis=1, keepdims=True)
        return replace(
            self,
            labels=names,
            truth=np.array([kept.index(int(t)) for t in self.truth], dtype=int),
            probability=np.divide(p, whole, out=np.zeros_like(p), where=whole > 0),
            prior=shares_of(self.prior or {}, names),
        )


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
    found: list[_Row] = []
    for part in parts:
        how = {"head": candidate.head, "flip": candidate.flip, "detector": detector}
        recognizer = load(part.model, **how)  # type: ignore[arg-type]  # as load takes them
        found += _asked(recognizer, labelled(path, split, part.rows), labels, advance)
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


@dataclass(frozen=True)
class _Row:
    """One image of a set: what it shows, whether it was asked about and could be read."""

    number: int
    truth: str | None
    asked: bool = False
    read: bool = False
    probability: tuple[float, ...] = ()


def _asked(
    recognizer: Recognizer,
    rows: Iterator[tuple[int, str | None, bytes]],
    labels: Sequence[str],
    advance: Callable[[], None],
) -> list[_Row]:
    """What a model says of some rows; those of other expressions are not asked about."""
    known = recognizer.labels
    wanted = [name for name in known if not labels or name in labels]
    others: list[_Row] = []
    meant: list[tuple[int, str | None]] = []

    def named() -> Iterator[tuple[str, bytes]]:
        for number, truth, image in rows:
            if truth in wanted:
                meant.append((number, truth))
                yield str(number), image
            else:
                others.append(_Row(number, truth))

    found: list[_Row] = []
    for answers in recognizer.predict_many(named(), batch=BATCH):
        number, truth = meant[len(found)]
        best = _largest(answers)
        p = (0.0,) * len(known) if best is None else tuple(best.emotions[n] for n in known)
        found.append(_Row(number, truth, True, answers[0].error is None, p))
        advance()
    return found + others


def _largest(answers: Sequence[Prediction]) -> Prediction | None:
    """The row of the largest face; None where there is none."""
    faces = [row for row in answers if row.box is not None and row.emotions]
    return max(faces, key=lambda row: row.box[2] * row.box[3] if row.box else 0.0, default=None)


def labelled(
    path: Path, split: str = "", rows: BoolArray | None = None
) -> Iterator[tuple[int, str | None, bytes]]:
    """Number, label and encoded image of a set's rows, in its order.

    Without ``split``, the rows of ``test`` where the file has such, else all; those that are True
    in ``rows`` ``[N]`` where it is given. Raises InputError for a file without labels or without
    rows of the split.
    """
    source = ImageTable(path)
    if "label" not in source.names:
        raise InputError(f"{path}: expected a column 'label', got {', '.join(source.names)}")
    sides: set[str] = set()
    if "split" in source.names:
        sides = {str(s) for b in source.batches(["split"], 8192) for s in source.values(b, "split")}
    wanted = split or ("test" if "test" in sides else "")
    if rows is None and wanted and wanted not in sides:
        raise InputError(
            f"{path}: expected rows of the split {wanted!r}; "
            f"its splits are {', '.join(sorted(sides)) or 'none'}"
        )
    columns = [name for name in ("image", "label", "split") if name in source.names]
    number = -1
    for batch in source.batches(columns, 512):
        cells = (source.values(batch, name) for name in ("label", "split", "image"))
        for truth, side, image in zip(*cells, strict=True):
            number += 1
            inside = (not wanted or str(side) == wanted) if rows is None else rows[number]
            if inside:
                yield number, truth, image_bytes(image)


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
