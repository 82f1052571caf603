"""Parquet as Hugging Face ``datasets`` reads it: written whole or not at all, read in pieces."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from mien.emotions import EIGHT, label
from mien.extras import need
from mien.files import cannot_write, whole_file
from mien.types import ImageArray, InputError

GROUP_ROWS, GROUP_BYTES = 1000, 16_000_000  # a row group: what is held in memory at once
KINDS = {"string": "string", "int": "int64", "float": "float32", "bool": "bool"}
FIXED = {"label": "label", "split": "string", "subject": "string", "source": "string",
         "pixel_hash": "string"}  # fmt: skip


def _arrow(module: str = "pyarrow") -> Any:
    return need(module, "data", "reading and writing data sets")


def pixel_hash(pixels: ImageArray) -> str:
    """Hash of size and RGB values: equal for two files that show the same pixels."""
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).tobytes())
    return digest.hexdigest()


def _type(pa: Any, kind: str) -> Any:
    if kind == "image":
        return pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    if kind == "label":
        return pa.int64()
    if kind.endswith("s") and kind[:-1] in KINDS:  # "floats": a list of them
        return pa.list_(_type(pa, kind[:-1]))
    return getattr(pa, {"string": "string", "bool": "bool_"}.get(kind, KINDS[kind]))()


def _feature(kind: str) -> Any:
    if kind == "image":
        return {"_type": "Image"}
    if kind == "label":
        return {"names": list(EIGHT), "_type": "ClassLabel"}
    if kind.endswith("s") and kind[:-1] in KINDS:
        return {"feature": _feature(kind[:-1]), "_type": "Sequence"}
    return {"dtype": KINDS[kind], "_type": "Value"}


def schema(columns: Mapping[str, str], about: Mapping[str, Any]) -> Any:
    """Arrow schema of a Mien table: image, the fixed columns, then ``columns``.

    It carries Hugging Face's features and, under the key ``mien``, what is said ``about`` it.
    """
    pa = _arrow()
    kinds = {"image": "image", **FIXED, **columns}
    features = {name: _feature(kind) for name, kind in kinds.items()}
    return pa.schema(
        [(name, _type(pa, kind)) for name, kind in kinds.items()],
        metadata={
            "huggingface": json.dumps({"info": {"features": features}}),
            "mien": json.dumps({"columns": dict(columns), **about}),
        },
    )


class Writer:
    """Write rows to a Parquet file that appears whole, on a clean exit, or not at all."""

    def __init__(self, path: Path, shape: Any) -> None:
        self.path, self._shape = path, shape
        self._stack = ExitStack()
        self._rows: list[Mapping[str, Any]] = []
        self._bytes = 0
        self.count = 0

    def __enter__(self) -> Self:
        pq = _arrow("pyarrow.parquet")
        if self.path.suffix.lower() != ".parquet":
            raise InputError(f"{self.path}: expected a name ending in .parquet; rename the output")
        if not self.path.parent.is_dir():
            raise InputError(f"{self.path.parent}: no such folder; make it first")
        with ExitStack() as stack:
            part = stack.enter_context(whole_file(self.path))
            # images are compressed already; the page index lets readers skip the image column
            self._file = pq.ParquetWriter(part, self._shape, compression="snappy")
            self._stack = stack.pop_all()
        return self

    def add(self, row: Mapping[str, Any]) -> None:
        """Take one row; full row groups go to disk."""
        self._rows.append(row)
        self._bytes += len(row["image"]["bytes"])
        self.count += 1
        if len(self._rows) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the rows held in memory as one row group."""
        pa = _arrow()
        if self._rows:
            self.put(pa.Table.from_pylist(self._rows, schema=self._shape))
            self._rows, self._bytes = [], 0

    def put(self, table: Any) -> None:
        """Write an Arrow table of this schema as one row group; InputError where the disk fails."""
        try:
            self._file.write_table(table)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            with self._stack:
                self.flush()
                self._file.close()
            return
        with suppress(OSError):
            self._file.close()
        # whatever went wrong in between is raised as it is: it need not be about this file
        with suppress(kind, InputError):
            self._stack.__exit__(kind, error, trace)


@dataclass(frozen=True)
class ImageTable:
    """A Parquet file of images: Mien's own, Hugging Face's, or any with an image column."""

    path: Path

    @cached_property
    def file(self) -> Any:
        """The open Parquet file; InputError where it is missing, damaged or has no images."""
        pq = _arrow("pyarrow.parquet")
        if self.path.is_dir():
            raise InputError(
                f"{self.path}: expected a Parquet file of images, got a folder; make one of "
                "it with: mien data prepare SET FOLDER -o FILE.parquet"
            )
        if not self.path.is_file():
            raise InputError(f"{self.path}: no such file; make one with: mien data prepare")
        try:
            # without these, Arrow keeps all that it has read of a file
            file = pq.ParquetFile(self.path, pre_buffer=False, buffer_size=1 << 20)
        except Exception as error:  # Arrow raises its own kinds on damaged files
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{self.path}: expected a Parquet file, but it cannot be read ({reason})"
            ) from error
        if "image" not in file.schema_arrow.names:
            raise InputError(
                f"{self.path}: expected a column 'image', got {', '.join(file.schema_arrow.names)}"
            )
        return file

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.file.metadata.num_rows)

    @property
    def names(self) -> list[str]:
        """Column names."""
        return list(self.file.schema_arrow.names)

    def _metadata(self, key: str) -> dict[str, Any]:
        found = (self.file.schema_arrow.metadata or {}).get(key.encode(), b"{}")
        try:
            value = json.loads(found)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @cached_property
    def about(self) -> dict[str, Any]:
        """What Mien wrote about the file; empty for another's."""
        return self._metadata("mien")

    @cached_property
    def classes(self) -> list[str] | None:
        """Names of whole-number labels where the file names them."""
        features = self._metadata("huggingface").get("info", {}).get("features", {})
        names = features.get("label", {}).get("names")
        return list(names) if names else None

    def batches(self, columns: Sequence[str], size: int = 512) -> Iterator[Any]:
        """Record batches of some columns, in the order of the file; InputError on damage."""
        try:
            for group in range(self.file.metadata.num_row_groups):
                yield from self.file.iter_batches(
                    batch_size=size, row_groups=[group], columns=list(columns), use_threads=False
                )
        except OSError as error:
            raise InputError(f"{self.path}: damaged Parquet file ({error})") from error

    def values(self, batch: Any, column: str) -> list[Any]:
        """One column of a batch as Python values; a list of None where the file has none."""
        if column not in batch.schema.names:
            return [None] * len(batch)
        values: list[Any] = batch.column(column).to_pylist()
        if column == "label":
            return [self.label(value) for value in values]
        return values

    def label(self, value: Any) -> str | None:
        """A label as one of Mien's names, or None; InputError for a number without names."""
        if value is None or value == -1:
            return None
        if isinstance(value, int):
            if self.classes is None or value >= len(self.classes):
                raise InputError(
                    f"{self.path}: expected label names or numbers with names in the schema, "
                    f"got the number {value}; read it with: mien data prepare parquet"
                )
            value = self.classes[value]
        return label(str(value))


def image_bytes(value: Any) -> bytes:
    """The encoded image of a cell: bytes, or a struct ``{bytes, path}``."""
    found = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(found, bytes):
        raise InputError("expected image bytes in the column 'image', got none")
    return found


def image_path(value: Any) -> str | None:
    """The name of a cell's image where it has one."""
    return value.get("path") if isinstance(value, dict) else None
