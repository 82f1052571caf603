from __future__ import annotations

import numpy as np
import pytest

import mien
from mien.types import FloatArray, ImageArray
from mien.vision.landmarks import INDEX
from mien.vision.measures import MEASURES, RIGID, head_pose, measures


def turned(roll: float, yaw: float, pitch: float, away: float = np.inf) -> FloatArray:
    """The mean head's points ``[24, 2]``, turned, seen from ``away`` eye distances."""
    r, y, p = np.radians([roll, -yaw, -pitch])
    about_z = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    solid = np.array(list(RIGID.values())) @ (about_z @ about_y @ about_x).T
    nearer = np.ones(len(solid)) if np.isinf(away) else away / (away + solid[:, 2])
    points = np.full((24, 2), np.nan)
    points[[INDEX[name] for name in RIGID]] = 80 * solid[:, :2] * nearer[:, None] + 200
    return points


def test_known_turns_of_a_head_are_found() -> None:
    rng = np.random.default_rng(0)
    for away, most in ((np.inf, 0.1), (12.0, 4.0)):
        for _ in range(100):
            known = rng.uniform([-179, -60, -40], [179, 60, 40])
            roll, yaw, pitch = known.tolist()
            *found, unit = head_pose(turned(roll, yaw, pitch, away))
            gap = (np.array(found) - known + 180) % 360 - 180
            assert np.abs(gap).max() < most, (known, found)
            assert unit == pytest.approx(80, rel=0.02 if np.isinf(away) else 0.15)


def test_yaw_is_towards_the_side_to_which_the_nose_goes() -> None:
    right, up = turned(0, 30, 0), turned(0, 0, 20)
    nose, front = INDEX["nose_tip"], turned(0, 0, 0)
    assert right[nose, 0] > front[nose, 0]
    assert up[nose, 1] < front[nose, 1]


def test_distances_do_not_depend_on_how_the_face_lies_in_the_photo(
    recognizer: mien.Recognizer, portrait: ImageArray
) -> None:
    marks = recognizer.crops(portrait)[0].face.landmarks
    assert marks is not None
    turn = 3 * np.array([[0.6, -0.8], [0.8, 0.6]])
    one, other = measures(marks), measures(marks @ turn.T + 500)
    assert other.pop("head_roll") - one.pop("head_roll") == pytest.approx(53.13, abs=0.01)
    assert other == pytest.approx(one)
    assert set(one) | {"head_roll", "eye_opening", "mouth_opening"} == set(MEASURES)
    assert one["lip_corner_height"] > 0.05  # she smiles
