"""Checks that every registered data set passes, also those of other distributions.

Each takes a data set's name and an empty folder, and raises AssertionError with what is wrong:

>>> import tempfile
>>> from pathlib import Path
>>> with tempfile.TemporaryDirectory() as folder:
...     card_is_complete("jaffe", Path(folder))

A reader is run on the examples that its data set was registered with.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from mien.data.base import DATASETS, SPLITS, Example
from mien.data.prepare import Preparation, prepare
from mien.data.schemes import SCHEMES
from mien.data.table import ImageTable
from mien.emotions import EIGHT
from mien.options import options_of
from mien.types import InputError


def _expect(holds: bool, name: str, what: str) -> None:
    if not holds:
        raise AssertionError(f"the data set {name!r}: {what}")


def _examples(name: str, folder: Path) -> list[tuple[Path, Example]]:
    """Each example of a set in a folder of its own, with a folder beside it for what is made."""
    made = []
    for number, write in enumerate(DATASETS.get(name).examples):
        place = folder / f"{name}-{number}"
        (place / "source").mkdir(parents=True)
        made.append((place, write(place / "source")))
    return made


def card_is_complete(name: str, folder: Path) -> None:  # noqa: ARG001 - every check takes a folder
    """The card says what it must, with Mien's labels, known schemes and their options."""
    card = DATASETS.get(name).card
    texts = (card.title, card.summary, card.size, card.licence, card.source, card.layout)
    _expect(card.name == name, name, f"its card is named {card.name!r}")
    _expect(all(texts), name, "its card leaves title, summary, size, licence, source or layout out")
    _expect(set(card.labels) <= set(EIGHT), name, f"expected labels of Mien, got {card.labels}")
    for meant in (card.paper, card.honest):
        if meant:
            scheme = SCHEMES.get(meant["scheme"])
            unknown = set(meant) - {"scheme"} - set(options_of(scheme))
            _expect(not unknown, name, f"its schemes have no option {sorted(unknown)}")
    for split, label in card.counts:
        known = split in (None, *SPLITS) and label in (None, *EIGHT)
        _expect(known, name, f"unknown split or label in the published counts: {split}, {label}")


def example_is_read_whole(name: str, folder: Path) -> None:
    """Each example gives just the rows that it states, twice the same, under relative names."""
    made = _examples(name, folder)
    _expect(bool(made), name, "it was registered without an example")
    for place, example in made:
        done = prepare(name, example.source, place / "out.parquet")
        _expect(done.errors == (), name, f"expected no errors, got {done.errors}")
        for what, found, stated in (
            ("counts", dict(done.counts), dict(example.counts)),
            ("images left out", dict(done.skipped), dict(example.skipped)),
            ("subjects", _subjects(done), set(example.subjects)),
        ):
            _expect(found == stated, name, f"expected {what} {stated}, got {found}")
        names = _names(done)
        _expect(len(set(names)) == done.images, name, "two images have one name")
        _expect(not any(Path(n).is_absolute() for n in names), name, "names are not relative")
        again = prepare(name, example.source, place / "again.parquet")
        _expect(again.fingerprint == done.fingerprint, name, "two readings differ")


def damaged_image_is_reported(name: str, folder: Path) -> None:
    """An image that is cut short becomes one error that names it; all others are read."""
    for place, example in _examples(name, folder):
        if example.image is None:
            continue
        content = example.image.read_bytes()
        example.image.write_bytes(content[: len(content) // 2])
        done = prepare(name, example.source, place / "out.parquet")
        _expect(done.failed == 1, name, f"expected one error, got {done.failed}")
        named = done.errors[0][0]
        _expect(named.endswith(example.image.name), name, f"the error names {named!r}")
        rest = sum(example.counts.values()) - 1
        _expect(done.images == rest, name, f"expected {rest} images, got {done.images}")


def empty_folder_is_refused(name: str, folder: Path) -> None:
    """An empty folder is an InputError that says what was expected; nothing is written."""
    source = folder / f"{name}-empty"
    source.mkdir()
    output = folder / f"{name}-empty.parquet"
    try:
        prepare(name, source, output)
    except InputError as error:
        _expect("expected" in str(error), name, f"the error does not say what it expected: {error}")
        _expect(not output.exists(), name, "a file was written nevertheless")
        return
    raise AssertionError(f"the data set {name!r}: an empty folder was read without an error")


#: What every data set goes through: each is called with its name and an empty folder.
CHECKS: Final[tuple[Callable[[str, Path], None], ...]] = (
    card_is_complete,
    example_is_read_whole,
    damaged_image_is_reported,
    empty_folder_is_refused,
)


def _subjects(done: Preparation) -> set[str | None]:
    table = ImageTable(done.path)
    return {who for batch in table.batches(["subject"]) for who in table.values(batch, "subject")}


def _names(done: Preparation) -> list[str]:
    table = ImageTable(done.path)
    cells = [c for batch in table.batches(["image"]) for c in table.values(batch, "image")]
    return [cell["path"] for cell in cells]
