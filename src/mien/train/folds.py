"""The trainings of a run: one, or one per fold, each with images held out for validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mien.train.loader import Rows
from mien.types import InputError, IntArray

HELD_OUT = 0.1  # share of the training images that become validation where a split has none
PEOPLE = 5  # of fewer, one is too large a part of the training images to be held out


@dataclass(frozen=True)
class Fold:
    """One training of a run: indices into the selected rows.

    A run without cross-validation has one, whose name is empty.
    """

    name: str
    train: IntArray
    val: IntArray
    test: IntArray


def folds_of(rows: Rows, seed: int, validation: str = "tenth") -> list[Fold]:
    """The trainings of a split: one, or one per fold.

    Where the split has no validation images, a tenth of the training images is held out, so that
    nothing is ever selected on the test images: whole people where the split keeps people apart,
    images at random where it has people on both sides, or does not know them. With ``validation``
    "last" none are held out, and ``val`` is empty.
    """
    if all(isinstance(side, int) for side in rows.side):
        folds = np.array(rows.side, dtype=int)
        found = []
        for fold in np.unique(folds):
            test = np.flatnonzero(folds == fold)
            train, val = _held_out(rows, np.flatnonzero(folds != fold), test, seed, validation)
            found.append(Fold(f"fold-{fold}", train, val, test))
        return found
    sides = np.array([str(side) for side in rows.side])
    train, val, test = (np.flatnonzero(sides == s) for s in ("train", "val", "test"))
    if not len(train) or not len(test):
        raise InputError(
            f"{rows.path}: expected training and test images in the split {rows.scheme!r}, got "
            f"{len(train)} and {len(test)}; choose another protocol"
        )
    if not len(val):
        train, val = _held_out(rows, train, test, seed, validation)
    return [Fold("", train, val, test)]


def _held_out(
    rows: Rows, train: IntArray, test: IntArray, seed: int, validation: str
) -> tuple[IntArray, IntArray]:
    if validation == "last":
        return train, train[:0]
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    subjects = [rows.subject[i] for i in train]
    apart = not {rows.subject[i] for i in test} & set(subjects)
    known = all(s is not None for s in subjects) and len(set(subjects)) >= PEOPLE and apart
    folds = round(1 / HELD_OUT)
    if known:  # of few people, one is more than a tenth
        folds = min(folds, len(set(subjects)))
    kind = StratifiedGroupKFold if known else StratifiedKFold
    least = int(np.bincount(rows.label[train]).max())
    folds = min(folds, least)
    if folds < 2:
        raise InputError(f"{rows.path}: expected at least 2 training images, got {len(train)}")
    maker = kind(folds, shuffle=True, random_state=seed)
    kept, held = next(maker.split(train, rows.label[train], subjects if known else None))
    return train[kept], train[held]
