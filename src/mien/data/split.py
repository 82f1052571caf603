"""Splits: the owners', the papers', and honest ones; each seeded, with a fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.data.base import DATASETS, EXCLUDED, read_options
from mien.data.prepare import Fingerprint
from mien.data.schemes import SCHEMES, Columns, Values
from mien.data.table import ImageTable, Writer, schema
from mien.extras import need
from mien.options import options_of
from mien.registry import choose
from mien.types import InputError

__all__ = ["SCHEMES", "Columns", "Split", "fingerprint", "load", "make", "mine", "resolve", "write"]


@dataclass(frozen=True)
class Split:
    """A split: the column it is written to, its values row by row, and its fingerprint."""

    scheme: str  # a name of SCHEMES
    seed: int  # of schemes that draw
    options: Mapping[str, str]  # what the scheme was given
    column: str  # split or fold
    values: Values  # row by row: train, val, test, excluded; or the number of a fold
    fingerprint: str  # a hash of which image is on which side
    excluded: int  # rows that are on no side

    def to_dict(self) -> dict[str, Any]:
        """What is written into the file about it."""
        return {
            "scheme": self.scheme,
            "seed": self.seed,
            "options": dict(self.options),
            "column": self.column,
            "fingerprint": self.fingerprint,
            "excluded": self.excluded,
        }


def load(path: str | Path) -> Columns:
    """Read what splits rest on from a file that ``mien data`` wrote; InputError for another's."""
    source = mine(path)
    columns: dict[str, list[Any]] = {
        n: [] for n in ("label", "split", "subject", "source", "pixel_hash")
    }
    same: dict[Any, Any] = {}  # one object for each label, split and person, not one per row
    for batch in source.batches(list(columns), 8192):
        for name, values in columns.items():
            found = source.values(batch, name)
            if name != "pixel_hash":
                found = [same.setdefault(value, value) for value in found]
            values += found
    several = len(set(columns["source"])) > 1
    people = [
        f"{origin}/{person}" if several and person is not None else person
        for origin, person in zip(columns["source"], columns["subject"], strict=True)
    ]
    return Columns(source.path, columns["label"], columns["split"], people, columns["pixel_hash"])


def mine(path: str | Path) -> ImageTable:
    """A file that ``mien data`` wrote; InputError, with what to do, for another's."""
    source = ImageTable(Path(path))
    if "columns" not in source.about or "pixel_hash" not in source.names:
        raise InputError(
            f"{path}: expected a file that mien wrote; make one with: "
            f"mien data prepare parquet {path} -o NEW.parquet"
        )
    return source


def resolve(
    path: str | Path, scheme: str, options: Mapping[str, str]
) -> tuple[str, dict[str, str]]:
    """The scheme and options that ``paper`` or ``honest`` mean for the set in the file."""
    if scheme not in ("paper", "honest"):
        return choose("split scheme", scheme, [*SCHEMES.names(), "paper", "honest"]), dict(options)
    name = str(mine(path).about.get("set", ""))
    card = DATASETS.get(name).card if name in DATASETS.names() else None
    meant = dict(getattr(card, scheme, {})) if card else {}
    if not meant and scheme == "honest":
        known = all(person is not None for person in load(path).subjects)
        meant = {"scheme": "grouped" if known else "deduplicated"}
    if not meant:
        raise InputError(
            f"{path}: no paper's split is known for {name or 'this set'}; "
            f"name a scheme: {', '.join(SCHEMES.names())}"
        )
    return meant.pop("scheme"), {**meant, **options}


def make(
    path: str | Path,
    scheme: str = "honest",
    *,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
) -> Split:
    """Make a split of the images in a file that ``mien data`` wrote.

    Parameters
    ----------
    path
        A file that ``mien data`` wrote.
    seed
        Of schemes that draw.
    scheme
        A name of :data:`SCHEMES`, or ``paper`` or ``honest``, which the set's card explains.
    options
        What the scheme takes: ``ratios``, ``counts``, ``folds``, ``near``.

    Two runs with one file, scheme, options and seed give one fingerprint. Raises InputError for
    a split that cannot be made, UnknownNameError for a name.
    """
    name, given = resolve(path, scheme, {k: str(v) for k, v in (options or {}).items()})
    maker = SCHEMES.get(name)
    options = read_options(f"the scheme {name!r}", options_of(maker), given)
    values = maker(load(path), seed, **options)
    column = "fold" if any(isinstance(value, int) for value in values) else "split"
    return Split(
        name,
        seed,
        given,
        column,
        values,
        fingerprint(path, values),
        sum(value == EXCLUDED for value in values),
    )


def fingerprint(path: str | Path, values: Sequence[Any]) -> str:
    """A hash of which image (source, name, pixels) is on which side; the order does not matter.

    Parameters
    ----------
    path
        A file that ``mien data`` wrote.
    values
        The side of each row.
    """
    source = mine(path)
    hashed = Fingerprint()
    start = 0
    for batch in source.batches(["image.path", "source", "pixel_hash"], 8192):
        names = [image["path"] for image in batch.column("image").to_pylist()]
        origins = batch.column("source").to_pylist()
        pixels = batch.column("pixel_hash").to_pylist()
        part = values[start : start + len(batch)]
        for row in zip(origins, names, pixels, part, strict=True):
            hashed.add(*row)
        start += len(batch)
    return str(hashed)


def write(path: str | Path, split: Split, output: str | Path) -> Path:
    """Write the file again with the split in its column; ``output`` may be ``path`` itself.

    Folds go to the column ``fold`` and empty the column ``split``, so that nobody takes an older
    split for theirs.
    """
    pa = need("pyarrow", "data", "splitting a data set")
    source = mine(path)
    columns = {k: v for k, v in source.about["columns"].items() if k != "fold"}
    if split.column == "fold":
        columns["fold"] = "int"
    about = {k: v for k, v in source.about.items() if k not in ("columns", "split")}
    shape = schema(columns, {**about, "split": split.to_dict()})
    output = Path(output)
    with Writer(output, shape) as writer:
        start = 0
        for batch in source.batches(source.names, 1000):
            part = split.values[start : start + len(batch)]
            start += len(batch)
            arrays = {name: batch.column(name) for name in batch.schema.names}
            arrays["split"] = pa.array(
                part if split.column == "split" else [None] * len(batch), pa.string()
            )
            if split.column == "fold":
                arrays["fold"] = pa.array(part, pa.int64())
            writer.put(pa.table([arrays[name] for name in shape.names], schema=shape))
    return output
