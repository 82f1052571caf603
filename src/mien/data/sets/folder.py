"""Any folder of class folders, with or without splits; Hugging Face's ``imagefolder`` is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mien.data.base import Counts, DataCard, Example, Reading, Row, dataset
from mien.data.example import save_image
from mien.data.naming import SPLIT_NAMES, mapping, meaning
from mien.data.sources import images_below, needs_folder
from mien.emotions import EIGHT
from mien.types import InputError, UnknownNameError

CARD: Final = DataCard(
    name="folder",
    title="Folder of class folders",
    summary="Your own images: one folder per expression, with or without train, val and test.",
    size="any",
    labels=EIGHT,
    licence="Your own.",
    source="your own",
    layout="happy/*.jpg or train/happy/*.jpg (Hugging Face's imagefolder too); with "
    "subject=folder: happy/PERSON/*.jpg",
    citation="-",
)


def _rows(source: Path, files: list[Path], names: dict[str, str], people: bool) -> Iterator[Row]:
    for path in files:
        shown = path.relative_to(source)
        parts = list(shown.parts[:-1])
        person = parts.pop() if people and len(parts) > 1 else None
        split = SPLIT_NAMES.get(parts[0].lower()) if len(parts) > 1 else None
        try:
            meant = meaning(parts[-1] if parts else "", names)
        except UnknownNameError as error:
            yield Row(shown.as_posix(), error=str(error))
            continue
        yield Row(shown.as_posix(), path, meant, split, subject=person)


def _example(folder: Path) -> Example:
    image = save_image(folder / "train" / "Happiness" / "a.png")
    save_image(folder / "train" / "anger" / "b.jpg")
    save_image(folder / "validation" / "sad" / "c.webp")
    counts: Counts = {("train", "happy"): 1, ("train", "angry"): 1, ("val", "sad"): 1}
    return Example(folder, counts, image=image)


@dataset(CARD, _example)
def read(source: Path, *, names: str = "", subject: str = "") -> Reading:
    """Images in folders named after expressions, in any of the common spellings.

    ``names`` maps others (``joy=happy,1=surprise``); ``subject=folder`` says that a folder per
    person lies inside each class.
    """
    if subject not in ("", "folder"):
        raise InputError(f"subject: expected 'folder' or nothing, got {subject!r}")
    files = images_below(needs_folder(source, "classes"))
    if not files:
        raise InputError(f"{source}: expected folders such as happy/ with images, found no image")
    return Reading(_rows(source, files, mapping(names), subject == "folder"), len(files))
