"""What a model says of the images of a labelled set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from mien.data.table import ImageTable, image_bytes
from mien.priors import read_prior, shares_of, shifted
from mien.recognizer import Recognizer
from mien.types import BoolArray, Box, FloatArray, InputError, IntArray, Prediction
from mien.vision.geometry import largest

BATCH: Final = 64  # images of one model call


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


@dataclass(frozen=True)
class Row:
    """One image of a set: what it shows, whether it was asked about and could be read."""

    number: int
    truth: str | None
    asked: bool = False
    read: bool = False
    probability: tuple[float, ...] = ()


def ask(
    recognizer: Recognizer,
    rows: Iterator[tuple[int, str | None, bytes]],
    labels: Sequence[str],
    advance: Callable[[], None],
) -> list[Row]:
    """What a model says of some rows; those of other expressions are not asked about."""
    known = recognizer.labels
    wanted = [name for name in known if not labels or name in labels]
    others: list[Row] = []
    meant: list[tuple[int, str | None]] = []

    def named() -> Iterator[tuple[str, bytes]]:
        for number, truth, image in rows:
            if truth in wanted:
                meant.append((number, truth))
                yield str(number), image
            else:
                others.append(Row(number, truth))

    found: list[Row] = []
    for answers in recognizer.predict_many(named(), batch=BATCH):
        number, truth = meant[len(found)]
        best = largest((row for row in answers if row.emotions), _box)
        p = (0.0,) * len(known) if best is None else tuple(best.emotions[n] for n in known)
        found.append(Row(number, truth, True, answers[0].error is None, p))
        advance()
    return found + others


def _box(row: Prediction) -> Box:
    assert row.box is not None  # rows that have an answer are those of a face
    return row.box


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
