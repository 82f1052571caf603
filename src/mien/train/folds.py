"""The trainings of a run: one, or one per fold, each with images held out for validation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mien.train.loader import Rows
from mien.types import InputError, IntArray

HELD_OUT = 0.1  # share of the training images that become validation where a split has none


@dataclass(frozen=True)
class Fold:
    """One training of a run: indices into the selected rows.

    A run without cross-validation has one, whose name is empty.
    """

    name: str
    train: IntArray
    val: IntArray
    test: IntArray


def folds_of(rows: Rows, seed: int) -> list[Fold]:
    """The trainings of a split: one, or one per fold.

    Where the split has no validation images, a tenth of the training images is held out, whole
    subjects where they are known, so that nothing is ever selected on the test images.
    """
    if all(isinstance(side, int) for side in rows.side):
        folds = np.array(rows.side, dtype=int)
        found = []
        for fold in np.unique(folds):
            train, val = _held_out(rows, np.flatnonzero(folds != fold), seed)
            found.append(Fold(f"fold-{fold}", train, val, np.flatnonzero(folds == fold)))
        return found
    sides = np.array([str(side) for side in rows.side])
    train, val, test = (np.flatnonzero(sides == s) for s in ("train", "val", "test"))
    if not len(train) or not len(test):
        raise InputError(
            f"{rows.path}: expected training and test images in the split {rows.scheme!r}, got "
            f"{len(train)} and {len(test)}; choose another protocol"
        )
    if not len(val):
        train, val = _held_out(rows, train, seed)
    return [Fold("", train, val, test)]


def _held_out(rows: Rows, train: IntArray, seed: int) -> tuple[IntArray, IntArray]:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    subjects = [rows.subject[i] for i in train]
    folds = round(1 / HELD_OUT)
    known = all(s is not None for s in subjects) and len(set(subjects)) >= folds
    kind = StratifiedGroupKFold if known else StratifiedKFold
    least = int(np.bincount(rows.label[train]).max())
    folds = min(folds, least)
    if folds < 2:
        raise InputError(f"{rows.path}: expected at least 2 training images, got {len(train)}")
    maker = kind(folds, shuffle=True, random_state=seed)
    kept, held = next(maker.split(train, rows.label[train], subjects if known else None))
    return train[kept], train[held]
