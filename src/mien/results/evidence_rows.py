"""Explanations as a table: a row for each face and method, a column for each facial region."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from mien.files import whole_file
from mien.results.attribution import Attribution
from mien.results.frames import TEXT, WHOLE, arrow_table
from mien.results.predictions import BOX, file_format, require_parquet
from mien.results.tables import csv_text
from mien.types import Prediction
from mien.vision.regions import REGIONS

TEXTS: Final = (
    "input", "detector", "dominant_emotion", "method", "target", "against", "baseline", "unit",
    "model", "mien", "error",
)  # fmt: skip
COLUMNS: Final = (
    "input", "face_id", *BOX, "detector", "dominant_emotion", "score", "method", "target",
    "against", "baseline", "unit", *REGIONS, "total", "model", "mien", "error",
)  # fmt: skip
#: What each column holds, as :func:`mien.results.frames.arrow_table` takes it.
KINDS: Final = {n: TEXT if n in TEXTS else WHOLE if n == "face_id" else "" for n in COLUMNS}


def evidence_row(e: Attribution) -> dict[str, Any]:
    """One face by one method: the answer, what each region holds, and what they add up to.

    ``total`` is None where the method's values are no parts of a whole.
    """
    p = e.prediction
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= dict(zip(BOX, [round(v, 2) for v in p.box or ()], strict=False))
    return row | {
        "input": p.input,
        "face_id": p.face_id,
        "detector": None if p.face is None else p.face.detector,
        "dominant_emotion": p.dominant_emotion,
        "score": p.score,
        "method": e.method,
        "target": e.target,
        "against": e.against,
        "baseline": e.baseline,
        "unit": e.unit,
        **e.regions,
        "total": None if e.base is None else e.total,
        "model": e.model,
        "mien": e.versions.get("mien"),
    }


def error_row(p: Prediction) -> dict[str, Any]:
    """The row of a photo that could not be explained.

    >>> error_row(Prediction("a.jpg", error="not an image"))["error"]
    'not an image'
    """
    return dict.fromkeys(COLUMNS) | {"input": p.input, "error": p.error}


def evidence_csv(explanations: Sequence[Attribution]) -> str:
    """A table of explanations as CSV."""
    return _csv([evidence_row(e) for e in explanations])


def save_evidence(rows: Sequence[dict[str, Any]], path: Path) -> Path:
    """Write rows as the file's suffix says: .csv, .json, .jsonl or .parquet; returns the path.

    The file appears whole or not at all. Raises InputError for another suffix, MissingExtraError
    for Parquet without pyarrow.
    """
    kind = file_format(path)
    with whole_file(path) as part:
        if kind == "parquet":
            require_parquet().write_table(arrow_table(rows, KINDS), part)
        else:
            part.write_text(_text(rows, kind), encoding="utf-8", errors="surrogateescape")
    return path


def _text(rows: Sequence[dict[str, Any]], kind: str) -> str:
    if kind == "json":
        return json.dumps(list(rows), indent=1) + "\n"
    if kind == "jsonl":
        return "".join(json.dumps(row) + "\n" for row in rows)
    return _csv(rows)


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    return csv_text([COLUMNS, *([row[name] for name in COLUMNS] for row in rows)])
