"""RAF-DB (Li, Deng and Du 2017): the official list, Kaggle's folders, files named by expression."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mien.data.base import Counts, DataCard, Example, Reading, Row, dataset
from mien.data.example import save_image, save_table, save_text
from mien.data.sources import find_file, find_folder, images_below, needs_folder
from mien.emotions import SEVEN, label
from mien.types import InputError, UnknownNameError

#: RAF-DB's own order, counted from 1.
LABELS: Final = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")
_PER_CLASS: Final = {  # they sum to the 12,271 and 3,068 of the paper
    "train": (1290, 281, 717, 4772, 1982, 705, 2524),
    "test": (329, 74, 160, 1185, 478, 162, 680),
}
COUNTS: Final[Counts] = {
    (split, name): n
    for split, numbers in _PER_CLASS.items()
    for name, n in zip(LABELS, numbers, strict=True)
}
NAME: Final = re.compile(r"(train|test)_\d+_aligned_([a-z]+)")
CARD: Final = DataCard(
    name="rafdb",
    title="RAF-DB, basic expressions",
    summary="Faces from the web, labelled by about 40 people each, aligned to 100 x 100.",
    size="15,339 images: train 12,271, test 3,068",
    labels=SEVEN,
    licence="Non-commercial research; ask the owners by e-mail from a university address.",
    source="http://www.whdeng.cn/RAF/model1.html",
    layout="EmoLabel/list_patition_label.txt + Image/aligned/train_00001_aligned.jpg (official), "
    "or DATASET/train/1..7/*.jpg with train_labels.csv and test_labels.csv (Kaggle), "
    "or train/train_00001_aligned_happiness.jpg (as passed on with GiMeFive: six expressions)",
    citation="Li, Deng and Du 2017, Reliable crowdsourcing and deep locality-preserving learning "
    "for expression recognition in the wild, CVPR",
    flaws=(
        "no validation split: selection on the test split is common",
        "identities are unknown: they may be on both sides",
        "happy is 39 % of the training images, fear 2 %",
    ),
    used_by=("GiMeFive",),
    splits=("train", "test"),
    paper={"scheme": "official"},
    honest={"scheme": "deduplicated"},
    counts=COUNTS,
)


def _meaning(number: str) -> str | None:
    return LABELS[int(number) - 1] if number in list("1234567") else None


def _wrong(number: str) -> str:
    return f"expected a label 1..7, got {number!r}"


def _official(source: Path, listing: Path, faces: Path) -> Iterator[Row]:
    for number, line in enumerate(listing.read_text(encoding="utf-8-sig").splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        name = fields[0]
        split = name.split("_")[0]
        if len(fields) != 2 or split not in ("train", "test"):
            yield Row(name, error=f"line {number}: expected 'train_00001.jpg 5', got {line!r}")
            continue
        path = faces / f"{Path(name).stem}_aligned.jpg"
        if not path.is_file():
            path = faces / name  # the unaligned originals, where that folder was given
        shown = path.relative_to(source).as_posix()
        meant = _meaning(fields[1])
        if meant is None:
            yield Row(shown, error=f"line {number}: {_wrong(fields[1])}")
        else:
            yield Row(shown, path, meant, split)


def _kaggle(source: Path, files: list[Path], listed: dict[str, str]) -> Iterator[Row]:
    seen: set[str] = set()
    for path in files:
        shown = path.relative_to(source).as_posix()
        split, number = path.parent.parent.name.lower(), path.parent.name
        seen.add(path.name)
        meant = _meaning(number)
        other = listed.get(path.name, number)
        if split not in ("train", "test"):
            yield Row(shown, error=f"expected a folder train or test above {number!r}")
        elif meant is None:
            yield Row(shown, error=_wrong(number))
        elif other != number:
            yield Row(shown, error=f"the folder says {number}, the table says {other}")
        else:
            yield Row(shown, path, meant, split)
    for name in sorted(set(listed) - seen):
        yield Row(name, error="named in the table of labels, but the file is missing")


def _named(files: list[tuple[Path, re.Match[str]]]) -> Iterator[Row]:
    for path, found in files:
        shown = f"{path.parent.name}/{path.name}"
        split, word = found.groups()
        try:
            yield Row(shown, path, label(word), split)
        except UnknownNameError as error:
            yield Row(shown, error=str(error))


def _tables(source: Path) -> dict[str, str]:
    """Labels by file name of ``train_labels.csv`` and ``test_labels.csv``; empty without them."""
    listed: dict[str, str] = {}
    for path in sorted(source.rglob("*_labels.csv")):
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not {"image", "label"} <= set(reader.fieldnames or ()):
                raise InputError(
                    f"{path}: expected the columns image and label, got "
                    f"{', '.join(reader.fieldnames or ()) or 'an empty file'}"
                )
            listed.update((row["image"], (row["label"] or "").strip()) for row in reader)
    return listed


def _official_example(folder: Path) -> Example:
    aligned = folder / "basic" / "Image" / "aligned"
    image = save_image(aligned / "train_00001_aligned.jpg")
    save_image(aligned / "train_00002_aligned.jpg")
    save_image(aligned / "test_0001_aligned.jpg")
    listing = folder / "basic" / "EmoLabel" / "list_patition_label.txt"
    save_text(listing, "train_00001.jpg 1\ntrain_00002.jpg 4\ntest_0001.jpg 7\n")
    counts: Counts = {
        ("train", "surprise"): 1,
        ("train", "happy"): 1,
        ("test", "neutral"): 1,
    }
    return Example(folder, counts, image=image)


def _kaggle_example(folder: Path) -> Example:
    save_image(folder / "DATASET" / "train" / "1" / "train_00001_aligned.jpg")
    save_image(folder / "DATASET" / "train" / "6" / "train_00002_aligned.jpg")
    save_image(folder / "DATASET" / "test" / "5" / "test_0001_aligned.jpg")
    labels = [["train_00001_aligned.jpg", 1], ["train_00002_aligned.jpg", 6]]
    save_table(folder / "train_labels.csv", ["image", "label"], labels)
    save_table(folder / "test_labels.csv", ["image", "label"], [["test_0001_aligned.jpg", 5]])
    counts: Counts = {("train", "surprise"): 1, ("train", "angry"): 1, ("test", "sad"): 1}
    return Example(folder, counts)


def _named_example(folder: Path) -> Example:
    save_image(folder / "RAF-DB" / "train" / "train_00001_aligned_happiness.jpg")
    image = save_image(folder / "RAF-DB" / "test" / "test_0001_aligned_anger.jpg")
    return Example(folder, {("train", "happy"): 1, ("test", "angry"): 1}, image=image)


@dataset(CARD, _official_example, _kaggle_example, _named_example)
def read(source: Path) -> Reading:
    """RAF-DB from the official list, Kaggle's numbered folders, or files named by expression."""
    needs_folder(source, "RAF-DB")
    if any(source.rglob("list_patition_label.txt")):
        listing = find_file(source, ("list_patition_label.txt",), "the list of labels")
        faces = find_folder(source, ("aligned",), "the aligned faces")
        with listing.open("rb") as file:
            total = sum(1 for line in file if line.strip())
        return Reading(_official(source, listing, faces), total, COUNTS, "official")
    images = images_below(source)
    named = [(path, found) for path in images if (found := NAME.fullmatch(path.stem))]
    if named:
        six = {cell: n for cell, n in COUNTS.items() if cell[1] != "neutral"}
        return Reading(_named(named), len(named), six, "named")
    files = [p for p in images if p.parent.parent.name.lower() in ("train", "test")]
    if not files:
        raise InputError(
            f"{source}: expected list_patition_label.txt with a folder 'aligned', or folders "
            "train/1..7 and test/1..7, found neither"
        )
    return Reading(_kaggle(source, files, _tables(source)), len(files), COUNTS, "folders")
