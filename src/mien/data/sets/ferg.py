"""FERG-DB (Aneja et al. 2016): rendered faces of six characters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from mien.data.base import Counts, DataCard, Example, Reading, Row, dataset
from mien.data.example import noise, save_image
from mien.data.sources import images_below, needs_folder
from mien.emotions import SEVEN, label
from mien.types import InputError, UnknownNameError

CHARACTERS: Final = ("aia", "bonnie", "jules", "malcolm", "mery", "ray")
_ORDER: Final = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
_PER_CHARACTER: Final = {  # the README of the set
    "aia": (1644, 1596, 1116, 1232, 1200, 1469, 1746),
    "bonnie": (2059, 2088, 1255, 1438, 1243, 1506, 1682),
    "jules": (1479, 1321, 1858, 1317, 1344, 1475, 1961),
    "malcolm": (1100, 1190, 1018, 1089, 1083, 1034, 1065),
    "mery": (1428, 911, 1035, 1140, 941, 1045, 1058),
    "ray": (1459, 1465, 1137, 1114, 1128, 1098, 1200),
}
COUNTS: Final[Counts] = {
    (None, name): sum(numbers[i] for numbers in _PER_CHARACTER.values())
    for i, name in enumerate(_ORDER)
}
CARD: Final = DataCard(
    name="ferg",
    title="FERG-DB",
    summary="Rendered faces of six cartoon characters, 256 x 256 RGBA.",
    size="55,767 images of six characters",
    labels=SEVEN,
    licence="Research; ask by the form on the owners' page.",
    source="https://grail.cs.washington.edu/projects/deepexpr/ferg-2d-db.html",
    layout="FERG_DB_256/aia/aia_anger/aia_anger_1.png; happy is called joy",
    citation="Aneja et al. 2016, Modeling stylized character expressions via deep learning, ACCV",
    flaws=(
        "frames of animations: neighbours are near copies, so a random split is close to "
        "measuring on the training images (99.7 % in print)",
        "six characters: leave one of them out to learn anything about a new face",
    ),
    used_by=("DnCShap (5-fold)",),
    paper={"scheme": "folds", "folds": "5"},
    honest={"scheme": "one-out"},
    counts=COUNTS,
)


def _rows(source: Path, files: list[Path]) -> Iterator[Row]:
    for path in files:
        shown = path.relative_to(source).as_posix()
        character, _, expression = path.parent.name.lower().partition("_")
        if character not in CHARACTERS:
            yield Row(shown, error=f"expected a folder such as aia_anger, got {path.parent.name!r}")
            continue
        try:
            meant = label(expression, SEVEN)
        except UnknownNameError as error:
            yield Row(shown, error=str(error))
            continue
        yield Row(shown, path, meant, subject=character)


def _example(folder: Path) -> Example:
    for character, expression in (("aia", "joy"), ("aia", "anger"), ("ray", "sadness")):
        path = folder / "FERG_DB_256" / character / f"{character}_{expression}"
        grey = noise(len(expression))
        rgba = np.dstack([grey, grey, grey, np.full_like(grey, 128)])
        image = save_image(path / f"{character}_{expression}_1.png", rgba)
    counts: Counts = {(None, "happy"): 1, (None, "angry"): 1, (None, "sad"): 1}
    return Example(folder, counts, frozenset({"aia", "ray"}), image=image)


@dataset(CARD, _example)
def read(source: Path) -> Reading:
    """FERG from its folders ``<character>/<character>_<expression>``; the subject is the character.

    Transparency is laid on white.
    """
    files = images_below(needs_folder(source, "FERG"))
    if not any(p.parent.name.lower().split("_")[0] in CHARACTERS for p in files):
        raise InputError(f"{source}: expected folders such as aia/aia_anger with images, got none")
    return Reading(_rows(source, files), len(files), COUNTS)
