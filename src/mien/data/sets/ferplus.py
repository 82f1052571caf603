"""FER+ (Barsoum et al. 2016, arXiv:1608.01041): FER2013's images with crowd votes."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from mien.data.base import SPLITS, Counts, DataCard, Example, Reading, Row, dataset
from mien.data.example import save_table
from mien.data.sets import fer2013
from mien.data.sources import find_file
from mien.data.votes import COLUMNS, VOTES, majority, plurality, probability
from mien.emotions import EIGHT
from mien.registry import choose
from mien.types import BoolArray, FloatArray, InputError, IntArray

CARD: Final = DataCard(
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


def _example(folder: Path) -> Example:
    fer2013.write_table(folder / "fer2013.csv")
    header = [
        "neutral",
        "happiness",
        "surprise",
        "sadness",
        "anger",
        "disgust",
        "fear",
        "contempt",
        "unknown",
        "NF",
    ]
    rows = [
        ["Training", "fer0000000.png", 0, 9, 1, 0, 0, 0, 0, 0, 0, 0],  # happy
        ["Training", "fer0000001.png", 3, 0, 0, 3, 2, 0, 0, 0, 0, 2],  # no majority
        ["Training", "", 0, 0, 0, 0, 0, 0, 0, 0, 0, 10],  # not a face: no name
        ["Training", "fer0000003.png", 0, 0, 0, 0, 0, 0, 0, 1, 9, 0],  # unknown
        ["PublicTest", "fer0000004.png", 6, 0, 0, 4, 0, 0, 0, 0, 0, 0],  # neutral
        ["PrivateTest", "fer0000005.png", 0, 0, 0, 0, 0, 0, 2, 8, 0, 0],  # contempt
    ]
    save_table(folder / "fer2013new.csv", ["Usage", "Image name", *header], rows)
    counts: Counts = {("train", "happy"): 1, ("val", "neutral"): 1, ("test", "contempt"): 1}
    skipped = {"no majority": 1, "not a face": 1, "unknown": 1}
    return Example(folder, counts, skipped=skipped)


@dataset(CARD, _example)
def read(source: Path, *, mode: str = "majority") -> Reading:
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
