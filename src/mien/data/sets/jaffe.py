"""JAFFE (Lyons, Kamachi and Gyoba 1998): names such as ``KA.AN1.39.tiff``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from PIL import Image

from mien.data.base import Counts, DataCard, Example, Reading, Row, dataset
from mien.data.example import noise, save_image
from mien.data.sources import images_below, needs_folder
from mien.emotions import SEVEN
from mien.types import InputError

LABELS: Final = {"AN": "angry", "DI": "disgust", "FE": "fear", "HA": "happy", "NE": "neutral",
                 "SA": "sad", "SU": "surprise"}  # fmt: skip
_NAME: Final = re.compile(r"([A-Z]{2})[.-](AN|DI|FE|HA|NE|SA|SU)(\d)[.-](\d+)", re.IGNORECASE)
COUNTS: Final[Counts] = {
    (None, "angry"): 30, (None, "disgust"): 29, (None, "fear"): 32, (None, "happy"): 31,
    (None, "sad"): 31, (None, "surprise"): 30, (None, "neutral"): 30,
}  # fmt: skip

CARD: Final = DataCard(
    name="jaffe",
    title="JAFFE, Japanese Female Facial Expression",
    summary="Posed expressions of ten Japanese women, 256 x 256 grey.",
    size="213 images of 10 people",
    labels=SEVEN,
    licence="Non-commercial scientific research, with acknowledgement of the source.",
    source="https://zenodo.org/record/3451524",
    layout="KA.AN1.39.tiff: person, expression AN DI FE HA NE SA SU and take, number",
    citation="Lyons, Akamatsu, Kamachi and Gyoba 1998, Coding facial expressions with Gabor "
    "wavelets, FG",
    flaws=(
        "ten people, two to four takes each: a random split shows everybody on both sides",
        "one image is 1.4 points of accuracy in a test of 70",
        "23 files are palette images: a reader that takes their numbers for grey sees noise",
        "raters disagree with many of the posed labels, most of all with fear",
    ),
    used_by=("timm thesis (143/70)", "DnCShap (5-fold)"),
    paper={"scheme": "counts", "counts": "143,70"},
    honest={"scheme": "one-out"},
    counts=COUNTS,
)


def _rows(files: list[Path]) -> Iterator[Row]:
    for path in files:
        shown = path.name  # alike from the folder, from one above it and from an archive
        found = _NAME.match(path.stem)
        if found is None:
            yield Row(shown, error=f"expected a name such as KA.AN1.39.tiff, got {path.name!r}")
        else:
            yield Row(shown, path, LABELS[found[2].upper()], subject=found[1].upper())


def _example(folder: Path) -> Example:
    image = save_image(folder / "jaffe" / "KA.AN1.39.tiff")
    save_image(folder / "jaffe" / "KM.HA2.5.tiff")
    palette = Image.fromarray(255 - noise(7)).convert("P")
    palette.putpalette([255 - i // 3 for i in range(768)])  # numbers that are not grey levels
    palette.save(folder / "jaffe" / "YM.NE3.51.tiff")
    counts: Counts = {(None, "angry"): 1, (None, "happy"): 1, (None, "neutral"): 1}
    return Example(folder, counts, frozenset({"KA", "KM", "YM"}), image=image)


@dataset(CARD, _example)
def read(source: Path) -> Reading:
    """JAFFE from its folder; TIFF is written as PNG, palettes are resolved."""
    files = images_below(needs_folder(source, "JAFFE"))
    if not any(_NAME.match(path.stem) for path in files):
        raise InputError(f"{source}: expected files such as KA.AN1.39.tiff, found none")
    return Reading(_rows(files), len(files), COUNTS)
