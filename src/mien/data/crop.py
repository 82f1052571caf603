"""Faces cut out of a prepared set's pictures, and the policy of it written into the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from mien.data.prepare import Fingerprint, encode
from mien.data.split import mine
from mien.data.table import ImageTable, Writer, image_bytes, image_path, pixel_hash, schema
from mien.emotions import EIGHT
from mien.types import ImageArray, InputError, UnknownNameError
from mien.vision.framing import Framing
from mien.vision.read import read_image

FACES: Final = "faces"  # the key in a file's metadata
PLACES: Final = ("mask", "landmarks")  # columns that hold only on the picture as it was

#: The crop of a picture as it is stored; None where no face is found in it.
Cut = Callable[[ImageArray], ImageArray | None]


@dataclass(frozen=True)
class Cropped:
    """What was cut: how many pictures, and which show no face that was found, and stayed out."""

    path: Path
    images: int
    missing: tuple[str, ...]
    fingerprint: str


def framing_of(source: ImageTable) -> Framing:
    """How the pictures of a file were cut: whole ones where it does not say.

    Raises InputError for metadata that say something else.
    """
    known = source.about.get(FACES)
    if known is None:
        return Framing()
    try:
        names = {f.name for f in fields(Framing)}
        return Framing(**{name: known[name] for name in names & set(known)})
    except (TypeError, InputError, UnknownNameError) as error:
        raise InputError(
            f"{source.path}: its metadata on faces cannot be read ({error})"
        ) from error


def crop(
    path: str | Path,
    output: str | Path,
    framing: Framing,
    cut: Cut,
    *,
    advance: Callable[[int], object] = lambda _rows: None,
) -> Cropped:
    """Write a prepared file again with each picture cut as ``framing`` says.

    Parameters
    ----------
    cut
        What cuts a picture so, as ``mien.runs.cutting.cutter`` makes it.
    advance
        Called for each row with the number of all.

    Pictures in which no face is found stay out, and are listed, and so do columns that describe
    places in the picture (masks and landmarks of drawn faces). Raises InputError for a file that
    was cut before.
    """
    source = mine(path)
    if FACES in source.about:
        raise InputError(
            f"{path}: its pictures are cut already ({framing_of(source).words}); give the file "
            "that mien data prepare wrote"
        )
    columns = {k: v for k, v in source.about["columns"].items() if k not in PLACES}
    about = {k: v for k, v in source.about.items() if k not in ("columns", "split")}
    shape = schema(columns, {**about, FACES: asdict(framing)})
    missing: list[str] = []
    hashed = Fingerprint()
    with Writer(Path(output), shape) as writer:
        for batch in source.batches([name for name in source.names if name not in PLACES], 256):
            for row in batch.to_pylist():
                advance(source.rows)
                name = image_path(row["image"]) or ""
                pixels = cut(read_image(image_bytes(row["image"])))
                if pixels is None:
                    missing.append(name)
                    continue
                writer.add(_row(row, name, pixels))
                label = None if row["label"] is None else EIGHT[row["label"]]
                hashed.add(row["source"], name, pixel_hash(pixels), label, row["split"])
        if not writer.count:
            raise InputError(
                f"{path}: expected pictures with faces, found none in {len(missing)}; take another "
                "detector, or leave the pictures whole"
            )
    return Cropped(Path(output), writer.count, tuple(missing), str(hashed))


def _row(row: dict[str, Any], name: str, pixels: ImageArray) -> dict[str, Any]:
    data, _ = encode(pixels)
    return {**row, "image": {"bytes": data, "path": name}, "pixel_hash": pixel_hash(pixels)}
