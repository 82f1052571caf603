"""KDEF (Lundqvist, Flykt and Ohman 1998): everything is in names such as ``AF01ANS.JPG``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mien.data.base import Counts, DataCard, Example, Reading, Row, dataset
from mien.data.example import save_image
from mien.data.sources import images_below, needs_folder
from mien.emotions import SEVEN
from mien.registry import choose
from mien.types import InputError

LABELS: Final = {"AF": "fear", "AN": "angry", "DI": "disgust", "HA": "happy", "NE": "neutral",
                 "SA": "sad", "SU": "surprise"}  # fmt: skip
ANGLES: Final = {"FL": "full left", "HL": "half left", "S": "straight", "HR": "half right",
                 "FR": "full right"}  # fmt: skip
_NAME: Final = re.compile(r"([AB])([FM])(\d\d)(AF|AN|DI|HA|NE|SA|SU)(FL|HL|S|HR|FR)", re.IGNORECASE)
#: 70 people x 7 expressions x 5 angles x 2 sessions, by design.
COUNTS: Final[Counts] = {(None, name): 700 for name in SEVEN}
FRONTAL: Final[Counts] = {(None, name): 140 for name in SEVEN}

CARD: Final = DataCard(
    name="kdef",
    title="KDEF, Karolinska Directed Emotional Faces",
    summary="Posed expressions of 70 amateur actors from five angles in two sessions, 562 x 762.",
    size="4,900 images: 70 people x 7 expressions x 5 angles x 2 sessions (980 frontal)",
    labels=SEVEN,
    licence="Non-commercial research, free; images may not be passed on.",
    source="https://kdef.se",
    layout="KDEF_and_AKDEF/KDEF/AF01/AF01ANS.JPG: session A or B, sex F or M, person 01..35, "
    "expression AF AN DI HA NE SA SU, angle FL HL S HR FR",
    citation="Lundqvist, Flykt and Ohman 1998, The Karolinska Directed Emotional Faces, "
    "Karolinska Institutet, ISBN 91-630-7164-9",
    flaws=(
        "every person is in both sessions: a random split shows each person on both sides",
        "posed by actors of one age group (20 to 30) and one country, before one background",
        "profiles (FL, FR) hide half of the face",
    ),
    used_by=("ViT on KDEF (70/15/15)",),
    paper={"scheme": "ratio", "ratios": "70,15,15"},
    honest={"scheme": "grouped", "ratios": "70,15,15"},
    counts=COUNTS,
    columns={"sex": "string", "session": "string", "angle": "string"},
)


def _rows(source: Path, files: list[Path], frontal: bool) -> Iterator[Row]:
    for path in files:
        shown = path.relative_to(source).as_posix()
        found = _NAME.fullmatch(path.stem)
        if found is None:
            yield Row(shown, error=f"expected a name such as AF01ANS.JPG, got {path.name!r}")
            continue
        session, sex, person, expression, angle = (part.upper() for part in found.groups())
        if not 1 <= int(person) <= 35:
            yield Row(shown, error=f"expected a person 01..35, got {person}")
            continue
        yield Row(
            shown,
            path,
            LABELS[expression],
            subject=f"{sex}{person}",
            extra={"sex": sex, "session": session, "angle": angle},
            skip="not frontal" if frontal and angle != "S" else None,
        )


def _example(folder: Path) -> Example:
    root = folder / "KDEF_and_AKDEF"
    for name in ("AF01ANS", "BF01ANS", "AM35HAFL", "AF01SUHR"):
        image = save_image(root / "KDEF" / name[:4] / f"{name}.JPG")
    save_image(root / "AKDEF" / "Female" / "angry.JPG")  # averaged faces, which are left alone
    counts: Counts = {(None, "angry"): 2, (None, "happy"): 1, (None, "surprise"): 1}
    return Example(folder, counts, frozenset({"F01", "M35"}), image=image)


@dataset(CARD, _example)
def read(source: Path, *, angles: str = "all") -> Reading:
    """KDEF from its folders; ``angles=frontal`` keeps the 980 straight views.

    The subject is sex and number (F01, M35), without the session: the same person sat for both.
    """
    choose("angles", angles, ("all", "frontal"))
    needs_folder(source, "KDEF")
    files = images_below(source)
    kdef = [p for p in files if "AKDEF" not in p.parts[len(source.parts) :]]  # averaged faces
    if not any(_NAME.fullmatch(p.stem) for p in kdef):
        raise InputError(f"{source}: expected files such as AF01ANS.JPG, found none")
    frontal = angles == "frontal"
    return Reading(_rows(source, kdef, frontal), len(kdef), FRONTAL if frontal else COUNTS, angles)
