"""Balancing of the training images: sampling, and weights of classes for the loss.

Di Iorio's ViT study on FER2013 bounds the majority classes by ``max_class_limit``, 35 to 60 %
(commonly 40 %), and repeats minority classes by a factor of 1.5 to 3 (commonly 2). It does not
say of what the limit is a share; here: of the largest class's number of images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.registry import choose
from mien.types import FloatArray, InputError, IntArray

WEIGHTS = ("none", "balanced", "effective")


@dataclass(frozen=True)
class Balance:
    """Rows in the order of the epoch, and which of them are copies.

    ``rows`` ``[M]`` index the images that were given; ``copies`` ``[M]`` is 0 for an image that
    comes for the first time, 1 for its first repetition and so on: repetitions are there to be
    augmented differently.
    """

    rows: IntArray
    copies: IntArray


def sample(
    labels: IntArray,
    splits: Sequence[str | None],
    *,
    limit: float = 0.4,
    factor: float = 2.0,
    seed: int = 0,
) -> Balance:
    """Under- and over-sample the training images; all others come once, as they are.

    Parameters
    ----------
    seed
        Of the rows that are drawn.
    labels
        Class of each image ``[N]``.
    splits
        Its split; rows of ``train`` are sampled, no others.
    limit
        No class keeps more than this share of the largest class; 1 leaves all.
    factor
        A class below the limit is repeated up to this factor, but not beyond the limit; 1 leaves
        all. Of a broken factor, a draw of the images is repeated once more.

    Raises InputError for a limit outside 0..1 or a factor outside 1..10.

    >>> import numpy as np
    >>> both = sample(np.array([0] * 10 + [1] * 2), ["train"] * 12, limit=0.5, factor=2.0)
    >>> np.bincount(np.array([0] * 10 + [1] * 2)[both.rows]).tolist()
    [5, 4]
    """
    if not 0 < limit <= 1:
        raise InputError(f"limit: expected above 0 and at most 1, got {limit}")
    if not 1 <= factor <= 10:
        raise InputError(f"factor: expected 1 to 10, got {factor}")
    if len(labels) != len(splits):
        raise InputError(f"expected a split for each label, got {len(labels)} and {len(splits)}")
    training = np.array([split == "train" for split in splits], dtype=bool)
    rng = np.random.default_rng(seed)
    rows = [np.flatnonzero(~training)]
    copies = [np.zeros(len(rows[0]), dtype=np.int64)]
    largest = max((int((labels[training] == c).sum()) for c in np.unique(labels)), default=0)
    most = max(round(limit * largest), 1)
    for one in np.unique(labels[training]):
        own = rng.permutation(np.flatnonzero(training & (labels == one)))
        wanted = most if len(own) > most else min(round(factor * len(own)), most)
        # whole rounds through the class, then a part of one more
        rows.append(np.resize(own, wanted))
        copies.append(np.arange(wanted) // len(own))
    order = np.argsort(np.concatenate(rows), kind="stable")
    return Balance(np.concatenate(rows)[order], np.concatenate(copies)[order])


def class_weights(counts: IntArray, kind: str = "balanced", beta: float = 0.999) -> FloatArray:
    """Weights of classes ``[K]`` for a loss, from the numbers of training images ``[K]``.

    ``balanced``: total / (K x count), as scikit-learn does. ``effective``: inverse to the
    effective number (1 - beta^count) / (1 - beta), with sum K (Cui et al. 2019,
    arXiv:1901.05555). ``none``: ones. A class without images has weight 0 and counts for nothing.

    Parameters
    ----------
    counts
        Images of each class ``[K]``.
    kind
        ``none``, ``balanced`` or ``effective``.
    beta
        Of ``effective``: nearer to 1, nearer to ``balanced``.

    >>> import numpy as np
    >>> class_weights(np.array([30, 10])).round(3).tolist()
    [0.667, 2.0]
    """
    choose("kind of class weights", kind, WEIGHTS)
    numbers = np.asarray(counts, dtype=np.float64)
    if not 0 <= beta < 1:
        raise InputError(f"beta: expected 0 to below 1, got {beta}")
    if (numbers < 0).any() or not numbers.sum():
        raise InputError(f"expected counts of training images, got {numbers.tolist()}")
    there = numbers > 0
    if kind == "none":
        return np.where(there, 1.0, 0.0)
    safe = np.maximum(numbers, 1)
    if kind == "balanced":
        return np.asarray(np.where(there, numbers.sum() / (there.sum() * safe), 0.0))
    inverse = np.where(there, (1 - beta) / (1 - beta**safe), 0.0)
    return np.asarray(inverse * there.sum() / inverse.sum())
