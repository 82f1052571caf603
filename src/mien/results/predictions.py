"""Tables of predictions: what they can be turned into, and how they are written."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Generic, Self, TypeVar, overload

import numpy as np

from mien import extras
from mien.emotions import SEVEN
from mien.files import whole_file
from mien.notebook import html_rows
from mien.priors import ESTIMATE, EVEN, Prior, estimated, read_prior, shifted
from mien.registry import choose
from mien.results.frames import TEXT, WHOLE, arrow_table, data_frame
from mien.results.tables import csv_records, csv_text
from mien.types import Face, FloatArray, InputError, Prediction
from mien.vision.measures import MEASURES, beyond, cautions
from mien.wording import brief as brief
from mien.wording import counted

T = TypeVar("T")

FORMATS = ("csv", "jsonl", "json", "parquet")

SUFFIX_FORMAT = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json",
                 ".parquet": "parquet"}  # fmt: skip


TEXTS: Final = ("input", "dominant_emotion", "detector", "error")
WHOLES: Final = ("frame", "face_id")
BOX: Final = ("box_x", "box_y", "box_w", "box_h")
PRIOR: Final = b"mien_prior"  # in a Parquet file's metadata
#: The columns of a table beside the box and the expressions.
PLAIN: Final = (
    "input", "frame", "timestamp", "face_id", "face_confidence", "dominant_emotion", "score",
    "detector", "error",
)  # fmt: skip


@dataclass(frozen=True)
class Results(Sequence[T], Generic[T]):
    """A frozen sequence of results of one kind."""

    rows: tuple[T, ...]  # The results, in order.

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


@dataclass(frozen=True, repr=False)
class Predictions(Results[Prediction]):
    """Rows of predictions: one per face, and one for each image without a face or in error.

    ``labels`` and ``measured`` are columns of the table, whatever the rows hold.

    >>> rows = Predictions((Prediction("a.jpg"), Prediction("b.jpg", error="not an image")))
    >>> [len(rows), len(rows.faces), len(rows.errors)]
    [2, 0, 1]
    """

    labels: tuple[str, ...] = SEVEN
    prior: Mapping[str, float] | None = None  # shares that the answers expect, where known
    measured: tuple[str, ...] = ()  # names of the geometry that rows hold, as columns

    @property
    def faces(self) -> tuple[Prediction, ...]:
        """The rows that hold an answer."""
        return tuple(row for row in self.rows if row.face_id is not None)

    @property
    def errors(self) -> tuple[Prediction, ...]:
        """The rows of inputs that could not be read."""
        return tuple(row for row in self.rows if row.error is not None)

    @property
    def cautions(self) -> list[str]:
        """Which faces are turned further than their answers are good for, where it was measured."""
        return cautions(Counter(name for row in self.rows for name in beyond(row.measures)))

    def under(self, prior: Prior, of: Prior | None = None) -> Predictions:
        """The same faces answered under another prior: new probabilities, expressions and scores.

        ``prior`` is ``even``, shares (``{"happy": .4, ...}``), or ``estimate``: the one that
        these faces have, estimated from their answers (see :func:`mien.priors.estimated`). ``of``
        is the one that the answers are under; it may be left out where the rows know it, as those
        of a recognizer and of a Parquet file of Mien do. Raises InputError where it is not known,
        or as :func:`mien.priors.read_prior`.

        >>> row = Prediction("a.jpg", 0, emotions={"happy": 0.6, "sad": 0.4})
        >>> even = Predictions((row,), ("happy", "sad"), {"happy": 0.9, "sad": 0.1})
        >>> even.under("even")[0].dominant_emotion
        'sad'
        """
        if of is None and self.prior is None:
            raise InputError(
                "expected rows that know the prior of their answers, got none; give it as of="
            )
        start = read_prior(of or self.prior or EVEN, self.labels)
        faces = [row for row in self.rows if row.emotions]
        p = np.array([[row.emotions[name] for name in self.labels] for row in faces])
        p = p.reshape(len(faces), len(self.labels))
        goal = estimated(p, start) if prior == ESTIMATE else read_prior(prior, self.labels)
        answers = iter(shifted(p, start, goal))
        rows = tuple(
            _answered(row, self.labels, next(answers)) if row.emotions else row for row in self.rows
        )
        shares = dict(zip(self.labels, map(float, goal), strict=True))
        return replace(self, rows=rows, prior=shares)

    def to_dict(self) -> list[dict[str, Any]]:
        """JSON-ready rows."""
        return [row.to_dict() for row in self.rows]

    def table(self) -> list[dict[str, Any]]:
        """Flat rows for CSV and Parquet: the box in four columns, one column per expression."""
        return [_flat(row, self.labels, self.measured) for row in self.rows]

    def to_pandas(self) -> Any:
        """:meth:`table` as a pandas data frame; MissingExtraError without pandas."""
        return data_frame(self.table(), self.columns, WHOLES)

    def to_arrow(self) -> Any:
        """:meth:`table` as an Arrow table; MissingExtraError without pyarrow.

        Columns and their kinds are the same whatever the rows hold; the prior of the answers is
        in the table's metadata.
        """
        about = None if self.prior is None else {PRIOR: json.dumps(dict(self.prior))}
        kinds = {n: TEXT if n in TEXTS else WHOLE if n in WHOLES else "" for n in self.columns}
        return arrow_table(self.table(), kinds, about)

    @property
    def columns(self) -> list[str]:
        """Names of the table's columns."""
        return list(_flat(Prediction(""), self.labels, self.measured))

    def text(self, kind: str) -> str:
        """The rows as ``csv``, ``jsonl`` or ``json``.

        Parameters
        ----------
        kind
            ``csv``, ``jsonl`` or ``json``.
        """
        kind = choose("format", kind, FORMATS)
        if kind == "csv":
            rows = self.table()
            header = list(rows[0]) if rows else ["input"]
            return csv_text([header, *(list(row.values()) for row in rows)])
        if kind == "jsonl":
            return "".join(json.dumps(row) + "\n" for row in self.to_dict())
        if kind == "json":
            return json.dumps(self.to_dict(), indent=1) + "\n"
        raise InputError("parquet is not text: give an --output ending in .parquet")

    def save(self, path: str | Path, kind: str | None = None) -> Path:
        """Write the rows; the format is ``kind``, else what the suffix says. Returns the path.

        The file appears whole or not at all. Raises InputError for an unknown suffix or a folder
        that cannot be written, MissingExtraError for Parquet without pyarrow.

        Parameters
        ----------
        path
            The file; its folder is there.
        """
        path = Path(path)
        kind = file_format(path) if kind is None else choose("format", kind, FORMATS)
        with whole_file(path) as part:
            if kind == "parquet":
                require_parquet().write_table(self.to_arrow(), part)
            else:
                # names of files need not be UTF-8: they are written as they are
                part.write_text(self.text(kind), encoding="utf-8", errors="surrogateescape")
        return path

    @classmethod
    def load(cls, path: str | Path, kind: str | None = None) -> Predictions:
        """The rows of a file that :meth:`save` wrote; the format is ``kind``, else the suffix's.

        A folder stands for all its Parquet files, such as those of a finished batch, in order.
        Numbers are as they were written; landmarks are not kept. Raises InputError for a file
        that holds no such rows, MissingExtraError for Parquet without pyarrow.

        Parameters
        ----------
        path
            A file, or a folder with Parquet files.
        """
        path = Path(path)
        if path.is_dir():
            return _joined(path)
        kind = file_format(path) if kind is None else choose("format", kind, FORMATS)
        try:
            records = _records(path, kind)
            rows = tuple(read_prediction(record) for record in records)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
            raise InputError(f"{path}: expected rows of predictions ({error})") from error
        flat = bool(records) and kind in ("csv", "parquet")
        labels = list(records[0]["emotions"]) if flat else [n for row in rows for n in row.emotions]
        measured = (
            list(records[0]["measures"]) if flat else [n for row in rows for n in row.measures]
        )
        return cls(
            rows,
            tuple(dict.fromkeys(labels)) or SEVEN,
            _prior(path, kind),
            tuple(dict.fromkeys(measured)),
        )

    def __repr__(self) -> str:
        counts = [counted(len(self.faces), "face"), counted(len(self.errors), "error")]
        said = ", ".join(counts if self.errors else counts[:1])
        return f"<Predictions: {counted(len(self), 'row')}, {said}>"

    def _repr_html_(self) -> str:
        return html_rows(self.table())


