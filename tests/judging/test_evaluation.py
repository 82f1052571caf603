"""mien evaluate: models on labelled sets, from Parquet to a table."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("pyarrow", reason="pyarrow is not installed")


import pyarrow as pa
import pyarrow.parquet as pq
from typer.testing import CliRunner

import mien
from mien.commands.main import app
from mien.data import synthetic
from mien.emotions import SEVEN
from mien.judging.answering import labelled
from mien.judging.evaluation import measure, read_candidate, table
from mien.types import InputError, UnknownNameError


def png(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn faces of seven expressions and one of contempt, one training row, one damaged image."""
    rows = [
        {"image": png(synthetic.face(n, subject=s, size=96).image), "label": n, "split": "test"}
        for s in (2, 5)
        for n in SEVEN
    ]
    spare = rows[0]["image"]
    rows += [
        {"image": spare, "label": "contempt", "split": "test"},
        {"image": spare, "label": "angry", "split": "train"},
        {"image": b"damaged", "label": "angry", "split": "test"},
    ]
    path = tmp_path_factory.mktemp("sets") / "drawn.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_a_table_says_what_predictions_counted_by_hand_say(faces: Path) -> None:
    found = measure(["mien", "mien:head=ferplus,prior=even"], [faces])
    images = [image for _, _, image in labelled(faces)][:14]
    recognizers = (
        mien.load(detector="none"),
        mien.load(detector="none", head="ferplus", prior="even"),
    )
    for measured, recognizer in zip(found, recognizers, strict=True):
        rows = recognizer.predict(images)
        right = np.mean([row.dominant_emotion == SEVEN[i % 7] for i, row in enumerate(rows)])
        assert measured.report.accuracy.value == pytest.approx(right)
        assert measured.report.accuracy.images == 14
        assert (measured.left_out, measured.unreadable, measured.no_face) == (1, 1, 0)
        assert measured.prior == pytest.approx(dict.fromkeys(SEVEN, 1 / 7))
        # each expression comes as often as the prior says: both errors are one
        assert measured.ece == pytest.approx(measured.ece_prior)
    assert found[0].versus is None
    assert found[1].versus is not None
    header, rows_of_table = table(found)
    assert header[-7:] == list(SEVEN)
    assert all(len(row) == len(header) for row in rows_of_table)


def test_a_face_that_is_not_found_is_a_wrong_answer(tmp_path: Path, portrait: Any) -> None:
    empty = np.full((200, 200, 3), 128, dtype=np.uint8)
    rows = [{"image": png(portrait), "label": "happiness"}, {"image": png(empty), "label": "angry"}]
    path = tmp_path / "photos.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    found = measure(["mien", "mien:prior=ferplus"], [path], detector="haar")
    for measured in found:
        assert measured.no_face == 1
        assert measured.report.accuracy.value == 0.5
        assert measured.ece is not None
        assert measured.ece < 0.1
    assert json.dumps(found[0].to_dict(), allow_nan=False)


def test_only_what_is_asked_for_is_measured(faces: Path) -> None:
    found = measure(["mien"], [faces], labels=("happy", "sad"))[0]
    assert found.report.accuracy.images == 4
    with pytest.raises(InputError, match="splits are test, train"):
        measure(["mien"], [faces], split="val")
    with pytest.raises(InputError, match="expected images of"):
        measure(["mien"], [faces], labels=("bored",))


def test_answers_among_some_labels_are_the_likeliest_of_those(faces: Path) -> None:
    six = tuple(name for name in SEVEN if name != "neutral")
    free, forced = (
        measure(["mien"], [faces], labels=six, among=among)[0] for among in (False, True)
    )
    assert forced.report.labels == six
    assert forced.report.accuracy.images == free.report.accuracy.images == 12
    assert forced.report.accuracy.value >= free.report.accuracy.value
    assert forced.prior == pytest.approx(dict.fromkeys(six, 1 / 6))
    images = [image for _, truth, image in labelled(faces) if truth in six and image != b"damaged"]
    rows = mien.load(detector="none").predict(images)
    best = [max(six, key=row.emotions.__getitem__) for row in rows]
    right = np.mean([name == six[i % 6] for i, name in enumerate(best)])
    assert forced.report.accuracy.value == pytest.approx(right)


def test_a_candidate_carries_options_and_a_path_may_hold_a_colon() -> None:
    assert str(read_candidate("mien:head=both,flip=true")) == "mien:head=both,flip=true"
    assert read_candidate("C:/models/a.onnx").model == "C:/models/a.onnx"
    with pytest.raises(UnknownNameError, match="unknown option"):
        read_candidate("mien:size=3")
    with pytest.raises(InputError, match="true or false"):
        read_candidate("mien:flip=perhaps")


def test_the_command_writes_its_table(faces: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "md", "json"):
        out = tmp_path / f"table.{suffix}"
        words = ["evaluate", "mien:prior=fer2013", str(faces), "-o", str(out)]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        assert "left out 1 images" in done.stderr
        if suffix == "csv":
            (row,) = csv.DictReader(out.read_text().splitlines())
            assert row["images"] == "14"
        elif suffix == "json":
            assert json.loads(out.read_text())[0]["prior"]["happy"] == pytest.approx(
                0.251, abs=0.01
            )
        else:
            assert out.read_text().startswith("| set | model |")
