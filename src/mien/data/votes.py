"""FER+ crowd votes (Barsoum et al. 2016, arXiv:1608.01041) as labels and soft targets.

Votes are counts ``[N, 10]`` of ten raters in the order of :data:`VOTES`: Mien's eight
expressions, then ``unknown`` and ``not a face``.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mien.emotions import EIGHT
from mien.types import BoolArray, FloatArray, IntArray

VOTES: Final = (*EIGHT, "unknown", "not a face")
#: Column names of Microsoft's ``fer2013new.csv`` (and of the Parquet, with ``fp_``) in this order.
COLUMNS: Final = (
    "anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt",
    "unknown", "NF",
)  # fmt: skip


def without_outliers(votes: FloatArray) -> FloatArray:
    """Single votes set to 0, as Microsoft's code does before it looks for a majority."""
    return np.where(votes <= 1, 0, votes)


def majority(votes: FloatArray) -> tuple[IntArray, BoolArray]:
    """Label ``[N]`` by Microsoft's rule, and where there is one ``[N]``.

    Single votes are dropped; the label is kept where it then holds more than half of the votes
    and is one of the eight expressions.

    >>> import numpy as np
    >>> label, kept = majority(np.array([[0, 0, 0, 7, 0, 1, 2, 0, 0, 0]]))
    >>> EIGHT[label[0]], bool(kept[0])
    ('happy', True)
    """
    votes = without_outliers(votes)
    label = votes.argmax(axis=1)
    kept = (votes.max(axis=1) > 0.5 * votes.sum(axis=1)) & (label < len(EIGHT))
    return np.where(kept, label, 0), kept


def plurality(votes: FloatArray) -> tuple[IntArray, BoolArray]:
    """Label ``[N]`` with the most votes, and where it is one of the eight expressions ``[N]``."""
    label = votes.argmax(axis=1)
    kept = (label < len(EIGHT)) & (votes.max(axis=1) > 0)
    return np.where(kept, label, 0), kept


def soft_targets(votes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distribution over the eight ``[N, 8]`` and the share of raters who saw one of them ``[N]``.

    The share is 0 where ``unknown`` or ``not a face`` has the most votes, as Microsoft's code
    leaves such images out; the distribution is then all zeros.
    """
    eight = votes[:, : len(EIGHT)]
    _, kept = plurality(votes)
    total = eight.sum(axis=1)
    target = np.where(kept[:, None], eight / np.maximum(total, 1)[:, None], 0.0)
    return target, np.where(kept, total / np.maximum(votes.sum(axis=1), 1), 0.0)


def probability(votes: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Microsoft's mode ``probability``: distribution ``[N, 8]`` and where it is kept ``[N]``.

    Single votes are dropped; then the answers with the most votes are taken until they hold 75 %
    of what is left, or three are taken. An image is left out where these hold no more than half,
    where more than three are tied in, or where ``unknown`` or ``not a face`` leads
    (https://github.com/microsoft/FERPlus, ``src/ferplus.py``).

    >>> import numpy as np
    >>> probability(np.array([[0, 0, 0, 6, 0, 2, 2, 0, 0, 0.0]]))[0].round(2).tolist()
    [[0.0, 0.0, 0.0, 0.6, 0.0, 0.2, 0.2, 0.0]]
    """
    target = np.zeros((len(votes), len(EIGHT)))
    kept = np.zeros(len(votes), dtype=bool)
    for i, raw in enumerate(without_outliers(votes)):
        taken = _taken(raw.astype(float))
        if taken is not None:
            target[i] = taken[: len(EIGHT)] / taken[: len(EIGHT)].sum()
            kept[i] = True
    return target, kept


def _taken(left: FloatArray) -> FloatArray | None:
    """The votes that Microsoft's loop takes, or None where it calls the image unknown."""
    whole = left.sum()
    taken = np.zeros_like(left)
    count, valid = 0, True
    while taken.sum() < 0.75 * whole and count < 3 and valid:
        most = left.max()
        for i in np.flatnonzero(left == most):
            taken[i], left[i] = most, 0
            count += 1
            if i >= len(EIGHT):  # unknown or not a face: nothing below it is taken
                valid = False
                if taken.sum() > most:  # expressions were ahead of it: they stand without it
                    taken[i] = 0
                    count -= 1
                break
    if taken.sum() <= 0.5 * whole or count > 3 or taken.argmax() >= len(EIGHT):
        return None
    return taken
