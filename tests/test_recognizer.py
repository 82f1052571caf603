"""mien.recognizer and mien.results.predictions: photos in, rows and explanations out."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import mien
from mien.emotions import EIGHT, SEVEN
from mien.types import ImageArray, InputError, UnknownNameError
from mien.vision import faces
from mien.vision.landmarks import eye_distance
from mien.wording import brief
from tests.conftest import PORTRAIT
from tests.explaining import changed


def test_the_portrait_is_happy_and_the_row_is_complete(recognizer: mien.Recognizer) -> None:
    rows = recognizer.predict(PORTRAIT)
    assert len(rows) == 1
    row = rows[0]
    assert row.input == str(PORTRAIT)
    assert row.face_id == 0
    assert tuple(row.emotions) == SEVEN
    assert sum(row.emotions.values()) == pytest.approx(1)
    assert row.dominant_emotion == "happy"
    assert row.score == max(row.emotions.values()) > 0.9
    assert row.error is None
    with pytest.raises(FrozenInstanceError):
        row.score = 0.0  # type: ignore[misc]  # the point of the test


def test_a_list_keeps_its_order_and_one_bad_item_stops_nothing(
    recognizer: mien.Recognizer, portrait: ImageArray, noise: ImageArray
) -> None:
    rows = recognizer.predict([b"damaged", noise, portrait, "absent.jpg", PORTRAIT])
    assert [row.input for row in rows] == [
        "image 0",
        "image 1",
        "image 2",
        "absent.jpg",
        str(PORTRAIT),
    ]
    assert [row.face_id for row in rows] == [None, None, 0, None, 0]
    assert [row.error is not None for row in rows] == [True, False, False, True, False]
    assert len(rows.faces) == len(rows.errors) == 2
    assert rows[1].dominant_emotion is None
    assert rows[2].emotions == rows[4].emotions


def test_many_faces_have_ids_from_left_to_right(
    recognizer: mien.Recognizer, portrait: ImageArray
) -> None:
    rows = recognizer.predict(np.concatenate([portrait, portrait[:, ::-1]], axis=1))
    assert [row.face_id for row in rows] == [0, 1]
    assert all(row.dominant_emotion == "happy" for row in rows)


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
def test_the_answer_does_not_depend_on_the_size_of_the_photo(
    recognizer: mien.Recognizer, portrait: ImageArray, scale: float
) -> None:
    picture = Image.fromarray(portrait)
    resized = picture.resize((round(512 * scale), round(512 * scale)), Image.Resampling.LANCZOS)
    score = recognizer.predict(resized)[0].emotions["happy"]
    assert score == pytest.approx(recognizer.predict(picture)[0].emotions["happy"], abs=0.08)


def test_names_replace_those_of_unnamed_images(
    recognizer: mien.Recognizer, portrait: ImageArray
) -> None:
    assert recognizer.predict([portrait], names=["Collins"])[0].input == "Collins"
    with pytest.raises(InputError, match="expected 1 names, got 2"):
        recognizer.predict([portrait], names=["a", "b"])


def test_contempt_is_the_eighth_on_request_and_only_where_it_exists() -> None:
    recognizer = mien.load(contempt=True, detector="haar")
    assert recognizer.labels == EIGHT
    assert tuple(recognizer.predict(PORTRAIT)[0].emotions) == EIGHT
    for head in ("both", "fer2013"):
        with pytest.raises(InputError, match="no contempt; use head='ferplus'"):
            mien.load(head=head, contempt=True)


def test_the_other_head_answers_with_its_own_seven() -> None:
    recognizer = mien.load(head="fer2013", detector="haar")
    assert recognizer.labels == SEVEN
    assert recognizer.predict(PORTRAIT)[0].dominant_emotion == "happy"


def test_a_crop_is_taken_as_it_stands_by_the_detector_none(
    crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    row = crops_only.predict(face_crop)[0]
    assert row.to_dict()["box"] == [0, 0, 192, 192]
    assert row.dominant_emotion == "happy"
    np.testing.assert_array_equal(crops_only.crops(face_crop)[0].image, face_crop)


def test_landmarks_of_detector_and_model_agree(portrait: ImageArray) -> None:
    """The model's own landmarks, in the base install, against the mesh that taught them."""
    if not faces.DETECTORS.get("blazeface").available():
        pytest.skip("the files of 'blazeface' are not on this machine")
    mesh = mien.load(detector="blazeface").crops(portrait)[0].face.landmarks
    own = mien.load(detector="haar").crops(portrait)[0].face.landmarks
    assert mesh is not None
    assert own is not None
    error = np.linalg.norm(mesh - own, axis=1).mean() / eye_distance(mesh)
    assert error < 0.12


