"""Any folder of class folders, with or without splits; Hugging Face's ``imagefolder`` is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mien.data.base import Card, Reading, Row, dataset
from mien.data.sources import images_below, needs_folder
from mien.emotions import EIGHT, label
from mien.types import InputError, UnknownNameError

SPLIT_NAMES: Final = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "dev": "val", "test": "test", "testing": "test",
}  # fmt: skip
CARD: Final = Card(
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


def mapping(text: str) -> dict[str, str]:
    """The option ``names``: ``joy=happy,1=surprise`` as a dict of names in lower case.

    >>> mapping("Joy=happy")
    {'joy': 'happy'}
    """
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"names: expected such as joy=happy,1=surprise, got {part!r}")
        found[key.strip().lower()] = label(value)
    return found


def meaning(name: str, names: dict[str, str]) -> str:
    """One of Mien's labels for a class's name; UnknownNameError where it means none."""
    return names.get(name.strip().lower()) or label(name, EIGHT)


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


@dataset(CARD)
def read(source: Path, names: str = "", subject: str = "") -> Reading:
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
