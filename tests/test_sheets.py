"""Several methods on one face, contrasts, outlines, and explanations in words."""

from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest
from PIL import Image

import mien
from mien.emotions import COLOURS
from mien.explainers import queries, supported
from mien.results import draw
from mien.results.drawing import Bar, Drawing, Text, length
from mien.results.sheets import told_apart
from mien.types import FloatArray, ImageArray, InputError, UnknownNameError
from mien.vision.regions import region_map
from tests.conftest import PORTRAIT
from tests.explaining import changed
from tests.test_cli import one_line

Run = Callable[..., "CompletedProcess[str]"]
SEVERAL = ["cam", "dncshap:levels=3", "regions"]


@pytest.fixture(scope="module")
def several(crops_only: mien.Recognizer, face_crop: ImageArray) -> mien.Explanations:
    return crops_only.explain(face_crop, method=SEVERAL)


def test_several_methods_follow_one_another_with_their_options(
    several: mien.Explanations, crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    assert [e.method for e in several] == ["cam", "dncshap", "regions"]
    assert several[1].players == 8
    alone = crops_only.explain(face_crop, method="dncshap", options={"levels": 3})[0]
    np.testing.assert_array_equal(several[1].values, alone.values)


def test_their_picture_is_one_sheet_for_the_face(
    several: mien.Explanations, crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    one, all_three = several[:1].picture(), several.picture()
    assert 1000 <= all_three.shape[1] <= 1200
    assert all_three.shape[0] < 2 * one.shape[0]
    two_faces = crops_only.explain([face_crop, face_crop], method=SEVERAL[:2], names=["a", "b"])
    pair = crops_only.explain(face_crop, method=SEVERAL[:2], names=["a"])
    assert two_faces.picture().shape[0] == 2 * pair.picture().shape[0]


def inside(e: mien.Explanation) -> FloatArray:
    """The landmarks that lie in the crop; a chin may lie below it."""
    size = len(e.labels)
    kept = ((e.landmarks > -0.5) & (e.landmarks < size - 0.5)).all(axis=1)
    assert kept.sum() > 20
    return e.landmarks[kept]


def test_landmarks_are_drawn_on_request_and_where_they_are(several: mien.Explanations) -> None:
    for found in (several[:1], several):
        plain, dotted = found.picture(), found.picture(landmarks=True)
        assert plain.shape == dotted.shape
        down, across = np.nonzero((plain != dotted).any(axis=2))
        yellow = (np.abs(dotted.astype(int) - draw.PLACE).sum(axis=2) < 30).sum()
        count = len(inside(found[0]))
        assert count * 6 < yellow < len(down) < count * 70
        seen = np.array([np.ptp(across), np.ptp(down)])
        side = 264 if len(found) == 1 else 200
        dot = 6  # pixels, with its ring
        expected = np.ptp(inside(found[0]), axis=0) * side / len(found[0].labels) + dot
        np.testing.assert_allclose(seen, expected, atol=3)


@pytest.mark.parametrize("kind", ["svg", "pdf"])
def test_dots_are_lines_of_no_length_with_round_ends(
    several: mien.Explanations, kind: str, tmp_path: Path
) -> None:
    found, _ = several[:1].save(tmp_path / f"why.{kind}", landmarks=True)
    content = found.read_bytes()
    if kind == "svg":
        paths = [e for e in ET.fromstring(content).iter() if e.tag.endswith("path")]
        (core,) = [e for e in paths if e.get("stroke") == "#f0e442"]
        assert core.get("d", "").count("M") == len(inside(several[0]))
        assert core.get("stroke-linecap") == "round"
    else:
        drawn = zlib.decompress(content.split(b"stream\n")[1].split(b"\nendstream")[0])
        (core,) = re.findall(rb"0\.941 0\.894 0\.259 RG 4 w 1 J\n?(.*)S", drawn)
        assert core.count(b" m ") == len(inside(several[0]))


def test_all_is_every_method_that_can_answer_the_question(crops_only: mien.Recognizer) -> None:
    model = crops_only.model
    assert [q.method for q in queries(model, "all")] == supported(model)
    assert supported(model, "sad") == supported(model)  # all of its methods have a target


def test_a_network_that_looks_the_same_for_all_is_left_out_of_a_contrast() -> None:
    pytest.importorskip("timm")
    from mien.models.torch import create
    from mien.models.torch.model import TorchModel
    from mien.models.torch.registry import shrunk

    net, spec = create("vit-small", classes=6, **shrunk("vit-small"))
    model = TorchModel(net, spec, ("happy", "surprise", "sad", "angry", "disgust", "fear"))
    left_out = set(supported(model)) - set(supported(model, "sad"))
    assert left_out == {"attention", "rollout", "activations"}


def test_a_baseline_goes_to_the_methods_that_take_one(
    crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    cam, regions = crops_only.explain(face_crop, method=["cam", "regions"], baseline="black")
    assert regions.baseline == "black"
    assert cam.baseline == "none (bias)"


@pytest.mark.parametrize(
    ("how", "error", "text"),
    [
        ({"method": ["cam", "regoins"]}, UnknownNameError, "did you mean 'regions'"),
        ({"method": ["cam", "cam"]}, InputError, "each method once"),
        ({"method": []}, InputError, "each method once, got none"),
        ({"method": ["cam", "dncshap:level=3"]}, UnknownNameError, "did you mean 'levels'"),
        ({"method": ["cam", "dncshap:levels=x"]}, InputError, "expected a whole number"),
        ({"method": SEVERAL, "options": {"levels": 3}}, InputError, "for one method"),
    ],
)
def test_wrong_calls_are_refused(
    how: dict[str, object],
    error: type[Exception],
    text: str,
    crops_only: mien.Recognizer,
    face_crop: ImageArray,
) -> None:
    with pytest.raises(error, match=text):
        crops_only.explain(face_crop, **how)  # type: ignore[arg-type]  # as a wrong caller would


def test_the_paragraph_says_the_numbers_of_the_record(
    crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    e = crops_only.explain(face_crop)[0]
    text = e.paragraph
    assert text == e.to_dict()["paragraph"]
    assert f"raises the score of happy by {e.total:.1f} logits" in text
    for name, value in re.findall(r"(\w+) ([+-]\d\.\d)[,.]", text):
        assert f"{e.regions[name]:+.1f}" == value
    a, b, together = re.findall(r"The (\w+) and the (\w+) interact most \(([+-]\d\.\d)\)", text)[0]
    off_diagonal = [abs(v) for x, row in e.interactions.items() for y, v in row.items() if x != y]
    assert f"{e.interactions[a][b]:+.1f}" == together
    assert abs(e.interactions[a][b]) == max(off_diagonal)
    assert f"{e.background_share:.0%} of the evidence lies on the background" in text
    assert f"{e.areas['background']:.0%} of the crop" in text


def test_the_paragraph_says_what_was_asked(
    crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    denied = crops_only.explain(face_crop, target="sad")[0].paragraph
    assert "what speaks for sad, which it does not answer" in denied
    assert "lowers the score of sad" in denied
    pair = crops_only.explain(face_crop, target="fear", against="surprise")[0].paragraph
    assert "why fear rather than surprise" in pair
    assert "the score of fear above surprise" in pair
    loose = crops_only.explain(face_crop, method="occlusion")[0].paragraph
    assert "need not add up" in loose
    cam = crops_only.explain(face_crop, method="cam")[0].paragraph
    assert "the network's own bias" in cam


def test_sentences_stay_true_where_little_is_left(
    crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    e = crops_only.explain(face_crop)[0]
    few = {"eyes": 0.3, "mouth": -0.27, "nose": -0.01}
    even = changed(e, few, base=0.0, value=0.02, interactions=None)
    assert even.sentence.endswith("all parts +0.02 logits)")
    assert "this face hardly moves the score of happy: eyes +0.3, mouth -0.3." in even.paragraph
    assert "For their size the eyes weigh most" in even.paragraph
    still = changed(even, {"eyes": 0.02})
    assert still.sentence.endswith("mostly the eyes (eyes +0.02 of +0.02 logits)")
    assert "hardly moves the score of happy; no region does much." in still.paragraph
    looked = changed(even, {"eyes": 0.5, "mouth": 0.3, "nose": 0.1}, signed=False)
    assert "for their size the eyes have most evidence" in looked.sentence


def test_values_that_do_not_add_up_are_not_told_as_shares_of_the_score(
    crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    e = crops_only.explain(face_crop, method="occlusion")[0]
    first = max(e.regions, key=lambda name: abs(e.regions[name]))
    assert f"by {e.total:.1f} logits. The largest values of this method: {first}" in e.paragraph


def test_outlines_follow_the_parts_at_any_size() -> None:
    labels = np.array([[0, 0, 1, 1]] * 4)
    lined = draw.outlined(np.full((40, 40, 3), 255, np.uint8), labels)
    dark = np.all(lined < 255, axis=2)
    np.testing.assert_array_equal(np.argwhere(dark)[:, 1], 19)
    assert dark.sum() == 40


def test_a_sheet_is_a_picture_of_any_size_or_a_page_of_text_and_lines(
    crops_only: mien.Recognizer, face_crop: ImageArray, tmp_path: Path
) -> None:
    found = crops_only.explain([face_crop], method="cam", names=["of (two)\\\n\u4e2d.jpg"])
    for scale in (1, 3):
        found.save(tmp_path / "a.png", scale=scale)
        with Image.open(tmp_path / "a.png") as image:
            assert image.info["dpi"][0] == pytest.approx(96 * scale, abs=0.1)
            size = image.size
    assert size[0] == 3 * found.picture().shape[1]
    svg = found.save(tmp_path / "a.svg")[0].read_text()
    root = ET.fromstring(svg)
    texts = [e.text for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert f"{found[0].sentence}" in " ".join(map(str, texts))
    assert len(list(root.iter("{http://www.w3.org/2000/svg}image"))) == 3
    page = found.save(tmp_path / "a.pdf")[0].read_bytes()
    (start,) = re.findall(rb"startxref\n(\d+)\n%%EOF\n$", page)
    assert page[int(start) :].startswith(b"xref\n0 ")
    places = [int(p) for p in re.findall(rb"(\d{10}) 00000 n ", page[int(start) :])]
    for i, place in enumerate(places, 1):
        assert page[place:].startswith(b"%d 0 obj\n" % i)
    drawn = zlib.decompress(page.split(b"stream\n")[1].split(b"\nendstream")[0])
    assert rb"(of \050two\051\134 ?.jpg: model mien" in drawn
    assert b"(probability of each expression) Tj" in drawn
    with pytest.raises(InputError, match=r"scale: expected above 0 and at most \d"):
        found.save(tmp_path / "a.png", scale=100)
    with pytest.raises(InputError, match=r"\.png, \.svg or \.pdf"):
        found.save(tmp_path / "a.jpg")


def test_outlines_of_regions_meet_and_have_no_steps(
    crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    e = crops_only.explain(face_crop, method="cam")[0]
    size = len(e.labels)
    drawn = np.full((960, 960), -1)
    for i, name in enumerate(e.regions):  # even-odd, as a page fills them
        layer = np.zeros_like(drawn, dtype=np.uint8)
        for line in e.outlines.get(name, ()):
            one = np.zeros_like(layer)
            cv2.fillPoly(one, [np.round(line * 960 - 0.5).astype(np.int32)], 1)
            layer ^= one
        drawn[layer == 1] = i
    fine = region_map(e.landmarks, size, 960)
    assert (drawn == fine).mean() > 0.99
    coarse = fine.reshape(size, 960 // size, size, 960 // size)[:, 10, :, 10]
    assert (coarse == e.labels).mean() > 0.97  # the pixels that the numbers are of


def test_a_group_photo_has_an_overview_with_numbers(
    face_crop: ImageArray, recognizer: mien.Recognizer
) -> None:
    photo = np.full((700, 2400, 3), 200, np.uint8)
    for i in range(3):
        photo[100:292, 300 + 700 * i : 492 + 700 * i] = face_crop
    found = recognizer.explain(photo, face=1, method="cam")
    overview = found.overviews["image 0"]
    assert [row.face_id for row in overview.rows] == [0, 1, 2]
    assert overview.image.shape == (467, 1600, 3)
    alone = recognizer.explain(face_crop, method="cam")
    assert not alone.overviews
    above = found.picture()[: found.picture().shape[0] - alone.picture().shape[0]]
    orange = (above == COLOURS["happy"]).all(axis=2)
    columns = np.flatnonzero(orange.any(axis=0))
    assert 1 + np.count_nonzero(np.diff(columns) > 50) == 3


def test_a_share_below_zero_has_a_bar_to_the_left() -> None:
    texts = {"a": "-0.35", "b": "0.50"}
    marks = draw.bars({"a": -0.35, "b": 0.5}, 300, texts=texts, names=80).marks
    a, b, zero = [mark for mark in marks if isinstance(mark, Bar)]
    assert a.x0 < a.x1 == pytest.approx(zero.x0, abs=0.01)
    assert b.x0 == pytest.approx(zero.x0, abs=0.01)
    assert (b.x1 - b.x0) / (a.x1 - a.x0) == pytest.approx(0.5 / 0.35, abs=0.01)


def test_a_contrast_names_both_expressions_at_the_ends_of_its_legend() -> None:
    named = draw.legend(264, 1.0, "logits", ends=("sad", "fear")).raster()
    plain = draw.legend(264, 1.0, "logits").raster()
    assert (named != plain).any()
    assert (named[:14] == plain[:14]).all()  # the colours are the same


def written(drawing: Drawing) -> list[str]:
    return [mark.text for mark in drawing.marks if isinstance(mark, Text)]


@pytest.mark.parametrize(
    ("mouth", "eyes", "numbers"),
    [
        (2.5, -0.004, ("+2.50", "-0.00")),
        (0.1, -0.02, ("+0.10", "-0.02")),
        (-0.0384, 0.0021, ("-0.038", "+0.002")),
        (-0.0038, 0.0021, ("-0.0038", "+0.0021")),
        (0.000312, -0.00004, ("+0.00031", "-0.00004")),
        (4.2e-5, -7e-5, ("+4.2e-05", "-7.0e-05")),
    ],
)
def test_numbers_of_a_sheet_show_two_digits_of_the_largest(
    mouth: float,
    eyes: float,
    numbers: tuple[str, str],
    crops_only: mien.Recognizer,
    face_crop: ImageArray,
) -> None:
    e = crops_only.explain(face_crop, method="regions")[0]
    total = mouth + eyes
    small = changed(e, {"mouth": mouth, "eyes": eyes}, base=0.0, value=total, regional=True)
    drawn = small.drawing()
    texts = written(drawn)
    assert set(numbers) <= set(texts)
    first = max(numbers, key=lambda number: abs(float(number))).lstrip("+-")
    assert {f"against -{first}", f"+{first} for"} <= set(texts)
    digits = len(first) - 2
    form = f"+.{digits}f" if "e" not in first else "+.1e"
    assert f"regions, logits (sum {total:{form}})" in texts


def test_numbers_of_another_unit_have_decimals_of_their_own(
    crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    e = crops_only.explain(face_crop, method="cam")[0]
    fine = changed(e, {"mouth": 0.5}, players=e.values.size)  # many small values per pixel
    per_pixel = float(np.abs(fine.values).max())
    assert per_pixel < 0.005
    texts = written(fine.drawing())
    assert "+0.50" in texts
    (label,) = [text for text in texts if text.startswith("against ")]
    assert float(label.split()[1]) == pytest.approx(-per_pixel, rel=0.05)


def test_rounding_is_not_written_as_a_scale_of_colours(
    crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    e = changed(crops_only.explain(face_crop)[0], {"mouth": 3e-5}, value=3e-5, base=0.0)
    assert e.empty
    assert "+0.00 for" in written(e.drawing())


@pytest.mark.parametrize("value", [5.5, -0.0038, 0.000311, -3e-7])
def test_long_numbers_leave_the_bars_room(value: float) -> None:
    marks = draw.bars({"a": value, "b": -value}, 264).marks
    *bars, _ = [mark for mark in marks if isinstance(mark, Bar)]
    numbers = [mark for mark in marks if isinstance(mark, Text) and mark.text[0] in "+-"]
    left = min(mark.x - length(mark.text, mark.size) for mark in numbers)
    assert max(bar.x1 for bar in bars) < left
    assert min(bar.x0 for bar in bars) >= 88


def footers(drawing: Drawing) -> list[str]:
    return [text.partition(": model ")[0] for text in written(drawing) if ": model " in text]


@pytest.mark.parametrize("methods", [["cam"], ["cam", "regions"]])
def test_footers_tell_photos_of_one_name_apart(
    methods: list[str], crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    names = ["s/1/x.png", "s/2/x.png", "s/2/y.png"]
    found = crops_only.explain([face_crop] * 3, method=methods, names=names)
    assert footers(found.drawing()) == ["1/x.png", "2/x.png", "y.png"]
    assert footers(found[0].drawing()) == ["x.png"]


def test_photos_are_told_apart_by_as_many_folders_as_it_takes() -> None:
    assert told_apart(["a/1/x.jpg", "b/1/x.jpg", "b/2/x.jpg"]) == {
        "a/1/x.jpg": "a/1/x.jpg",
        "b/1/x.jpg": "b/1/x.jpg",
        "b/2/x.jpg": "b/2/x.jpg",
    }
    here = Path.cwd().name
    assert told_apart(["x.jpg", "a/x.jpg"]) == {"x.jpg": f"{here}/x.jpg", "a/x.jpg": "a/x.jpg"}
    assert set(told_apart(["a/x.jpg", "b/../a/x.jpg"]).values()) == {"x.jpg"}
    assert told_apart(["/x.jpg", "/a/x.jpg"]) == {"/x.jpg": "x.jpg", "/a/x.jpg": "a/x.jpg"}
    assert told_apart(["image 0", ""]) == {"image 0": "image 0", "": ""}


def test_the_command_tells_photos_of_one_name_apart(
    run: Run, face_crop: ImageArray, tmp_path: Path
) -> None:
    for name in ("day1/p.png", "day2/p.png", "day2/q.png"):
        photo = tmp_path / "study" / name
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face_crop).save(photo)
    how = (str(tmp_path / "study"), "--detector", "none", "-m", "cam", "-f", "svg")

    def sheets_in(folder: Path) -> dict[str, list[str]]:
        return {
            path.relative_to(folder).as_posix(): re.findall(r">([^<>]*): model ", path.read_text())
            for path in folder.rglob("*.svg")
        }

    done = run("explain", *how, "-o", f"{tmp_path / 'out'}/")
    assert done.returncode == 0, done.stderr
    assert sheets_in(tmp_path / "out") == {
        "day1-p.png.mien.svg": ["day1/p.png"],
        "day2-p.png.mien.svg": ["day2/p.png"],
        "q.mien.svg": ["q.png"],
    }
    assert (tmp_path / "out" / "day2-p.png.mien.json").is_file()
    done = run("explain", *how)
    assert done.returncode == 0, done.stderr
    assert sheets_in(tmp_path / "study") == {
        "day1/p.mien.svg": ["day1/p.png"],
        "day2/p.mien.svg": ["day2/p.png"],
        "day2/q.mien.svg": ["q.png"],
    }


def test_the_command_compares_methods(run: Run, tmp_path: Path) -> None:
    photo = Path(shutil.copy(PORTRAIT, tmp_path / "photo.jpg"))
    done = run("explain", str(photo), "-m", "cam", "-m", "rise:samples=50", "--seed", "4")
    assert done.returncode == 0, done.stderr
    assert "rise" in done.stdout
    records = json.loads((tmp_path / "photo.mien.json").read_text())
    assert [r["method"] for r in records] == ["cam", "rise"]
    assert records[1]["seed"] == 4
    with Image.open(tmp_path / "photo.mien.png") as image:
        assert image.size[0] >= 1000
    for args, text in (
        (("-m", "all", "-m", "cam"), "'all' alone"),
        (("-m", "regions", "-m", "cam", "--option", "levels=3"), "-m dncshap:levels=4"),
        (("-m", "all", "--option", "levels=3"), "-m dncshap:levels=4"),
    ):
        failed = run("explain", str(photo), *args)
        assert failed.returncode == 2
        assert text in one_line(failed)
