"""Rows as a pandas data frame or an Arrow table, where these packages are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mien import extras

TEXT, WHOLE = "text", "whole"


def data_frame(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = (), whole: Sequence[str] = ()
) -> Any:
    """Rows as a pandas data frame; MissingExtraError without pandas.

    ``columns`` are those of a table without rows, ``whole`` those of whole numbers that may lack.
    """
    pandas = extras.need("pandas", "pandas", "a data frame")
    frame = pandas.DataFrame(list(rows), columns=list(columns) or None)
    return frame.astype(dict.fromkeys(whole, "Int64"))


def arrow_table(
    rows: Sequence[Mapping[str, Any]],
    kinds: Mapping[str, str],
    about: Mapping[bytes, str] | None = None,
) -> Any:
    """Rows as an Arrow table with the same columns and kinds whatever the rows hold.

    ``kinds`` says of columns whether they hold texts or whole numbers; all others hold numbers.
    """
    pa = extras.need("pyarrow", "parquet", "Parquet")
    types = {TEXT: pa.string(), WHOLE: pa.int64()}
    schema = pa.schema(
        [(name, types.get(kind, pa.float64())) for name, kind in kinds.items()],
        metadata=dict(about) if about else None,
    )
    return pa.Table.from_pylist([_encodable(row) for row in rows], schema=schema)


def _encodable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Texts without what is no UTF-8: names of files need not be."""
    return {
        k: v.encode("utf-8", "backslashreplace").decode() if isinstance(v, str) else v
        for k, v in row.items()
    }