def test_explaining_what_cannot_be_explained_says_why(
    recognizer: mien.Recognizer, noise: ImageArray, portrait: ImageArray
) -> None:
    with pytest.raises(InputError, match="no face found by 'haar'"):
        recognizer.explain(noise)
    with pytest.raises(InputError, match=r"expected a face in 0\.\.0, got 2"):
        recognizer.explain(portrait, face=2)
    with pytest.raises(InputError, match="no such file"):
        recognizer.explain("absent.jpg")


def test_one_face_or_all_faces_are_explained(
    recognizer: mien.Recognizer, portrait: ImageArray
) -> None:
    pair = np.concatenate([portrait, portrait[:, ::-1]], axis=1)
    assert [e.prediction.face_id for e in recognizer.explain(pair, method="cam")] == [0, 1]
    assert [e.prediction.face_id for e in recognizer.explain(pair, face=1, method="cam")] == [1]


def test_the_module_function_takes_options_of_both() -> None:
    e = mien.explain(PORTRAIT, detector="haar", method="cam", target="fear")[0]
    assert (e.method, e.target) == ("cam", "fear")
    with pytest.raises(TypeError, match="colour"):
        mien.explain(PORTRAIT, detector="haar", colour="red")  # type: ignore[call-arg]


def test_the_sentence_names_the_class_its_score_and_the_main_regions(
    recognizer: mien.Recognizer,
) -> None:
    e = recognizer.explain(PORTRAIT)[0]
    first = max(e.regions, key=lambda name: e.regions[name])
    share = e.regions[first] / e.total
    word = "mostly" if share >= 0.5 else "above all"
    p = brief(e.prediction.emotions["happy"])
    assert e.sentence.startswith(f"happy, {p}: {word} the {first}, then the ")
    assert f"({first} {e.regions[first]:+.1f}, " in e.sentence
    assert e.sentence.endswith(f" of {e.total:+.1f} logits)")
    denied = recognizer.explain(PORTRAIT, target="sad")[0]
    assert "against it" in denied.sentence
    assert denied.sentence.startswith(f"sad, < 0.01 (the answer is happy, {p})")
    pair = recognizer.explain(PORTRAIT, target="happy", against="surprise")[0]
    assert pair.sentence.startswith("happy rather than surprise")
    turned = recognizer.explain(PORTRAIT, target="surprise", against="happy")[0]
    how = [re.search(r"interact most \([^)]*\): ([^.]*)", e.paragraph) for e in (pair, turned)]
    assert how[0] is not None
    assert how[1] is not None
    assert how[0][1] == how[1][1]  # the same numbers, their sign turned


def test_a_background_that_carries_too_much_is_warned_of(recognizer: mien.Recognizer) -> None:
    e = recognizer.explain(PORTRAIT)[0]
    assert e.warning is None
    loud = changed(e, {**e.regions, "background": 50.0}, value=e.value + 50.0)
    assert loud.warning is not None
    assert "background carries" in loud.warning
    assert "about the face alone" in loud.warning
    assert "looks beside the face" in str(replace(loud, about_target=False).warning)
    assert loud.to_dict()["warning"] == loud.warning
    assert loud.picture().shape[0] > e.picture().shape[0]


def test_explanations_are_saved_whole(recognizer: mien.Recognizer, tmp_path: Path) -> None:
    found = recognizer.explain(PORTRAIT)
    picture, record = found.save(tmp_path / "collins.mien.png")
    assert record.name == "collins.mien.json"
    with Image.open(picture) as image:
        assert image.size[0] > 1000
    saved = json.loads(record.read_text(encoding="utf-8"))[0]
    assert saved == found[0].to_dict()
    assert np.sum(saved["values"]) == pytest.approx(saved["total"], abs=1e-3)
    assert saved["prediction"]["dominant_emotion"] == "happy"
    with pytest.raises(InputError, match=r"ending in \.png"):
        found.save(tmp_path / "collins.jpg")
    with pytest.raises(InputError, match="no such folder"):
        found.save(tmp_path / "absent" / "collins.png")
    (tmp_path / "taken.mien.json").mkdir()
    with pytest.raises(InputError, match="got a folder"):
        found.save(tmp_path / "taken.png")
    assert not (tmp_path / "taken.png").exists()
    with pytest.raises(InputError, match="got none"):
        mien.Explanations(()).save(tmp_path / "empty.png")


