"""Rows of any table as flat dictionaries: files of Mien's commands, their results, data frames."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mien.results.predictions import BOX, file_format, require_parquet
from mien.results.tables import csv_records
from mien.types import InputError

Row = dict[str, Any]

#: What a record holds in a field of its own and a table spreads over columns.
NESTED: Final = ("prediction", "emotions", "regions", "measures")


def read_rows(path: str | Path) -> list[Row]:
    """The rows of a CSV, JSON, JSON lines or Parquet file, whatever its columns.

    Records of :meth:`mien.Prediction.to_dict` and :meth:`mien.Explanation.to_dict` are flattened: a
    column for each expression, region and measure. A folder stands for all its Parquet files, such
    as those of a finished batch. Values of a CSV file are texts. Raises InputError for a file that
    holds no table.
    """
    path = Path(path)
    if path.is_dir():
        inside = sorted(path.rglob("*.parquet"))
        parts = [p for p in inside if "_mien" not in p.relative_to(path).parts]
        if not parts:
            raise InputError(f"{path}: expected a folder with Parquet files of rows, found none")
        return [row for part in parts for row in read_rows(part)]
    kind = file_format(path)
    try:
        if kind == "parquet":
            return list(require_parquet().read_table(path).to_pylist())
        if kind == "csv":
            return csv_records(path)
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        lines = [line for line in text.splitlines() if line.strip()]
        found = json.loads(text) if kind == "json" else [json.loads(line) for line in lines]
        return [flattened(record) for record in found]
    except (OSError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise InputError(f"{path}: expected a table of rows ({error})") from error


def rows_of(table: object) -> list[Row]:
    """The rows of a path, of Mien's results, of a data frame, an Arrow table or dictionaries.

    >>> rows_of([{"input": "a.jpg", "emotions": {"happy": 0.9}}])
    [{'input': 'a.jpg', 'happy': 0.9}]
    """
    if isinstance(table, str | Path):
        return read_rows(table)
    for name in ("table", "to_pylist", "to_dicts", "to_dict"):  # Mien, Arrow, polars, pandas
        method = getattr(table, name, None)
        if callable(method) and not isinstance(table, Mapping):
            found = method("records") if name == "to_dict" else method()
            return [dict(row) for row in found]
    if isinstance(table, Sequence) and all(isinstance(row, Mapping) for row in table):
        return [flattened(row) for row in table]
    raise TypeError(
        "expected a path, Predictions, Explanations, a data frame or a list of dictionaries, "
        f"got {type(table).__name__}"
    )


def flattened(record: Mapping[str, Any]) -> Row:
    """A record with what it nests in columns of their own; what is neither is left out.

    >>> flattened({"target": "sad", "regions": {"mouth": 2.0}, "prediction": {"input": "a.jpg"}})
    {'input': 'a.jpg', 'target': 'sad', 'mouth': 2.0}
    """
    inner: Row = {}
    for name in NESTED:
        if isinstance(record.get(name), Mapping):
            inner |= flattened(record[name])
    box = record.get("box")
    if isinstance(box, list) and len(box) == len(BOX):
        inner |= dict(zip(BOX, box, strict=True))
    own = {
        k: v
        for k, v in record.items()
        if k not in NESTED and not isinstance(v, Mapping | list | tuple)
    }
    first = {k: v for k, v in inner.items() if k in ("input", "frame", "timestamp", "face_id")}
    return {**first, **own, **{k: v for k, v in inner.items() if k not in own}}
