"""Text that travels in CSV: no name and no label becomes a formula, and all of it is read back."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.results.predictions import Predictions
from mien.results.tables import STARTS, csv_rows, csv_text
from mien.runs.read import read_scores, write_table
from mien.types import Prediction

NAMES = (
    "=cmd|' /C calc'!A0.jpg", "+1+1.jpg", "-2+3.jpg", "@SUM(A1).jpg", "\t=1.jpg", "\r=1.jpg",
    "'=quoted.jpg", "''", "it's.jpg", "-", "-1", 'a\rb,"c"\n.jpg', "m\udcfcller.jpg",
)  # fmt: skip


def is_safe(cell: str) -> bool:
    """Whether a spreadsheet takes it for text or for a number."""
    return cell == "-1" or not cell.startswith(STARTS)


def cells(path: Path) -> list[str]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return [cell for row in csv.reader(file) for cell in row]


@given(
    st.lists(st.lists(st.text(st.sampled_from("=+-@\t\r\n'\",a\uff1d")), min_size=1), min_size=1)
)
def test_any_text_is_read_as_it_was_and_is_no_formula(rows: list[list[str]]) -> None:
    text = csv_text(rows)
    assert csv_rows(io.StringIO(text, newline="")) == rows
    raw = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert not [cell for cell in raw if cell.startswith(STARTS)]


def test_predictions_come_back_with_names_and_labels_of_formulas(tmp_path: Path) -> None:
    labels = ("=1+1", "happy")
    rows = Predictions(
        tuple(
            Prediction(
                name,
                face_id=0,
                box=(-2.5, -1.0, 10.0, 10.0),
                emotions={"=1+1": 0.25, "happy": 0.75},
                dominant_emotion="=1+1",
                score=0.75,
            )
            for name in NAMES
        ),
        labels,
    )
    path = rows.save(tmp_path / "rows.csv")
    assert all(is_safe(cell) or cell in ("-2.5", "-1.0") for cell in cells(path))
    again = Predictions.load(path)
    assert [row.input for row in again] == list(NAMES)
    assert again.labels == labels
    assert again[0] == rows[0]


def test_the_table_of_a_clip_is_guarded_likewise(tmp_path: Path) -> None:
    timeline = pytest.importorskip("mien.video.timeline")
    path = tmp_path / "rows.csv"
    with timeline.timeline_writer(path, ("=1+1",)) as writer:
        for name in NAMES:
            writer.add([Prediction(name, frame=1, emotions={"=1+1": 1.0})])
    assert all(map(is_safe, cells(path)))
    again = Predictions.load(path)
    assert ([row.input for row in again], again.labels) == (list(NAMES), ("=1+1",))


def test_scores_of_a_run_keep_names_and_labels(tmp_path: Path) -> None:
    labels = ["@happy", "sad"]
    rows = [[name, labels[i % 2], 0.75, 0.25] for i, name in enumerate(NAMES)]
    write_table(tmp_path / "scores.csv", ["filepath", "label", *labels], rows)
    assert all(map(is_safe, cells(tmp_path / "scores.csv")))
    scores = read_scores(tmp_path)
    assert (scores.names, scores.labels) == (NAMES, tuple(labels))
    np.testing.assert_array_equal(scores.truth, np.arange(len(NAMES)) % 2)
