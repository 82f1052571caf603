"""Mean maps on the registered face: the registration, the averages, the files, the refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import mien
from mien.judging import atlas as a
from mien.judging.atlas_pictures import write
from mien.judging.sampling import Sampled, sample_faces
from mien.types import InputError, UnknownNameError
from mien.vision.regions import REGIONS


@pytest.fixture(scope="module")
def faces(drawn: Path, crops_only: mien.Recognizer) -> list[Sampled]:
    labels = ["happy", "neutral", "angry"]
    return sample_faces(drawn, crops_only, n=6, split="train", labels=labels)


@pytest.fixture(scope="module")
def found(faces: list[Sampled], crops_only: mien.Recognizer) -> a.Atlas:
    return a.atlas(crops_only, faces, methods=["cam", "regions"], shown=2)


def test_registration_carries_each_landmark_to_its_place() -> None:
    rng = np.random.default_rng(0)
    onto = rng.uniform(0.2, 0.8, (24, 2))
    own = onto + rng.normal(0, 0.02, (24, 2))
    places = a.registration(own, onto, 200)
    for target, source in zip(onto, own, strict=True):
        x, y = (target * 200).astype(int)
        np.testing.assert_allclose(places[y, x], source, atol=0.02)
    corners = places[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(corners, [[0, 0], [1, 0], [0, 1], [1, 1]], atol=0.01)


def test_a_map_is_looked_up_between_its_pixels() -> None:
    ramp = np.tile(np.arange(8.0), (8, 1))
    places = np.array([[[0.5, 0.5], [0.25, 0.9]]])
    np.testing.assert_allclose(a.warped(ramp, places), [[3.5, 1.5]], atol=1e-6)


def test_only_right_answers_are_averaged(found: a.Atlas, faces: list[Sampled]) -> None:
    for name, (seen, right) in found.counts.items():
        own = [f for f in faces if f.truth == name]
        kept = [f for f in own if f.prediction.dominant_emotion == name]
        assert (seen, right) == (len(own), len(kept))
        assert (name in found.means["regions"]) == bool(kept)
        if kept:
            assert found.means["regions"][name].faces == len(kept)
    assert list(found.rows) == ["regions", "cam"]
    happy = found.means["regions"]["happy"]
    assert happy.values.shape == (a.SIZE, a.SIZE)
    assert tuple(happy.regions) == REGIONS
    assert all(low <= value <= high for value, low, high in happy.regions.values())
    # a smile is drawn at the mouth, and the mean map is brightest there
    mouth = found.labels == REGIONS.index("mouth")
    assert happy.values[mouth].mean() > 2 * happy.values[~mouth].mean()


def test_the_mean_of_one_face_is_its_own_map(
    faces: list[Sampled], crops_only: mien.Recognizer
) -> None:
    one = next(f for f in faces if f.prediction.dominant_emotion == f.truth)
    found = a.atlas(crops_only, [one], methods=["cam"])
    mean = found.means["cam"][one.truth]
    # its own landmarks are the mean layout, so nothing is moved
    points = one.crop.landmarks
    direct = a.warped(one.crop.image.astype(float), a.registration(points, points, a.SIZE))
    np.testing.assert_allclose(found.face, direct, atol=1)
    assert mean.faces == 1
    assert mean.regions["nose"][0] == mean.regions["nose"][1] == mean.regions["nose"][2]


def test_files_hold_the_numbers_and_pictures_for_each_expression(
    found: a.Atlas, tmp_path: Path
) -> None:
    written = write(found, tmp_path)
    assert {p.name for p in written} == {
        "atlas.png",
        "atlas.json",
        *(f"{n}.png" for n in found.counts),
    }
    record = json.loads((tmp_path / "atlas.json").read_text())
    assert record["counts"]["happy"]["faces"] == found.counts["happy"][0]
    assert np.shape(record["means"]["cam"]["happy"]["values"]) == (a.SIZE, a.SIZE)
    with Image.open(tmp_path / "happy.png") as sheet:
        assert 1000 <= sheet.size[0] <= 1200
    assert all(len(kept) <= 2 for kept in found.examples.values())


def test_the_command_writes_the_same_twice_and_refuses_what_is_wrong(
    drawn: Path, tmp_path: Path
) -> None:
    from mien.commands.main import app

    call = ["atlas", "mien", str(drawn), "-n", "7", "--split", "train", "-m", "cam"]
    texts = []
    for name in ("one", "two"):
        done = CliRunner().invoke(app, [*call, "-o", str(tmp_path / name)])
        assert done.exit_code == 0, done.output
        assert "happy: 1 of 1 answered correctly" in done.output
        texts.append((tmp_path / name / "atlas.json").read_text())
    assert texts[0] == texts[1]
    (tmp_path / "file").touch()
    for extra, text in (
        (("-o", str(tmp_path / "file")), "expected a folder"),
        (("-m", "camm"), "did you mean 'cam'"),
        (("-n", "0"), "1 face or more"),
    ):
        failed = CliRunner().invoke(app, [*call, *extra])
        assert isinstance(failed.exception, InputError | UnknownNameError)
        assert text in str(failed.exception)


def test_a_model_that_is_never_right_has_no_atlas(
    faces: list[Sampled], crops_only: mien.Recognizer
) -> None:
    wrong = [f for f in faces if f.prediction.dominant_emotion != f.truth]
    with pytest.raises(InputError, match="answers rightly"):
        a.atlas(crops_only, wrong, methods=["cam"])
