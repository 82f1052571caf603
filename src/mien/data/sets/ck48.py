"""CK+48: the faces of CK+ at 48 x 48 in folders of classes, as found on Kaggle."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mien.data.base import Counts, DataCard, Example, Reading, Row, dataset
from mien.data.example import save_image
from mien.data.sets import ckplus
from mien.data.sources import images_below, needs_folder
from mien.emotions import EIGHT, label
from mien.types import InputError, UnknownNameError

_NAME: Final = re.compile(r"(S\d{3})_(\d{3})_(\d{8})", re.IGNORECASE)
CARD: Final = DataCard(
    name="ck48",
    title="CK+48",
    summary="Three frames of each labelled sequence of CK+, faces cropped to 48 x 48 grey.",
    size="981 images of 327 sequences: seven expressions with contempt, without neutral",
    labels=tuple(name for name in EIGHT if name != "neutral"),
    licence="As CK+: research after signing the owners' agreement.",
    source="Passed on by others; the original: https://www.jeffcohn.net/Resources/",
    layout="CK+48/anger/S010_004_00000017.png: person, sequence, frame",
    citation="Lucey et al. 2010, The extended Cohn-Kanade dataset (CK+), CVPR workshops",
    flaws=(
        "three near copies of each of 327 moments: a random split puts the same moment on both "
        "sides, hence the '100 %' in print",
        "the thesis calls its seventh class neutral; it is contempt (54 images)",
        "a face of 48 x 48 pixels, cropped by an unknown method",
    ),
    used_by=("timm thesis (780/201; its text says 781/200, its percentages fit 201)",),
    paper={"scheme": "counts", "counts": "780,201"},
    honest={"scheme": "grouped", "folds": "10"},
    counts=ckplus.counts(3, False),
    columns={"sequence": "string", "frame": "int"},
)


def _rows(files: list[Path]) -> Iterator[Row]:
    for path in files:
        shown = f"{path.parent.name}/{path.name}"  # alike from the folder and from an archive
        found = _NAME.fullmatch(path.stem)
        if found is None:
            yield Row(shown, error=f"expected a name such as S010_004_00000017.png: {path.name!r}")
            continue
        try:
            meant = label(path.parent.name, CARD.labels)
        except UnknownNameError as error:
            yield Row(shown, error=str(error))
            continue
        person, take, frame = found.groups()
        extra = {"sequence": f"{person.upper()}_{take}", "frame": int(frame)}
        yield Row(shown, path, meant, subject=person.upper(), extra=extra)


def _example(folder: Path) -> Example:
    for frame in (15, 16, 17):
        image = save_image(folder / "CK+48" / "anger" / f"S010_004_{frame:08d}.png")
    save_image(folder / "CK+48" / "contempt" / "S138_008_00000009.png")
    counts: Counts = {(None, "angry"): 3, (None, "contempt"): 1}
    return Example(folder, counts, frozenset({"S010", "S138"}), image=image)


@dataset(CARD, _example)
def read(source: Path) -> Reading:
    """CK+48 from its folders of classes; subject and sequence come from the names."""
    files = images_below(needs_folder(source, "CK+48"))
    if not any(_NAME.fullmatch(path.stem) for path in files):
        raise InputError(f"{source}: expected files such as anger/S010_004_00000017.png, got none")
    return Reading(_rows(files), len(files), CARD.counts)
