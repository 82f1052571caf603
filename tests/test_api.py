"""What Python users give and get: inputs of every kind, errors, representations, tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mien
from mien.types import Face, ImageArray
from mien.vision.arrays import from_array
from tests.conftest import PORTRAIT


def test_tensors_and_floats_are_taken_whichever_way_round(
    crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    torch = pytest.importorskip("torch")
    first = torch.from_numpy(face_crop).permute(2, 0, 1).float().div(255).requires_grad_()
    for same in (first, first.bfloat16(), face_crop / 255, face_crop.transpose(2, 0, 1)):
        assert np.abs(from_array(same).astype(int) - face_crop).max() <= 1
    several = crops_only.predict([first, face_crop])
    assert several[0].emotions == pytest.approx(several[1].emotions, abs=1e-6)
    grey = torch.zeros(1, 48, 48)
    assert from_array(grey).shape == (48, 48, 3)
    wrong: tuple[tuple[Any, str], ...] = (
        (first * 255, "got values from 0 to 255|got values from"),
        (first - 0.5, "undo what normalised them"),
        (torch.stack([first, first]), r"list\(images\) for a batch"),
        (face_crop.astype(np.int64), "got int64"),
    )
    for given, words in wrong:
        with pytest.raises(mien.InputError, match=words):
            crops_only.predict(given)


def test_one_bad_image_raises_and_of_a_list_it_is_a_row(
    crops_only: mien.Recognizer, tmp_path: Path, face_crop: ImageArray
) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"video")
    bad: list[tuple[Any, str]] = [
        (tmp_path / "absent.jpg", "no such file"),
        (tmp_path / "clip.mp4", "use mien video"),
        ("https://host/a.jpg?x=1", r"https://host/a.jpg\?x=1: is a URL"),
        (b"damaged", "expected an image"),
    ]
    for given, words in bad:
        for ask in (crops_only.predict, crops_only.explain):
            with pytest.raises(mien.InputError, match=words):
                ask(given)
            with pytest.raises(mien.InputError, match=words):
                ask([given, face_crop], on_error="raise")
        rows = crops_only.predict([given, face_crop])
        assert [row.error is None for row in rows] == [False, True]
        found = crops_only.explain([given, face_crop], method="cam")
        assert (len(found), len(found.errors)) == (1, 1)
        assert crops_only.predict(given, on_error="collect")[0].error
    for wrong in ({"a": face_crop}, 7, None):
        for ask in (crops_only.predict, crops_only.explain):
            with pytest.raises(TypeError, match=r"expected .*, got"):
                ask(wrong)  # type: ignore[arg-type]


def test_results_are_short_in_a_shell_and_safe_in_a_notebook(
    crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    name = "<script>&.jpg"
    rows = crops_only.predict([face_crop, b""], names=[name, "bad"])
    why = crops_only.explain([face_crop, b""], names=[name, "bad"], method=["regions", "cam"])
    assert repr(rows) == "<Predictions: 2 rows, 1 face, 1 error>"
    assert repr(why) == "<Explanations: 1 face by regions, cam, 1 error>"
    assert repr(rows[0]).startswith(f"<Prediction of {name}: face 0, happy ")
    assert repr(why[0]).startswith(f"<Explanation of {name}: regions: happy, ")
    for shown in (rows, rows[0], rows[1], why, why[0]):
        assert len(repr(shown)) < 250
        page = shown._repr_html_()
        assert "<script>" not in page
    assert "&lt;script&gt;" in rows._repr_html_()
    many = mien.Predictions(rows.rows * 60)._repr_html_()
    assert "and 70 more" in many


def test_what_is_saved_is_given_back_and_tables_go_to_pandas_and_arrow(tmp_path: Path) -> None:
    face = Face((1.0, 2.0, 3.0, 4.0), 0.5, "haar")
    row = mien.Prediction(
        "=a.jpg",
        0,
        face.box,
        0.5,
        {"happy": 0.75, "sad": 0.25},
        "happy",
        0.75,
        face=face,
        measures={"head_yaw": 12.5, "mouth_width": 1.25},
    )
    none = mien.Prediction("b.jpg", error="no image")
    rows = mien.Predictions(
        (row, none), ("happy", "sad"), measured=("head_yaw", "mouth_width", "eye_opening")
    )
    for suffix in (".csv", ".json", ".jsonl", ".parquet"):
        again = mien.Predictions.load(rows.save(tmp_path / f"rows{suffix}"))
        assert again.rows == rows.rows, suffix
        assert again.labels == rows.labels
        assert again[0].face == face
    lines = (tmp_path / "rows.csv").read_text().splitlines()
    own = [f"{line},{more}" for line, more in zip(lines, ("group", "a", "b"), strict=True)]
    (tmp_path / "own.csv").write_text("\ufeff" + "\n".join(own), encoding="utf-8")
    assert mien.Predictions.load(tmp_path / "own.csv").rows == rows.rows
    frame = rows.to_pandas()
    assert list(frame.columns) == rows.columns
    assert frame["face_id"].tolist()[0] == 0
    assert rows.to_arrow().column("head_yaw").to_pylist() == [12.5, None]
    assert list(mien.Predictions(()).to_pandas().columns) == mien.Predictions(()).columns
    assert rows.under("even", of="even").measured == rows.measured
    turned = replace(rows, rows=(replace(row, measures={"head_yaw": -41.0}), none))
    assert (rows.cautions, len(turned.cautions)) == ([], 1)
    assert "1 face has a head_yaw beyond 30 degrees" in turned.cautions[0]


def test_explanations_are_tables_and_figures(crops_only: mien.Recognizer, tmp_path: Path) -> None:
    why = crops_only.explain([PORTRAIT, b""], method=["regions", "cam"], names=["a", "b"])
    table = why.to_pandas()
    assert table["method"].tolist()[:2] == ["regions", "cam"]
    assert table["mouth"][0] == pytest.approx(why[0].regions["mouth"])
    assert why.to_arrow().column_names == list(table.columns)
    figure = why[0].plot()
    face, heat, bars, _ = figure.axes
    bars.set_title("restyled")
    figure.savefig(tmp_path / "why.svg")
    assert "<svg" in (tmp_path / "why.svg").read_text()
    drawn = {bar.get_y(): bar.get_width() for bar in bars.patches}
    assert sum(drawn.values()) == pytest.approx(why[0].total, abs=1e-4)
    assert heat.get_title() == f"regions: {why[0].target}"
    assert face.images[0].get_array().shape == why[0].crop.shape
    again = mien.Explanations.load(why[:1].save(tmp_path / "why.png")[1])
    assert again[0].values == pytest.approx(why[0].values, abs=1e-6)
    assert (again[0].sentence, again[0].query) == (why[0].sentence, why[0].query)


def test_predict_takes_what_load_takes_and_estimates_a_prior(face_crop: ImageArray) -> None:
    found = mien.predict([face_crop] * 3, detector="none", prior="estimate", measures=True)
    assert found.prior is not None
    assert found.prior["happy"] > 0.9
    assert "head_yaw" in found[0].measures
    assert "head_yaw" in found.columns
