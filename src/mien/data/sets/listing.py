"""Any CSV of images: ``path,label[,split,subject]``; Hugging Face's ``metadata.csv`` is one."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mien.data.base import Counts, DataCard, Example, Reading, Row, dataset
from mien.data.example import save_image, save_table
from mien.data.naming import SPLIT_NAMES, mapping, meaning
from mien.emotions import EIGHT
from mien.types import InputError, UnknownNameError

PATHS: Final = ("path", "file_name", "filename", "image")  # what others call the path
CARD: Final = DataCard(
    name="csv",
    title="CSV of images",
    summary="Your own images, listed in a table.",
    size="any",
    labels=EIGHT,
    licence="Your own.",
    source="your own",
    layout="columns path (or file_name), label and, if you like, split and subject; paths are "
    "relative to the CSV",
    citation="-",
)


def _rows(table: Path, names: dict[str, str]) -> Iterator[Row]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        for number, fields in enumerate(csv.DictReader(file), 2):
            name = next((fields[key] for key in PATHS if fields.get(key)), "").strip()
            given = (fields.get("split") or "").strip()
            split = SPLIT_NAMES.get(given.lower())
            if not name:
                yield Row(f"line {number}", error="expected a path, got none")
                continue
            if given and split is None:
                yield Row(name, error=f"line {number}: expected train, val or test, got {given!r}")
                continue
            try:
                meant = meaning(fields.get("label") or "", names)
            except UnknownNameError as error:
                yield Row(name, error=f"line {number}: {error}")
                continue
            subject = (fields.get("subject") or "").strip() or None
            yield Row(name, table.parent / name, meant, split, subject)


def _example(folder: Path) -> Example:
    image = save_image(folder / "pictures" / "a.png")
    save_image(folder / "pictures" / "b.png")
    rows = [["pictures/a.png", "happy", "train", "p1"], ["pictures/b.png", "Fear", "test", "p2"]]
    table = save_table(folder / "list.csv", ["path", "label", "split", "subject"], rows)
    counts: Counts = {("train", "happy"): 1, ("test", "fear"): 1}
    return Example(table, counts, frozenset({"p1", "p2"}), image=image)


@dataset(CARD, _example)
def read(source: Path, *, names: str = "") -> Reading:
    """Images listed in a CSV file; ``names`` maps labels (``joy=happy,1=surprise``)."""
    if source.is_dir():
        found = sorted(source.glob("*.csv"))
        if len(found) != 1:
            raise InputError(f"{source}: expected one CSV file, found {len(found)}; name it")
        source = found[0]
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            header = next(csv.reader(file), [])
            total = sum(1 for line in file if line.strip())
    except UnicodeDecodeError:
        raise InputError(f"{source}: expected a CSV file in UTF-8, got something else") from None
    if "label" not in header or not set(PATHS) & set(header):
        raise InputError(f"{source}: expected the columns path and label, got {', '.join(header)}")
    return Reading(_rows(source, mapping(names)), total)
