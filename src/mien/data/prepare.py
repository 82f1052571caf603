"""Turn a data set's own files into one Parquet file, and prove that all of it was read."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.data.base import DATASETS, SPLITS, Counts, DataSet, Reading, Row, read_options
from mien.data.sources import opened
from mien.data.table import Writer, pixel_hash, schema
from mien.emotions import EIGHT
from mien.types import ImageArray, InputError
from mien.vision.read import read_bytes, read_file, read_image

KEPT_ERRORS = 10_000  # more are counted, not listed: memory must not grow with a damaged source
#: What every viewer reads as it stands; all else is written as PNG.
PLAIN = {("JPEG", "L"), ("JPEG", "RGB"), ("PNG", "L"), ("PNG", "RGB")}

Cell = tuple[str | None, str | None]
Advance = Callable[[int | None], object]


@dataclass(frozen=True)
class Difference:
    """A published number that the source does not match."""

    split: str | None
    label: str | None
    published: int
    found: int

    def __str__(self) -> str:
        what = " ".join(part for part in (self.split, self.label) if part) or "all"
        return f"{what}: published {self.published}, found {self.found}"


@dataclass(frozen=True)
class Preparation:
    """What was read and written: counts, differences from the published ones, bad images."""

    path: Path
    name: str
    form: str
    images: int
    counts: Mapping[Cell, int]
    published: Counts
    differences: tuple[Difference, ...]
    skipped: Mapping[str, int]
    errors: tuple[tuple[str, str], ...]
    failed: int
    fingerprint: str
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return {
            "file": str(self.path),
            "set": self.name,
            "form": self.form,
            "images": self.images,
            "counts": nested(self.counts),
            "published": nested(self.published),
            "differences": [str(d) for d in self.differences],
            "skipped": dict(self.skipped),
            "failed": self.failed,
            "errors": [{"path": p, "error": e} for p, e in self.errors],
            "fingerprint": self.fingerprint,
            "notes": list(self.notes),
        }


def nested(counts: Mapping[Cell, int]) -> dict[str, dict[str, int]]:
    """Counts by split, then label, in the order of the splits and labels.

    >>> nested({("test", "happy"): 2, ("train", "happy"): 1})
    {'train': {'happy': 1}, 'test': {'happy': 2}}
    """
    found: dict[str, dict[str, int]] = {}
    others = {split for split, _ in counts if split} - set(SPLITS)
    splits = [*SPLITS, *sorted(others, key=lambda s: (len(s), s)), None]
    labels = [*EIGHT, None]
    for split, name in sorted(counts, key=lambda c: (splits.index(c[0]), labels.index(c[1]))):
        found.setdefault(split or "all", {})[name or "all"] = counts[split, name]
    return found


class Fingerprint:
    """A hash of a set of rows that does not depend on their order, in constant memory."""

    def __init__(self) -> None:
        self._sum = 0

    def add(self, *parts: object) -> None:
        """Take one row."""
        text = "\x1f".join("" if part is None else str(part) for part in parts)
        self._sum += int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")

    def __str__(self) -> str:
        return f"{self._sum % (1 << 256):064x}"


def encode(source: Path | bytes | ImageArray) -> tuple[bytes, ImageArray]:
    """An image as the bytes to store, and its pixels ``[H, W, 3]``.

    Plain JPEG and PNG files are stored as they are; arrays and all other files (TIFF, palettes,
    16 bits, transparency, damaged texts) as PNG, without loss, grey where they are grey. Raises
    InputError for what cannot be decoded to its end.
    """
    if isinstance(source, np.ndarray):
        pixels = read_image(source)
        return _png(pixels), pixels
    data, name = read_bytes(source)
    pixels, _, header, mended = read_file(data, name)
    odd = mended or header.transparent or header.deep
    plain = (header.kind, header.mode) in PLAIN and not odd
    return (data if plain else _png(pixels)), pixels


def _png(pixels: ImageArray) -> bytes:
    import cv2

    grey = (pixels[:, :, 0] == pixels[:, :, 1]).all() and (pixels[:, :, 0] == pixels[:, :, 2]).all()
    done, data = cv2.imencode(".png", pixels[:, :, 0] if grey else pixels[:, :, ::-1])
    if not done:
        raise InputError("the image cannot be written as PNG")
    return data.tobytes()


def prepare(
    name: str,
    source: str | Path,
    output: str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    labels: Sequence[str] = (),
    advance: Advance | None = None,
) -> Preparation:
    """Read the data set ``name`` from ``source`` and write it to the Parquet file ``output``.

    Parameters
    ----------
    options
        What the reader takes, as values or as text: ``{"mode": "probability"}`` for ferplus.
    labels
        Keep only these; all where empty.
    advance
        Called for each row with the number of rows to come, or None where that is unknown.

    An image that cannot be read is reported and left out; the file appears whole or not at all.
    Raises InputError where the source has not the layout of the set or no image can be used.
    """
    entry = DATASETS.get(name)
    given = read_options(repr(name), entry.options, options or {})
    try:
        with opened(source) as place:
            reading = entry.read(place, **given)
            return _write(entry, reading, Path(output), given, tuple(labels), advance)
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{source}: expected the tables of {entry.card.title} as text in UTF-8, "
            f"got something else ({error})"
        ) from error


def _write(
    entry: DataSet,
    reading: Reading,
    output: Path,
    options: Mapping[str, Any],
    labels: tuple[str, ...],
    advance: Advance | None,
) -> Preparation:
    card, name = entry.card, entry.card.name
    counts: Counter[Cell] = Counter()
    skipped: Counter[str] = Counter()
    errors: list[tuple[str, str]] = []
    failed = 0
    fingerprint = Fingerprint()
    texts = {key: str(value) for key, value in options.items()}
    shape = schema(card.columns, {"set": name, "form": reading.form, "options": texts})
    with Writer(output, shape) as writer:
        for row in reading.rows:
            if advance is not None:
                advance(reading.total)
            reason = _left_out(row, labels)
            if reason is not None:
                skipped[reason] += 1
                continue
            record, problem = _record(name, row)
            if record is None:
                failed += 1
                if len(errors) < KEPT_ERRORS:
                    errors.append((row.path, problem))
                continue
            writer.add(record)
            counts[row.split, row.label] += 1
            fingerprint.add(name, row.path, record["pixel_hash"], row.label, row.split)
        if not writer.count:
            first = f"; the first of {failed} errors: {': '.join(errors[0])}" if errors else ""
            raise InputError(
                f"{output}: expected images of {card.title}, found none that can be used{first}"
            )
    published = _published(reading.counts, labels)
    return Preparation(
        output,
        name,
        reading.form,
        writer.count,
        dict(counts),
        published,
        differences(counts, published),
        dict(skipped),
        tuple(errors),
        failed,
        str(fingerprint),
        reading.notes,
    )


def _left_out(row: Row, labels: tuple[str, ...]) -> str | None:
    if row.error is not None:
        return None
    if row.skip is None and labels and row.label not in labels:
        return f"label {row.label}"
    return row.skip


def _record(name: str, row: Row) -> tuple[dict[str, Any] | None, str]:
    """A row as it is stored, or None and what is wrong with it."""
    if row.error is not None or row.image is None:
        return None, row.error or "there is no image"
    try:
        data, pixels = encode(row.image)
    except InputError as error:
        # the path stands beside the error: do not repeat it
        return None, str(error).removeprefix("bytes: ")
    return {
        "image": {"bytes": data, "path": row.path},
        "label": None if row.label is None else EIGHT.index(row.label),
        "split": row.split,
        "subject": row.subject,
        "source": name,
        "pixel_hash": pixel_hash(pixels),
        **row.extra,
    }, ""


def _published(counts: Counts, labels: tuple[str, ...]) -> Counts:
    """The published counts that still hold when only some labels are kept."""
    if not labels:
        return counts
    return {cell: n for cell, n in counts.items() if cell[1] in labels}


def differences(found: Mapping[Cell, int], published: Counts) -> tuple[Difference, ...]:
    """Where the published counts are not met; None in a cell stands for all.

    >>> [str(d) for d in differences({("train", "happy"): 3}, {(None, "happy"): 4})]
    ['happy: published 4, found 3']
    """
    result = []
    for (split, name), expected in published.items():
        have = sum(
            n for cell, n in found.items() if split in (None, cell[0]) and name in (None, cell[1])
        )
        if have != expected:
            result.append(Difference(split, name, expected, have))
    return tuple(result)
