"""FER+ crowd votes (Barsoum et al. 2016, arXiv:1608.01041) as labels and soft targets.

Votes are counts ``[N, 10]`` of ten raters in the order of :data:`VOTES`: Mien's eight
expressions, then ``unknown`` and ``not a face``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from mien.data import fer2013
from mien.data.base import SPLITS, Card, Counts, Reading, Row, dataset
from mien.data.sources import find_file
from mien.emotions import EIGHT
from mien.registry import choose
from mien.types import BoolArray, FloatArray, InputError, IntArray

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


CARD: Final = Card(
    name="ferplus",
    title="FER+",
    summary="FER2013's images with the votes of ten crowd raters for each.",
    size="35,887 rows; by majority 25,060 / 3,199 / 3,153 images, by argmax 28,389 / 3,553 / 3,546",
    labels=EIGHT,
    licence="Votes: MIT (Microsoft). Images: as FER2013.",
    source="https://github.com/microsoft/FERPlus",
    layout="fer2013new.csv (Usage,Image name,neutral,...,NF) in one folder with fer2013.csv or "
    "icml_face_data.csv, joined row by row",
    citation="Barsoum et al. 2016, Training deep networks for facial expression recognition with "
    "crowd-sourced label distribution, arXiv:1608.01041",
    flaws=(
        "the numbers of images depend on the rule: PrivateTest has 3,153 by majority, 3,546 by "
        "argmax: say which",
        "one rater agrees with the majority of the other nine on 70 % of PrivateTest",
        "the copies across FER2013's splits are here too",
    ),
    used_by=("GiMeFive (named there; its images are FER2013's)", "Mien's built-in model"),
    splits=("train", "val", "test"),
    paper={"scheme": "official"},
    honest={"scheme": "deduplicated"},
    columns={"usage": "string", "votes": "ints", "target": "floats"},
)
#: Counted in fer2013new.csv; the test counts are also those that papers print.
KEPT: Final = {"majority": (25060, 3199, 3153), "argmax": (28389, 3553, 3546)}
MODES: Final = ("majority", "argmax", "probability")


def read_votes(path: Path) -> tuple[list[str], list[str], IntArray]:
    """Usage, image name and votes ``[N, 10]`` (order of :data:`VOTES`) of ``fer2013new.csv``."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = [name.strip().lower() for name in next(reader, [])]
        wanted = ["usage", "image name", *(name.lower() for name in COLUMNS)]
        missing = [name for name in wanted if name not in header]
        if missing:
            raise InputError(
                f"{path}: expected the columns of fer2013new.csv, these are missing: "
                f"{', '.join(missing)}"
            )
        at = [header.index(name) for name in wanted]
        usage: list[str] = []
        names: list[str] = []
        votes: list[list[int]] = []
        for number, fields in enumerate(reader, 2):
            try:
                picked = [fields[i].strip() for i in at]
                votes.append([int(value) for value in picked[2:]])
            except (IndexError, ValueError):
                raise InputError(f"{path}: line {number}: expected ten whole votes") from None
            usage.append(picked[0])
            names.append(picked[1])
    return usage, names, np.array(votes, dtype=np.int64).reshape(-1, len(COLUMNS))


def _decide(votes: FloatArray, mode: str) -> tuple[IntArray, BoolArray, FloatArray]:
    """Labels, which images are kept, and targets ``[N, 8]`` under a mode."""
    if mode == "probability":
        target, kept = probability(votes)
        return target.argmax(axis=1), kept, target
    labels, kept = majority(votes) if mode == "majority" else plurality(votes)
    return labels, kept, np.eye(len(EIGHT))[labels]


@dataset(CARD)
def read(source: Path, mode: str = "majority") -> Reading:
    """FER2013's images with labels from the votes: ``majority``, ``argmax`` or ``probability``.

    ``target`` is the distribution to train on (one-hot but for ``probability``), ``votes`` the
    raw ten. Images that the rule leaves out are counted, not written. Raises InputError where
    the two tables are not of one length and order.
    """
    choose("mode", mode, MODES)
    folder = source if source.is_dir() else source.parent
    votes_path = find_file(folder, ("fer2013new.csv",), "the votes of FER+")
    images = find_file(folder, fer2013.FILES, "the images of FER2013")
    usage, names, votes = read_votes(votes_path)
    counts: Counts = {
        (split, None): n for split, n in zip(SPLITS, KEPT.get(mode, ()), strict=False)
    }
    rows = _joined(images, votes_path, usage, names, votes, mode)
    return Reading(rows, len(votes), counts, mode)


def _joined(
    images: Path, votes_path: Path, usage: list[str], names: list[str], votes: IntArray, mode: str
) -> Iterator[Row]:
    labels, kept, targets = _decide(votes.astype(float), mode)
    number = -1
    for number, row in enumerate(fer2013.rows_of(images)):
        if number >= len(votes):
            continue
        if row.error is None and row.extra["usage"] != usage[number]:
            raise InputError(
                f"{votes_path}: row {number} is {usage[number]}, in {images.name} it is "
                f"{row.extra['usage']}: the two tables are not in one order; fetch both again"
            )
        reason = None
        if not names[number]:  # Microsoft's code writes no image for these
            reason = "not a face"
        elif not kept[number]:
            most = VOTES[int(votes[number].argmax())]
            reason = most if most in VOTES[len(EIGHT) :] else f"no {mode}"
        yield replace(
            row,
            label=EIGHT[int(labels[number])],
            skip=reason,
            extra={
                "usage": usage[number],
                "votes": votes[number].tolist(),
                "target": targets[number].tolist(),
            },
        )
    if number + 1 != len(votes):
        raise InputError(
            f"{votes_path}: {len(votes)} rows of votes for {number + 1} images of {images.name}; "
            "they must be of one length: fetch both again"
        )
