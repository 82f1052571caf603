"""Any Parquet file with images: Hugging Face's, Mien's own, or another's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from mien.data.base import Counts, DataCard, Example, Reading, Row, dataset
from mien.data.example import save_image
from mien.data.naming import SPLIT_NAMES, mapping, meaning
from mien.data.table import ImageTable, image_bytes, image_path
from mien.emotions import EIGHT
from mien.types import InputError, UnknownNameError

CARD: Final = DataCard(
    name="parquet",
    title="Parquet of images",
    summary="A file from the Hugging Face hub, or any table with images in it.",
    size="any",
    labels=EIGHT,
    licence="Your own.",
    source="your own",
    layout="columns image (bytes, or bytes and path), label (names, or numbers with names) and, "
    "if you like, split and subject; one file or a folder of train-*.parquet, test-*.parquet",
    citation="-",
)
COLUMNS: Final = ("image", "label", "split", "subject")


def _name(table: ImageTable, value: Any, names: dict[str, str], classes: list[str] | None) -> str:
    if isinstance(value, int):
        if str(value) in names:
            return names[str(value)]
        if classes is None or not 0 <= value < len(classes):
            raise UnknownNameError(f"{table.path.name}: no name for the label {value}; give names=")
        value = classes[value]
    return meaning(str(value), names)


def _rows(source: Path, files: list[Path], names: dict[str, str]) -> Iterator[Row]:
    for path in files:
        table = ImageTable(path)
        shown = path.name if path == source else path.relative_to(source).as_posix()
        of_file = SPLIT_NAMES.get(path.stem.split("-")[0].lower())
        number = -1
        for batch in table.batches([n for n in COLUMNS if n in table.names], 256):
            columns = [
                batch.column(n).to_pylist() if n in batch.schema.names else [None] * len(batch)
                for n in COLUMNS
            ]
            for image, value, split, subject in zip(*columns, strict=True):
                number += 1
                name = image_path(image) or f"{shown}#{number}"
                try:
                    pixels = image_bytes(image)
                    meant = None if value is None else _name(table, value, names, table.classes)
                except (InputError, UnknownNameError) as error:
                    yield Row(name, error=str(error))
                    continue
                where = SPLIT_NAMES.get(str(split).lower()) if split is not None else of_file
                yield Row(name, pixels, meant, where, None if subject is None else str(subject))


def _example(folder: Path) -> Example:
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = [save_image(folder / f"{i}.png").read_bytes() for i in range(3)]
    labels = ["happy", "neutral", "contempt"]
    content = {"image": images, "label": labels, "split": ["train", "train", "test"]}
    pq.write_table(pa.table(content), folder / "some.parquet")
    counts: Counts = {
        ("train", "happy"): 1,
        ("train", "neutral"): 1,
        ("test", "contempt"): 1,
    }
    return Example(folder / "some.parquet", counts)


@dataset(CARD, _example)
def read(source: Path, *, names: str = "") -> Reading:
    """Images of a Parquet file or of a folder of them.

    Numbers get their names from Hugging Face's schema or from ``names`` (``0=angry,1=disgust``).
    Splits come from the column, else from the file's name (``train-00000-of-00001.parquet``).
    """
    files = [source] if source.is_file() else sorted(source.rglob("*.parquet"))
    if not files:
        raise InputError(f"{source}: expected a Parquet file or a folder of them, found none")
    total = sum(ImageTable(path).rows for path in files)
    return Reading(_rows(source, files, mapping(names)), total)