def _joined(folder: Path) -> Predictions:
    """The rows of all Parquet files in a folder, but for those that a batch keeps for itself."""
    inside = sorted(folder.rglob("*.parquet"))
    parts = [Predictions.load(p) for p in inside if "_mien" not in p.relative_to(folder).parts]
    if not parts:
        raise InputError(f"{folder}: expected a folder with Parquet files of rows, found none")
    if any(part.prior != parts[0].prior or part.labels != parts[0].labels for part in parts):
        raise InputError(f"{folder}: expected rows under one prior, got several; load them singly")
    return replace(parts[0], rows=tuple(row for part in parts for row in part))


def _answered(row: Prediction, labels: Sequence[str], p: FloatArray) -> Prediction:
    """The row with other probabilities ``[K]``."""
    best = int(p.argmax())
    emotions = dict(zip(labels, map(float, p), strict=True))
    return replace(row, emotions=emotions, dominant_emotion=labels[best], score=float(p[best]))


def _prior(path: Path, kind: str) -> dict[str, float] | None:
    """The prior of a Parquet file's answers, from its metadata; other formats do not hold it."""
    if kind != "parquet":
        return None
    found = (require_parquet().read_schema(path).metadata or {}).get(PRIOR)
    return None if found is None else {k: float(v) for k, v in json.loads(found).items()}


