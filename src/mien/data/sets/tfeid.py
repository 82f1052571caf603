"""TFEID (Chen and Yen 2007), Taiwanese faces in folders of expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mien.data.base import Counts, DataCard, Example, Reading, Row, dataset
from mien.data.example import save_image
from mien.data.sources import images_below, needs_folder
from mien.emotions import ALIASES, EIGHT
from mien.types import InputError

#: The two letters that begin the last part of a name; p stands for surprise.
CODES: Final = {"ag": "angry", "dg": "disgust", "fg": "fear", "hg": "happy", "sg": "sad",
                "pg": "surprise", "ng": "neutral", "cg": "contempt"}  # fmt: skip
_SPOKEN: Final = {**{name: name for name in EIGHT}, **ALIASES, "contemptuous": "contempt"}
CARD: Final = DataCard(
    name="tfeid",
    title="TFEID, Taiwanese Facial Expression Image Database",
    summary="Posed expressions of 40 Taiwanese actors at two intensities.",
    size="40 people, eight expressions; GiMeFive used 229 images of six",
    labels=EIGHT,
    licence="Research; ask the owners.",
    source="Brain Mapping Laboratory, National Yang-Ming University, Taipei",
    layout="folders of expressions (anger, 'anger (high)', ...) with files such as f01_..._ag.jpg: "
    "the part before the first _ is the person",
    citation="Chen and Yen 2007, Taiwanese facial expression image database",
    flaws=(
        "the owners' page is gone: copies differ, so no count is checked here",
        "each person poses every expression: split by subject",
    ),
    used_by=("GiMeFive",),
    honest={"scheme": "grouped", "folds": "10"},
    columns={"intensity": "string"},
)


def _from_folder(name: str) -> str | None:
    words = re.findall(r"[a-z]+", name.lower())
    return next((_SPOKEN[word] for word in words if word in _SPOKEN), None)


def _rows(source: Path, files: list[Path]) -> Iterator[Row]:
    for path in files:
        shown = path.relative_to(source).as_posix()
        parts = path.stem.lower().split("_")
        code = CODES.get(parts[-1][:2]) if len(parts) > 1 else None
        spoken = _from_folder(path.parent.name)
        if code and spoken and code != spoken:
            yield Row(shown, error=f"the folder says {spoken}, the name says {code}")
        elif not (spoken or code):
            yield Row(
                shown,
                error=f"expected an expression as the folder or at the end of the name, got "
                f"{path.parent.name}/{path.name}",
            )
        else:
            strong = re.search(r"high|slight|low", path.parent.name.lower())
            extra = {"intensity": strong[0] if strong else None}
            person = parts[0] if len(parts) > 1 else None
            yield Row(shown, path, spoken or code, subject=person, extra=extra)


def _example(folder: Path) -> Example:
    image = save_image(folder / "anger (high)" / "f01_001_ag.jpg")
    save_image(folder / "surprise (slight)" / "m03_002_pg.jpg")
    save_image(folder / "pictures" / "m03_003_hg.jpg")
    counts: Counts = {(None, "angry"): 1, (None, "surprise"): 1, (None, "happy"): 1}
    return Example(folder, counts, frozenset({"f01", "m03"}), image=image)


@dataset(CARD, _example)
def read(source: Path) -> Reading:
    """TFEID from folders of expressions; folder and file name must agree where both state one."""
    files = images_below(needs_folder(source, "TFEID"))
    if not files:
        raise InputError(f"{source}: expected folders of expressions with images, got none")
    return Reading(_rows(source, files), len(files))
