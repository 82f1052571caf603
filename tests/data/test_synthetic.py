from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.commands.main import app
from mien.data.check import check
from mien.data.scene import EVIDENCE
from mien.data.synthetic import face, faces
from mien.emotions import SEVEN, SIX
from mien.types import InputError, UnknownNameError
from mien.vision.landmarks import LANDMARKS
from mien.vision.regions import REGIONS, region_labels

#: Pixels by which evidence may reach beyond the template's outlines of its regions.
NEAR = 2


@pytest.mark.parametrize("label", SIX)
def test_evidence_lies_in_its_regions(label: str) -> None:
    import cv2

    for number in range(3):
        drawn = face(label, subject=number, number=number, size=64)
        # the face moves: its regions are those at rest and those of the expression together
        rest = face("neutral", subject=number, number=number, size=64)
        allowed = np.zeros((64, 64), dtype=np.uint8)
        for points in (drawn.landmarks, rest.landmarks):
            regions = region_labels(points, 64)
            allowed |= np.isin(regions, [REGIONS.index(n) for n in drawn.evidence]).astype(np.uint8)
        wide = cv2.dilate(allowed, np.ones((2 * NEAR + 1, 2 * NEAR + 1), np.uint8))
        inside = (drawn.mask & (wide > 0)).sum() / drawn.mask.sum()
        assert inside > 0.9, (label, number, inside)


@pytest.mark.parametrize("label", SIX)
def test_outside_the_evidence_the_face_is_at_rest(label: str) -> None:
    moved = face(label, subject=3, number=5)
    rest = face("neutral", subject=3, number=5)
    changed = np.abs(moved.image.astype(int) - rest.image).max(axis=2)
    assert changed[~moved.mask].max() < 6
    assert moved.mask.sum() > 20


def test_smile_is_in_the_mouth_alone() -> None:
    assert EVIDENCE["happy"] == ("mouth",)
    smile = face("happy", subject=2)
    mouth = smile.landmarks[[LANDMARKS.index(n) for n in ("mouth_left", "mouth_right")], 1]
    rows = np.flatnonzero(smile.mask.any(axis=1))
    assert rows.min() > mouth.min() - 8


def test_neutral_holds_all_evidence() -> None:
    rest = face("neutral", subject=1)
    for label in SEVEN[:-1]:
        assert not (face(label, subject=1).mask & ~rest.mask).any()


def test_same_seed_same_faces_and_people_differ() -> None:
    one, same, other = face("sad"), face("sad"), face("sad", subject=1)
    np.testing.assert_array_equal(one.image, same.image)
    assert (one.image != other.image).any()
    assert len({drawn.subject for drawn in faces(21, people=3)}) == 3


@pytest.mark.parametrize("size", [24, 48, 112])
def test_landmarks_lie_in_the_picture(size: int) -> None:
    for drawn in faces(7, size=size):
        assert drawn.image.shape == (size, size, 3)
        assert (drawn.landmarks > -0.2 * size).all()
        assert (drawn.landmarks < 1.2 * size).all()


def test_errors() -> None:
    with pytest.raises(UnknownNameError, match="happy"):
        face("happi")
    with pytest.raises(InputError, match="24 to 512"):
        face("happy", size=8)


def test_expressions_can_be_told_apart() -> None:
    """A nearest-centroid rule on the drawn points of new people beats chance by far."""
    drawn = list(faces(105, people=15, size=48))
    labels = np.array([one.label for one in drawn])
    points = np.array([_frame(one.landmarks) for one in drawn])
    train = np.arange(105) < 70
    centres = {n: points[train & (labels == n)].mean(axis=0) for n in SEVEN}
    guess = [min(SEVEN, key=lambda n: float(np.abs(p - centres[n]).sum())) for p in points[~train]]
    assert np.mean(np.array(guess) == labels[~train]) > 0.7


def _frame(points: np.ndarray) -> np.ndarray:
    eyes = points[[LANDMARKS.index("eye_left_outer"), LANDMARKS.index("eye_right_outer")]]
    across = eyes[1] - eyes[0]
    turn = np.array([[across[0], across[1]], [-across[1], across[0]]]) / (across @ across)
    return np.asarray((points - eyes.mean(axis=0)) @ turn.T).ravel()


def test_command_writes_masks_and_honest_splits(tmp_path: Path) -> None:
    path = tmp_path / "faces.parquet"
    done = CliRunner().invoke(
        app, ["data", "synth", "-o", str(path), "--images", "42", "--people", "6", "--size", "32"]
    )
    assert done.exit_code == 0, done.output
    table = pq.read_table(path)
    assert table.num_rows == 42
    assert set(table.column("split").to_pylist()) == {"train", "val", "test"}
    masks = table.column("mask").to_pylist()
    with Image.open(io.BytesIO(masks[3]["bytes"])) as mask:
        assert mask.size == (32, 32)
    assert table.column("evidence").to_pylist()[3] == ["mouth"]
    found = check(path, near=False)
    assert not found.leaks
    assert found.subjects == 6
