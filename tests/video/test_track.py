"""mien.video.track, smooth and sampling: state that goes from frame to frame."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.types import Box, InputError, UnknownNameError
from mien.video.frames import Sampler, VideoOptions
from mien.video.smooth import Smoother
from mien.video.track import Tracker, appearance, overlap
from tests.video import clips

A, B = clips.drawn(3, "neutral"), clips.drawn(8, "neutral")


def scene(*faces: tuple[int, int, np.ndarray]) -> tuple[np.ndarray, list[Box]]:
    image = clips.empty()
    boxes: list[Box] = []
    for x, y, face in faces:
        image[y : y + clips.SIDE, x : x + clips.SIDE] = face
        boxes.append((x + 25.0, y + 40.0, 100.0, 100.0))
    return image, boxes


def test_two_people_who_pass_through_each_other_keep_their_ids() -> None:
    tracker = Tracker()
    for n in range(26):
        # on the same height: in the middle their boxes are the same
        image, boxes = scene((10 * n, 60, A), (250 - 10 * n, 60, B))
        ids = tracker.update(n / 25, image, boxes)
        assert ids == [0, 1], n


def test_order_of_detection_does_not_matter() -> None:
    tracker = Tracker()
    for n in range(10):
        image, boxes = scene((5 * n, 10, A), (200, 100, B))
        flipped = n % 2 == 1
        ids = tracker.update(n / 25, image, boxes[::-1] if flipped else boxes)
        assert ids == ([1, 0] if flipped else [0, 1])


def test_a_face_that_was_away_is_known_again_elsewhere_and_a_stranger_is_not() -> None:
    tracker = Tracker(memory=2.0)
    image, boxes = scene((0, 0, A))
    assert tracker.update(0.0, image, boxes) == [0]
    assert tracker.update(0.5, clips.empty(), []) == []
    image, boxes = scene((240, 140, B))
    assert tracker.update(1.0, image, boxes) == [1]
    image, boxes = scene((240, 140, B), (0, 140, clips.drawn(3, "happy")))
    assert tracker.update(1.2, image, boxes) == [1, 0]


def test_ids_are_never_given_twice() -> None:
    tracker = Tracker(memory=1.0)
    seen = []
    for n in range(5):
        image, boxes = scene((0, 0, A))
        seen += tracker.update(10.0 * n, image, boxes)  # long forgotten each time
    assert seen == [0, 1, 2, 3, 4]
    assert len(tracker.tracks) == 1


def test_appearance_tells_people_apart_better_than_expressions_and_light() -> None:
    box = (25.0, 40.0, 100.0, 100.0)
    look = appearance(A, box)
    for label in ("happy", "surprise", "angry"):
        same = float(look @ appearance(clips.drawn(3, label), box))
        assert same > float(look @ appearance(B, box))
    darker = (A * 0.6).astype(np.uint8)
    assert float(look @ appearance(darker, box)) == pytest.approx(1, abs=1e-3)
    assert appearance(A, (500.0, 500.0, 9.0, 9.0)).shape == look.shape  # out of the picture
    assert appearance(A, (10.0, 10.0, 5.0, 5.0)).shape == look.shape


def test_overlap_is_that_of_areas() -> None:
    boxes = np.array([[0.0, 0, 4, 4], [2, 2, 4, 4]])
    np.testing.assert_allclose(overlap(boxes, boxes), [[1, 4 / 28], [4 / 28, 1]])


@given(
    st.lists(st.floats(0.01, 1.0), min_size=1, max_size=30),
    st.floats(0.05, 5),
    st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_smoothed_values_stay_probabilities_whatever_the_steps(
    steps: list[float], seconds: float, seed: int
) -> None:
    smooth, time = Smoother(seconds), 0.0
    for p in np.random.default_rng(seed).dirichlet(np.ones(7), len(steps)):
        time += steps[0]
        out = smooth(0, time, p)
        assert out.sum() == pytest.approx(1)
        assert out.min() >= 0


def test_smoothing_is_the_same_at_every_frame_rate() -> None:
    ends = []
    for rate in (5, 25, 100):
        smooth = Smoother(0.3)
        smooth(0, 0.0, np.array([1.0, 0.0]))
        for n in range(1, rate + 1):
            last = smooth(0, n / rate, np.array([0.0, 1.0]))
        ends.append(float(last[0]))
    assert ends == pytest.approx([math.exp(-1 / 0.3)] * 3)


def test_smoothing_off_changes_nothing_and_gone_faces_are_forgotten() -> None:
    off, on = Smoother(0), Smoother(1.0)
    for p in np.eye(3):
        assert off(0, 1.0, p) is p
        on(4, 1.0, p)
    on.keep_only({5})
    assert on(4, 1.1, np.array([0.0, 0, 1])).tolist() == [0, 0, 1]


def test_frames_are_taken_at_the_rate_asked_for() -> None:
    for rate in (10, 24, 29.97, 60):
        for fps in (1, 5, 7.5):
            take = Sampler(VideoOptions(fps=fps))
            taken = [n for n in range(round(rate * 60)) if take(n, n / rate)]
            assert len(taken) == pytest.approx(60 * fps, abs=2), (rate, fps)
            assert np.diff(taken).max() <= math.ceil(rate / fps) + 1
    assert sum(Sampler(VideoOptions(fps=50))(n, n / 10) for n in range(20)) >= 1
    take = Sampler(VideoOptions(every=3))
    assert [n for n in range(10) if take(n, n / 25)] == [0, 3, 6, 9]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"every": 0}, "every"),
        ({"fps": 0.0}, "fps"),
        ({"fps": math.inf}, "fps"),
        ({"fps": 2.0, "every": 2}, "leave one out"),
        ({"smoothing": -1.0}, "smoothing"),
        ({"smoothing": math.nan}, "smoothing"),
        ({"key_seconds": 0.0}, "key_seconds"),
    ],
)
def test_options_are_checked(given: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        VideoOptions(**given)  # type: ignore[arg-type]  # on purpose
    with pytest.raises(UnknownNameError, match="overlay"):
        VideoOptions(overlay="cams")