def read_prediction(record: Mapping[str, Any]) -> Prediction:
    """The prediction that a record of :meth:`Prediction.to_dict` tells of.

    Raises KeyError, TypeError or ValueError for a record that lacks or breaks a field.

    >>> read_prediction(Prediction("a.jpg", error="not an image").to_dict()).error
    'not an image'
    """
    box = record["box"]
    measures = record.get("measures") or {}
    x, y, width, height = (float(v) for v in box) if box else (0.0,) * 4
    detector = record["detector"]
    place = (x, y, width, height) if box else None
    confidence = _number(record["face_confidence"])
    return Prediction(
        input=str(record["input"]),
        face_id=_whole(record["face_id"]),
        box=place,
        face_confidence=confidence,
        emotions={str(k): float(v) for k, v in record["emotions"].items() if v not in (None, "")},
        dominant_emotion=record["dominant_emotion"] or None,
        score=_number(record["score"]),
        frame=_whole(record["frame"]),
        timestamp=_number(record["timestamp"]),
        error=record["error"] or None,
        face=Face(place, confidence, str(detector)) if detector and place else None,
        measures={str(k): float(v) for k, v in measures.items() if v not in (None, "")},
    )


def _number(value: Any) -> float | None:
    return None if value in (None, "") else float(value)


def _whole(value: Any) -> int | None:
    return None if value in (None, "") else int(value)


def _records(path: Path, kind: str) -> list[dict[str, Any]]:
    """Records such as :meth:`Prediction.to_dict` gives, from any of the formats."""
    if kind in ("json", "jsonl"):
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
        lines = [line for line in text.splitlines() if line.strip()]
        found = json.loads(text) if kind == "json" else [json.loads(line) for line in lines]
        return list(found)
    if kind == "parquet":
        rows = require_parquet().read_table(path).to_pylist()
    else:
        rows = csv_records(path)
    return [_nested(row) for row in rows]


def _nested(row: dict[str, Any]) -> dict[str, Any]:
    """A flat row of a table as a record: the box in one field, expressions in another.

    Columns of one's own, which stand behind those of Mien, are left out.
    """
    box = [row[name] for name in BOX]
    names = list(row)
    inner = names[names.index("score") + 1 : names.index("detector")]
    return {
        **{name: row[name] for name in PLAIN},
        "box": None if box[0] in (None, "") else box,
        "measures": {k: row[k] for k in inner if k in MEASURES},
        "emotions": {k: row[k] for k in inner if k not in MEASURES},
    }


def file_format(path: Path) -> str:
    """The format that a file's suffix means."""
    if path.suffix.lower() not in SUFFIX_FORMAT:
        raise InputError(f"{path}: expected a name ending in {', '.join(SUFFIX_FORMAT)}; rename it")
    return SUFFIX_FORMAT[path.suffix.lower()]


def _flat(row: Prediction, labels: Sequence[str], measured: Sequence[str]) -> dict[str, Any]:
    flat = row.to_dict()
    flat.pop("measures", None)
    box = flat.pop("box") or [None] * 4
    emotions = flat.pop("emotions")
    at = list(flat).index("face_confidence")
    items = list(flat.items())
    numbers = list(zip(BOX, box, strict=True))
    return dict(
        items[:at]
        + numbers
        + items[at:-2]
        + [(name, emotions.get(name)) for name in labels]
        + [(name, row.measures.get(name)) for name in measured]
        + items[-2:]
    )


def require_parquet() -> Any:
    """The module pyarrow.parquet; MissingExtraError where pyarrow is not installed."""
    return extras.need("pyarrow.parquet", "parquet", "Parquet")
