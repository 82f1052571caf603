"""FER2013 (Goodfellow et al. 2013, arXiv:1307.0414): the two CSV forms and the folder form."""

from __future__ import annotations

import csv
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from mien.data.base import Counts, DataCard, Example, Reading, Row, dataset
from mien.data.example import noise, save_image, save_table
from mien.data.sources import find_file, images_below
from mien.emotions import SEVEN, label
from mien.types import ImageArray, InputError, UnknownNameError

#: FER2013's own numbers, which are not Mien's order.
LABELS: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
USAGE: Final = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
FILES: Final = ("fer2013.csv", "icml_face_data.csv")
SIDE: Final = 48
_PER_CLASS: Final = {  # counted in fer2013.csv; they sum to the challenge's 28,709 / 3,589 / 3,589
    "train": (3995, 436, 4097, 7215, 4830, 3171, 4965),
    "val": (467, 56, 496, 895, 653, 415, 607),
    "test": (491, 55, 528, 879, 594, 416, 626),
}
COUNTS: Final[Counts] = {
    (split, name): n
    for split, numbers in _PER_CLASS.items()
    for name, n in zip(LABELS, numbers, strict=True)
}
_NAME = re.compile(r"(Training|PublicTest|PrivateTest)_\d+", re.IGNORECASE)

CARD: Final = DataCard(
    name="fer2013",
    title="FER2013",
    summary="Faces found by web search, cropped to 48 x 48 grey, labelled by the query's keyword.",
    size="35,887 images: Training 28,709, PublicTest 3,589, PrivateTest 3,589",
    labels=SEVEN,
    licence="No licence by the owners; images are from the web. For research, not to be passed on.",
    source="https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-"
    "recognition-challenge",
    layout="fer2013.csv (emotion,pixels,Usage), icml_face_data.csv (the same, with spaces in its "
    "headers), or folders train/angry/Training_3908.jpg, test/angry/PublicTest_*.jpg",
    citation="Goodfellow et al. 2013, Challenges in representation learning, arXiv:1307.0414",
    flaws=(
        "568 test images (280 public, 288 private) have an exact copy in Training",
        "57 groups of exact copies carry different labels",
        "13 images are blank; others are no faces (FER+ voted 'not a face')",
        "labels agree with people only in part: human accuracy is 65 +- 5 %",
    ),
    used_by=("GiMeFive", "ViT on FER2013", "DnCShap"),
    splits=("train", "val", "test"),
    paper={"scheme": "official"},
    honest={"scheme": "deduplicated"},
    counts=COUNTS,
    columns={"usage": "string"},
)


def pixels(text: str) -> ImageArray:
    """The field ``pixels`` as ``[48, 48] uint8``; InputError for another number or range.

    >>> pixels(" ".join(["7"] * 2304)).shape
    (48, 48)
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # how numpy reports bad text
            values = np.fromstring(text, dtype=np.int64, sep=" ")
    except (ValueError, DeprecationWarning):
        raise InputError("expected pixels as numbers with spaces between, got other text") from None
    if values.size != SIDE * SIDE:
        raise InputError(f"expected {SIDE * SIDE} pixels, got {values.size}: the row is cut off")
    if values.min() < 0 or values.max() > 255:
        raise InputError(f"expected pixels in 0..255, got {values.min()}..{values.max()}")
    return values.reshape(SIDE, SIDE).astype(np.uint8)


def rows_of(path: Path) -> Iterator[Row]:
    """Rows of a CSV file in its order, named ``fer0000000`` onwards as FER+ names them."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = [name.strip().lower() for name in next(reader, [])]
        missing = {"emotion", "pixels", "usage"} - set(header)
        if missing:
            raise InputError(
                f"{path}: expected the columns emotion, pixels and Usage, got "
                f"{', '.join(header) or 'an empty file'}; give fer2013.csv, not train.csv"
            )
        emotion, text, usage = (header.index(n) for n in ("emotion", "pixels", "usage"))
        for number, fields in enumerate(reader):
            name = f"fer{number:07d}"
            if len(fields) != len(header):
                yield Row(name, error=f"expected {len(header)} fields, got {len(fields)}")
                continue
            yield _row(name, fields[emotion].strip(), fields[text], fields[usage].strip())


