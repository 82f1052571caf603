"""AffectNet (Mollahosseini, Hasani and Mahoor 2017): official arrays, and Kaggle's table."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from mien.data.base import Counts, DataCard, Example, Reading, Row, dataset
from mien.data.example import save_image, save_table
from mien.data.sources import find_file, needs_folder
from mien.emotions import EIGHT, SEVEN, label
from mien.types import InputError, UnknownNameError

#: AffectNet's own numbers; 8 none, 9 uncertain and 10 no face are not expressions.
LABELS: Final = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")
OTHERS: Final = {8: "none", 9: "uncertain", 10: "no face"}
_TRAIN: Final = (74874, 134415, 25459, 14090, 6378, 3803, 24882, 3750)  # 287,651
COUNTS: Final[Counts] = {
    **{("train", name): n for name, n in zip(LABELS, _TRAIN, strict=True)},
    **{("val", name): 500 for name in LABELS if name != "contempt"},
    ("val", "contempt"): 499,  # one of the 4,000 was never distributed
}
CARD: Final = DataCard(
    name="affectnet",
    title="AffectNet",
    summary="Faces from the web with expression, valence and arousal, labelled by one person each.",
    size="287,651 training and 3,999 validation images of eight expressions",
    labels=EIGHT,
    licence="Non-commercial research after signing the owners' agreement.",
    source="http://mohammadmahoor.com/affectnet/",
    layout="train_set/annotations/0_exp.npy (with _val, _aro) + train_set/images/0.jpg, val_set "
    "likewise (official), or labels.csv (pth,label,relFCs) beside folders of images (Kaggle)",
    citation="Mollahosseini, Hasani and Mahoor 2017, AffectNet, arXiv:1708.03985",
    flaws=(
        "no test split: papers report on the validation split, which many also select on",
        "training is unbalanced (happy 47 %, contempt 1 %), validation is balanced",
        "labels by one person each; two agreed on 61 % of the images that both saw",
        "in Kaggle's form some images lie in a folder that disagrees with labels.csv",
    ),
    used_by=("GiMeFive (Kaggle's form, 21,045 images of six expressions)",),
    splits=("train", "val"),
    paper={"scheme": "official"},
    honest={"scheme": "deduplicated"},
    counts=COUNTS,
    columns={"valence": "float", "arousal": "float", "folder": "string"},
)


def _number(path: Path) -> float | None:
    """The one number in an annotation file, stored as an array or as text; None where absent."""
    if not path.is_file():
        return None
    value: Any = np.load(path, allow_pickle=False)
    return float(str(value.reshape(-1)[0]))


def _official(source: Path, files: list[Path], contempt: bool) -> Iterator[Row]:
    for path in files:
        name = path.name.removesuffix("_exp.npy")
        folder = path.parent.parent
        image = next(
            (p for p in (folder / "images" / f"{name}{s}" for s in (".jpg", ".png")) if p.exists()),
            folder / "images" / f"{name}.jpg",
        )
        shown = image.relative_to(source).as_posix()
        try:
            number = _number(path)
            measured = {
                key: _number(path.with_name(f"{name}_{key[:3]}.npy"))
                for key in ("valence", "arousal")
            }
        except (ValueError, OSError, EOFError, IndexError):
            yield Row(shown, error=f"{path.name}: expected an array with one number")
            continue
        if number in OTHERS:
            yield Row(shown, skip=OTHERS[int(number or 0)])
        elif number not in range(len(LABELS)):
            yield Row(shown, error=f"{path.name}: expected an expression 0..10, got {number}")
        else:
            meant = LABELS[int(number or 0)]
            reason = None if contempt or meant != "contempt" else "contempt (classes=7)"
            split = "val" if folder.name.lower().startswith("val") else "train"
            yield Row(shown, image, meant, split, extra=measured, skip=reason)


def _kaggle(source: Path, table: Path, contempt: bool) -> Iterator[Row]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        for fields in csv.DictReader(file):
            name = (fields.get("pth") or "").strip()
            path = _inside(table.parent, name)
            if path is None:
                yield Row(name, error="the path leaves the folder of labels.csv")
                continue
            try:
                meant = label(fields.get("label") or "", EIGHT)
            except UnknownNameError as error:
                yield Row(name, error=str(error))
                continue
            reason = None if contempt or meant != "contempt" else "contempt (classes=7)"
            extra = {"folder": Path(name).parent.name}
            yield Row(path.relative_to(source).as_posix(), path, meant, extra=extra, skip=reason)


def _inside(folder: Path, name: str) -> Path | None:
    """The file at ``name`` in the folder, or in its folder ``train``; None where it leaves it."""
    if not name or Path(name).is_absolute() or ".." in Path(name).parts:
        return None
    hits = [p for p in (folder / name, folder / "train" / name) if p.exists()]
    return hits[0] if hits else folder / name


def _official_example(folder: Path) -> Example:
    for part, number, expression in (
        ("train_set", 0, "1"),
        ("train_set", 1, "7"),
        ("train_set", 2, "10"),
        ("val_set", 0, "6"),
    ):
        image = save_image(folder / part / "images" / f"{number}.jpg")
        notes = folder / part / "annotations"
        notes.mkdir(exist_ok=True)
        for key, value in (("exp", expression), ("val", "0.5"), ("aro", "-0.25")):
            np.save(notes / f"{number}_{key}.npy", np.array(value))
    counts: Counts = {("train", "happy"): 1, ("train", "contempt"): 1, ("val", "angry"): 1}
    return Example(folder, counts, skipped={"no face": 1}, image=image)


def _kaggle_example(folder: Path) -> Example:
    save_image(folder / "anger" / "image01.jpg")
    save_image(folder / "happy" / "image02.jpg")
    rows = [[0, "anger/image01.jpg", "surprise", 0.87], [1, "happy/image02.jpg", "happy", 0.6]]
    save_table(folder / "labels.csv", ["", "pth", "label", "relFCs"], rows)
    return Example(folder, {(None, "surprise"): 1, (None, "happy"): 1})


@dataset(CARD, _official_example, _kaggle_example)
def read(source: Path, *, classes: int = 8) -> Reading:
    """AffectNet from its annotation arrays, or from Kaggle's ``labels.csv``; 7 or 8 classes.

    The table's label counts where its folder disagrees (the folder is kept as a column). Arrays
    that would need pickle are refused.
    """
    if classes not in (7, 8):
        raise InputError(f"classes: expected 7 (without contempt) or 8, got {classes}")
    needs_folder(source, "AffectNet")
    eight = classes == 8
    files = sorted(source.rglob("annotations/*_exp.npy"))
    if files:
        kept = {k: n for k, n in COUNTS.items() if eight or k[1] in SEVEN}
        return Reading(_official(source, files, eight), len(files), kept, "official")
    table = find_file(source, ("labels.csv",), "annotations/*_exp.npy or Kaggle's table")
    with table.open(newline="", encoding="utf-8-sig") as file:
        header = next(csv.reader(file), [])
        if not {"pth", "label"} <= set(header):
            raise InputError(f"{table}: expected the columns pth and label, got {header}")
        total = sum(1 for _ in file)
    notes = ("Kaggle's copy is a part of AffectNet whose count changed: none is checked",)
    return Reading(_kaggle(source, table, eight), total, {}, "labels.csv", notes)
