"""The table of a clip, written while it grows: one row per face and frame."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mien.files import check_writable
from mien.results.predictions import Predictions, file_format, require_parquet
from mien.types import InputError, Prediction

ROWS = 4096  # held before they are written


class TimelineWriter:
    """Rows to CSV, JSON lines or Parquet; the file gets its name when it is closed.

    The columns are those of ``mien predict``.
    """

    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        self.kind = file_format(path)
        if self.kind == "json":
            raise InputError(
                f"{path}: expected .csv, .jsonl or .parquet, which can grow; rename it"
            )
        if self.kind == "parquet":
            require_parquet()
        check_writable(path)
        self.path, self._part = path, path.with_name(path.name + ".part")
        self.labels = tuple(labels)
        self.count = 0
        self._rows: list[Prediction] = []
        self._file: Any = None
        self._flush()

    def add(self, rows: Sequence[Prediction]) -> None:
        """Append rows."""
        self._rows += rows
        self.count += len(rows)
        if len(self._rows) >= ROWS:
            self._flush()

    def close(self, *, keep: bool = True) -> None:
        """Write what is left and give the file its name; with ``keep=False`` leave nothing."""
        try:
            if keep:
                self._flush()
            self._file.close()
            if keep:
                self._part.replace(self.path)
        finally:
            with contextlib.suppress(OSError):
                self._part.unlink()

    def _flush(self) -> None:
        table = Predictions(tuple(self._rows), self.labels)
        if self.kind == "parquet":
            from mien.results.predictions import arrow_table

            data = arrow_table(table)
            if self._file is None:
                import pyarrow.parquet as pq

                self._file = pq.ParquetWriter(self._part, data.schema)
            if self._rows:
                self._file.write_table(data)
        else:
            first = self._file is None
            if first:
                self._file = self._part.open("w", encoding="utf-8", errors="surrogateescape")
            self._file.write(self._text(table, header=first))
        self._rows = []

    def _text(self, table: Predictions, *, header: bool) -> str:
        if self.kind == "jsonl":
            return "".join(json.dumps(row) + "\n" for row in table.to_dict())
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, table.columns, lineterminator="\n")
        if header:
            writer.writeheader()
        writer.writerows(table.table())
        return buffer.getvalue()