def test_a_list_with_a_bad_image_keeps_what_was_explained(recognizer: mien.Recognizer) -> None:
    with pytest.raises(InputError, match="no such file"):
        recognizer.explain(["absent.jpg", PORTRAIT], method="cam", on_error="raise")
    found = recognizer.explain([PORTRAIT, "absent.jpg"], method="cam")
    assert len(found) == 1
    assert [row.input for row in found.errors] == ["absent.jpg"]


def test_an_image_that_opencv_refuses_is_a_row(
    recognizer: mien.Recognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    def refuse(_: ImageArray) -> list[object]:
        raise cv2.error("resize !dsize.empty()")

    monkeypatch.setattr(recognizer.detector, "detect", refuse)
    (row,) = recognizer.predict([PORTRAIT])
    assert row.error is not None
    assert "dsize" in row.error


def test_a_slice_of_rows_is_still_rows(rows: mien.Predictions) -> None:
    assert isinstance(rows[:1], mien.Predictions)
    assert rows[:1].text("csv").splitlines() == rows.text("csv").splitlines()[:2]


def test_columns_do_not_depend_on_what_was_found(
    recognizer: mien.Recognizer, noise: ImageArray, rows: mien.Predictions
) -> None:
    header = recognizer.predict(noise).text("csv").splitlines()[0]
    assert header == rows.text("csv").splitlines()[0]


def test_names_that_are_not_utf_8_are_written_and_read(tmp_path: Path) -> None:
    rows = mien.Predictions((mien.Prediction("m\udcfcller.jpg", error="m\udcfcller.jpg: bad"),))
    assert b"m\xfcller" in rows.save(tmp_path / "rows.csv").read_bytes()
    assert mien.Predictions.load(tmp_path / "rows.csv").rows == rows.rows
    for name in ("rows.jsonl", "rows.parquet"):
        assert rows.save(tmp_path / name).exists()


def test_results_show_themselves_in_notebooks(recognizer: mien.Recognizer) -> None:
    rows = mien.Predictions((*recognizer.predict(PORTRAIT), mien.Prediction("<b>", error="bad")))
    html = rows._repr_html_()
    assert "&lt;b&gt;" in html
    assert "happy" in html
    assert mien.Predictions(())._repr_html_() == "<p>no rows</p>"
    assert "data:image/png;base64," in recognizer.explain(PORTRAIT, method="cam")._repr_html_()


@pytest.fixture
def rows(recognizer: mien.Recognizer, noise: ImageArray) -> mien.Predictions:
    return recognizer.predict([PORTRAIT, noise, b"damaged"])


def test_every_format_holds_every_row(rows: mien.Predictions, tmp_path: Path) -> None:
    table = list(csv.DictReader(io.StringIO(rows.text("csv"))))
    assert [r["dominant_emotion"] for r in table] == ["happy", "", ""]
    assert float(table[0]["happy"]) == rows[0].emotions["happy"]
    assert table[2]["error"] == rows[2].error
    lines = [json.loads(line) for line in rows.text("jsonl").splitlines()]
    assert lines == json.loads(rows.text("json")) == rows.to_dict()
    path = rows.save(tmp_path / "rows.parquet")
    columns = pq.read_table(path).to_pydict()
    assert columns["face_id"] == [0, None, None]
    assert columns["happy"][0] == rows[0].emotions["happy"]
    assert not list(tmp_path.glob("*.part"))


def test_names_and_places_that_cannot_be_written_are_refused(
    rows: mien.Predictions, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"\.csv"):
        rows.save(tmp_path / "rows.xlsx")
    with pytest.raises(InputError, match="cannot be written"):
        rows.save(tmp_path / "absent" / "rows.csv")
    assert not list(tmp_path.glob("*.part"))
    with pytest.raises(InputError, match="not text"):
        rows.text("parquet")
    with pytest.raises(UnknownNameError, match="did you mean 'csv'"):
        rows.text("cvs")
