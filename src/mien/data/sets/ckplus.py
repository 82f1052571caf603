"""CK+ (Lucey et al. 2010): ``cohn-kanade-images`` with the tree ``Emotion``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mien.data.base import Counts, DataCard, Example, Reading, Row, dataset
from mien.data.example import save_image, save_text
from mien.data.sources import find_folder, images_below, needs_folder
from mien.emotions import EIGHT
from mien.types import InputError

#: CK+'s own numbers: 0 is neutral and does not occur.
LABELS: Final = ("neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise")
#: Labelled sequences (Lucey et al. 2010, table 3): 327 of 593.
SEQUENCES: Final = {"angry": 45, "contempt": 18, "disgust": 59, "fear": 25, "happy": 69,
                    "sad": 28, "surprise": 83}  # fmt: skip
CARD: Final = DataCard(
    name="ckplus",
    title="CK+, Extended Cohn-Kanade",
    summary="Sequences from a neutral face to the peak of a posed expression, 640 x 490.",
    size="593 sequences of 123 people; 327 sequences have a label (981 images at three frames)",
    labels=EIGHT,
    licence="Research after signing the owners' agreement; images may not be passed on, only a "
    "few people's may be printed.",
    source="https://www.jeffcohn.net/Resources/",
    layout="cohn-kanade-images/S005/001/S005_001_00000011.png and "
    "Emotion/S005/001/S005_001_00000011_emotion.txt",
    citation="Lucey et al. 2010, The extended Cohn-Kanade dataset (CK+), CVPR workshops",
    flaws=(
        "frames of one sequence are near copies: a random split shows them on both sides",
        "neutral exists only as the first frame of other expressions' sequences",
        "266 sequences have no label",
    ),
    used_by=("GiMeFive (one frame)", "DnCShap (5-fold, three frames)"),
    paper={"scheme": "folds", "folds": "5"},
    honest={"scheme": "grouped", "folds": "10"},
    columns={"sequence": "string", "frame": "int"},
)


def counts(frames: int, neutral: bool) -> Counts:
    """The numbers of images that ``frames`` of each labelled sequence make.

    >>> sum(counts(3, False).values())
    981
    """
    found: dict[tuple[str | None, str | None], int] = {
        (None, name): n * frames for name, n in SEQUENCES.items()
    }
    if neutral:
        found[None, "neutral"] = sum(SEQUENCES.values())
    return found


def _label(path: Path) -> str | None:
    """The label in an emotion file, such as ``3.0000000e+00``; None where it is none."""
    try:
        number = float(path.read_text(encoding="ascii", errors="replace").split()[0])
    except (ValueError, IndexError):
        return None
    return LABELS[int(number)] if number in range(len(LABELS)) else None


def _rows(
    source: Path, images: Path, labels: list[Path], frames: int, neutral: bool
) -> Iterator[Row]:
    for path in labels:
        person, take = path.parent.parent.name, path.parent.name
        sequence = f"{person}_{take}"
        meant = _label(path)
        folder = images / person / take
        files = images_below(folder) if folder.is_dir() else []
        if meant is None:
            yield Row(path.relative_to(source).as_posix(), error="expected a number 0..7 in it")
            continue
        if not files:
            yield Row(sequence, error=f"labelled, but {folder.relative_to(source)} has no images")
            continue
        chosen = [(file, meant) for file in files[-frames:]]
        if neutral:
            chosen.insert(0, (files[0], "neutral"))
        for file, name in chosen:
            number = file.stem.rsplit("_", 1)[-1]
            yield Row(
                file.relative_to(source).as_posix(),
                file,
                name,
                subject=person,
                extra={"sequence": sequence, "frame": int(number) if number.isdigit() else None},
            )


def _example(folder: Path) -> Example:
    images = folder / "cohn-kanade-images"
    for person, take, frames in (("S005", "001", 5), ("S010", "004", 4), ("S011", "001", 3)):
        for number in range(1, frames + 1):
            save_image(images / person / take / f"{person}_{take}_{number:08d}.png")
    for person, take, last, code in (("S005", "001", 5, 3), ("S010", "004", 4, 7)):
        name = f"{person}_{take}_{last:08d}_emotion.txt"
        save_text(folder / "Emotion" / person / take / name, f"   {code:.7e}\n")
    (folder / "Emotion" / "S011" / "001").mkdir(parents=True)  # a sequence without a label
    return Example(
        folder,
        {(None, "disgust"): 3, (None, "surprise"): 3},
        frozenset({"S005", "S010"}),
        image=images / "S005" / "001" / "S005_001_00000005.png",
    )


@dataset(CARD, _example)
def read(source: Path, *, frames: int = 3, neutral: bool = False) -> Reading:
    """CK+ from its two trees: the last ``frames`` of each labelled sequence.

    With ``neutral`` the first frame is taken too, as neutral.
    """
    needs_folder(source, "CK+")
    if frames < 1:
        raise InputError(f"frames: expected at least 1, got {frames}")
    images = find_folder(source, ("cohn-kanade-images",), "the images of CK+")
    tree = find_folder(source, ("Emotion", "Emotion_labels"), "the labels of CK+")
    labels = sorted(p for p in tree.rglob("*_emotion.txt") if not p.name.startswith("."))
    if not labels:
        raise InputError(f"{tree}: expected files such as S005_001_00000011_emotion.txt, got none")
    total = len(labels) * (frames + int(neutral))
    return Reading(
        _rows(source, images, labels, frames, neutral),
        total,
        counts(frames, neutral),
        f"{frames} frames{' and neutral' if neutral else ''}",
    )