def _row(name: str, emotion: str, text: str, usage: str) -> Row:
    if usage not in USAGE:
        return Row(name, error=f"expected Usage {', '.join(USAGE)}, got {usage!r}")
    if not emotion.isdigit() or int(emotion) >= len(LABELS):
        return Row(name, error=f"expected an emotion 0..6, got {emotion!r}")
    try:
        image = pixels(text)
    except InputError as error:
        return Row(name, error=str(error))
    return Row(name, image, LABELS[int(emotion)], USAGE[usage], extra={"usage": usage})


def _count_lines(path: Path) -> int:
    with path.open("rb") as file:
        blocks = iter(lambda: file.read(1 << 20), b"")
        return max(sum(block.count(b"\n") for block in blocks) - 1, 0)


def _folder_rows(source: Path, files: list[Path]) -> Iterator[Row]:
    usages = {name.lower(): name for name in USAGE}
    for path in files:
        name = path.relative_to(source).as_posix()
        found = _NAME.match(path.stem)
        if found is None:
            yield Row(name, error="expected a name such as PublicTest_123.jpg, which states Usage")
            continue
        usage = usages[found[1].lower()]
        try:
            meant = label(path.parent.name, SEVEN)
        except UnknownNameError as error:
            yield Row(name, error=str(error))
            continue
        yield Row(name, path, meant, USAGE[usage], extra={"usage": usage})


def write_table(path: Path, header: Sequence[str] = ("emotion", "pixels", "Usage")) -> Counts:
    """Write a tiny table of six noise images in the layout of FER2013; returns its counts."""
    usages = ["Training"] * 4 + ["PublicTest", "PrivateTest"]
    rows = []
    for i, usage in enumerate(usages):
        text = " ".join(map(str, noise(i).ravel().tolist()))
        fields = {"emotion": (3, 0, 3, 6, 1, 2)[i], "pixels": text, "usage": usage}
        rows.append([fields[name.strip().lower()] for name in header])
    save_table(path, header, rows)
    return {
        ("train", "happy"): 2,
        ("train", "angry"): 1,
        ("train", "neutral"): 1,
        ("val", "disgust"): 1,
        ("test", "fear"): 1,
    }


def _table_example(folder: Path) -> Example:
    return Example(folder, write_table(folder / "fer2013.csv"))


def _folder_example(folder: Path) -> Example:
    image = save_image(folder / "train" / "angry" / "Training_3908.jpg")
    save_image(folder / "train" / "happy" / "Training_11.jpg")
    save_image(folder / "test" / "happy" / "PublicTest_98.jpg")
    save_image(folder / "test" / "happy" / "PrivateTest_99.jpg")
    counts: Counts = {
        ("train", "angry"): 1,
        ("train", "happy"): 1,
        ("val", "happy"): 1,
        ("test", "happy"): 1,
    }
    return Example(folder, counts, image=image)


@dataset(CARD, _table_example, _folder_example)
def read(source: Path) -> Reading:
    """FER2013 from ``fer2013.csv``, ``icml_face_data.csv`` or the folders of images.

    PublicTest becomes val and PrivateTest test. In the folder form, Usage comes from the file
    name; where names do not state it, InputError, since val and test would be merged.
    """
    if source.is_file() or any(p.name.lower() in FILES for p in source.rglob("*.csv")):
        path = find_file(source, FILES, "the table of FER2013")
        return Reading(rows_of(path), _count_lines(path), COUNTS, path.name)
    files = images_below(source)
    if not files:
        raise InputError(f"{source}: expected {' or '.join(FILES)} or folders of images, got none")
    if not any(_NAME.match(path.stem) for path in files):
        raise InputError(
            f"{source}: expected names such as PublicTest_123.jpg, got {files[0].name!r}: without "
            "them PublicTest and PrivateTest cannot be distinguished; to read them merged: "
            "mien data prepare folder"
        )
    return Reading(_folder_rows(source, files), len(files), COUNTS, "folders")
