"""The table of a clip, written while it grows: one row per face and frame."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mien.files import check_writable, whole_file
from mien.results.predictions import Predictions, file_format, require_parquet
from mien.results.tables import csv_text
from mien.types import InputError, Prediction

ROWS = 4096  # gathered before they are written


@contextmanager
def timeline_writer(
    path: Path,
    labels: Sequence[str],
    prior: Mapping[str, float] | None = None,
    measured: Sequence[str] = (),
) -> Iterator[TimelineWriter]:
    """A writer whose file gets its name on a clean exit; after an error nothing is left.

    Nor is anything left where no row came. Raises InputError for a format that cannot grow.
    """
    kind = file_format(path)
    if kind == "json":
        raise InputError(f"{path}: expected .csv, .jsonl or .parquet, which can grow; rename it")
    if kind == "parquet":
        require_parquet()
    check_writable(path)
    with suppress(_Empty), whole_file(path) as part:
        writer = TimelineWriter(part, kind, labels, prior, measured)
        try:
            yield writer
            if not writer.count:
                raise _Empty
            writer.flush()
        finally:
            writer.close()


class _Empty(Exception):  # noqa: N818 - nothing failed
    """No row was written."""


class TimelineWriter:
    """Rows to CSV, JSON lines or Parquet; the columns are those of ``mien predict``."""

    def __init__(
        self,
        part: Path,
        kind: str,
        labels: Sequence[str],
        prior: Mapping[str, float] | None = None,
        measured: Sequence[str] = (),
    ) -> None:
        self.part, self.kind, self.labels = part, kind, tuple(labels)
        self.measured = tuple(measured)
        self.prior = prior  # of the answers; Parquet's metadata holds it
        self.count = 0
        self._rows: list[Prediction] = []
        self._file: Any = None  # a text file, or pyarrow's writer, which has no types

    def add(self, rows: Sequence[Prediction]) -> None:
        """Append rows."""
        self._rows += rows
        self.count += len(rows)
        if len(self._rows) >= ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows gathered so far."""
        if not self._rows:
            return
        table = Predictions(tuple(self._rows), self.labels, self.prior, self.measured)
        self._rows = []
        first = self._file is None
        if self.kind == "parquet":
            import pyarrow.parquet as pq

            data = table.to_arrow()
            if first:
                self._file = pq.ParquetWriter(self.part, data.schema)
            self._file.write_table(data)
        else:
            if first:
                self._file = self.part.open("w", encoding="utf-8", errors="surrogateescape")
            self._file.write(self._text(table, header=first))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def _text(self, table: Predictions, *, header: bool) -> str:
        if self.kind == "jsonl":
            return "".join(json.dumps(row) + "\n" for row in table.to_dict())
        rows = [list(row.values()) for row in table.table()]
        return csv_text([table.columns, *rows] if header else rows)
