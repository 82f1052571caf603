"""Tables of predictions: what they can be turned into, and how they are written."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, overload

from mien.emotions import SEVEN
from mien.files import whole_file
from mien.registry import choose
from mien.types import InputError, MissingExtraError, Prediction

T = TypeVar("T")

FORMATS = ("csv", "jsonl", "json", "parquet")

SUFFIX_FORMAT = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json",
                 ".parquet": "parquet"}  # fmt: skip


def brief(p: float) -> str:
    """A probability in two digits that never claims certainty.

    >>> brief(0.873), brief(0.9991), brief(0.0004)
    ('0.87', '>0.99', '<0.01')
    """
    return ">0.99" if p >= 0.995 else "<0.01" if p < 0.005 else f"{p:.2f}"


@dataclass(frozen=True)
class Results(Sequence[T], Generic[T]):
    """A frozen sequence of results of one kind."""

    rows: tuple[T, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> T | Self:
        return (
            replace(self, rows=self.rows[index]) if isinstance(index, slice) else self.rows[index]
        )

    def __iter__(self) -> Iterator[T]:
        return iter(self.rows)


@dataclass(frozen=True)
class Predictions(Results[Prediction]):
    """Rows of predictions: one per face, and one for each image without a face or in error.

    ``labels`` are the columns of the table, whatever the rows hold.

    >>> rows = Predictions((Prediction("a.jpg"), Prediction("b.jpg", error="not an image")))
    >>> [len(rows), len(rows.faces), len(rows.errors)]
    [2, 0, 1]
    """

    labels: tuple[str, ...] = SEVEN

    @property
    def faces(self) -> tuple[Prediction, ...]:
        """The rows that hold an answer."""
        return tuple(row for row in self.rows if row.face_id is not None)

    @property
    def errors(self) -> tuple[Prediction, ...]:
        """The rows of inputs that could not be read."""
        return tuple(row for row in self.rows if row.error is not None)

    def to_dict(self) -> list[dict[str, Any]]:
        """JSON-ready rows."""
        return [row.to_dict() for row in self.rows]

    def table(self) -> list[dict[str, Any]]:
        """Flat rows for CSV and Parquet: the box in four columns, one column per expression."""
        return [_flat(row, self.labels) for row in self.rows]

    @property
    def columns(self) -> list[str]:
        """Names of the table's columns."""
        return list(_flat(Prediction(""), self.labels))

    def text(self, kind: str) -> str:
        """The rows as ``csv``, ``jsonl`` or ``json``."""
        kind = choose("format", kind, FORMATS)
        if kind == "csv":
            buffer = io.StringIO()
            rows = self.table()
            writer = csv.DictWriter(
                buffer, list(rows[0]) if rows else ["input"], lineterminator="\n"
            )
            writer.writeheader()
            writer.writerows(rows)
            return buffer.getvalue()
        if kind == "jsonl":
            return "".join(json.dumps(row) + "\n" for row in self.to_dict())
        if kind == "json":
            return json.dumps(self.to_dict(), indent=1) + "\n"
        raise InputError("parquet is not text: give an --output ending in .parquet")

    def save(self, path: str | Path, kind: str | None = None) -> Path:
        """Write the rows; the format is ``kind``, else what the suffix says. Returns the path.

        The file appears whole or not at all. Raises InputError for an unknown suffix or a folder
        that cannot be written, MissingExtraError for Parquet without pyarrow.
        """
        path = Path(path)
        kind = file_format(path) if kind is None else choose("format", kind, FORMATS)
        with whole_file(path) as part:
            if kind == "parquet":
                table = arrow_table(self)
                import pyarrow.parquet as pq

                pq.write_table(table, part)
            else:
                # names of files need not be UTF-8: they are written as they are
                part.write_text(self.text(kind), encoding="utf-8", errors="surrogateescape")
        return path

    def _repr_html_(self) -> str:
        return _html_table(self.table())


def file_format(path: Path) -> str:
    """The format that a file's suffix means."""
    if path.suffix.lower() not in SUFFIX_FORMAT:
        raise InputError(
            f"{path}: expected a name ending in {', '.join(SUFFIX_FORMAT)}; "
            "rename it or give --format"
        )
    return SUFFIX_FORMAT[path.suffix.lower()]


def _flat(row: Prediction, labels: Sequence[str]) -> dict[str, Any]:
    flat = row.to_dict()
    box = flat.pop("box") or [None] * 4
    emotions = flat.pop("emotions")
    at = list(flat).index("face_confidence")
    items = list(flat.items())
    numbers = list(zip(("box_x", "box_y", "box_w", "box_h"), box, strict=True))
    return dict(
        items[:at]
        + numbers
        + items[at:-2]
        + [(name, emotions.get(name)) for name in labels]
        + items[-2:]
    )


def require_parquet() -> None:
    """Raise MissingExtraError where pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingExtraError(
            "Parquet needs pyarrow, which is not installed; run: pip install 'mien[parquet]'"
        ) from error


def arrow_table(predictions: Predictions) -> Any:
    """The rows as an Arrow table, with the same columns and kinds whatever the rows hold."""
    require_parquet()
    import pyarrow as pa

    texts, whole = {"input", "dominant_emotion", "detector", "error"}, {"frame", "face_id"}
    kinds = {
        n: pa.string() if n in texts else pa.int64() if n in whole else pa.float64()
        for n in predictions.columns
    }
    rows = [
        {
            k: v.encode("utf-8", "replace").decode() if isinstance(v, str) else v
            for k, v in row.items()
        }
        for row in predictions.table()
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items())))


def _html_table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "<p>no rows</p>"
    names = [n for n in rows[0] if any(row[n] is not None for row in rows)]

    def cell(value: Any) -> str:
        text = f"{value:.3f}" if isinstance(value, float) else "" if value is None else str(value)
        return f"<td>{escape(text)}</td>"

    header = "".join(f"<th>{escape(n)}</th>" for n in names)
    body = "".join("<tr>" + "".join(cell(row[n]) for n in names) + "</tr>" for row in rows)
    return f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table>"
