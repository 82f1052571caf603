"""mien.video.searching: which frames are searched, and where faces are between two searches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import mien
from mien import video
from mien.types import Face, ImageArray, InputError
from mien.video.cuts import Change
from mien.video.searching import Sampled, find_faces
from mien.vision.faces import Detector
from tests.video import clips

ONE, OTHER = clips.drawn(3, "neutral"), clips.drawn(8, "happy")


class Counted(Detector):
    """A detector that notes how often it is asked."""

    name = "counted"

    def __init__(self, detector: Detector) -> None:
        self.detector, self.asked = detector, 0

    def detect(self, image: ImageArray) -> list[Face]:
        self.asked += 1
        return self.detector(image)


def walk(number: int, *, from_frame: int = 0) -> Iterator[Sampled]:
    """A face that walks to the right, and from some frame on another one."""
    for n in range(number):
        image = clips.empty()
        image[20 : 20 + clips.SIDE, 4 * n : 4 * n + clips.SIDE] = ONE
        if 0 < from_frame <= n:
            image[100 : 100 + clips.SIDE, 220 : 220 + clips.SIDE] = OTHER
        yield Sampled(video.Frame.of(n, n / 25, image), True, Change.NONE)


def boxes(sampled: Sampled) -> np.ndarray:
    assert sampled.found is not None
    return np.array([face.box for face in sampled.found])


def test_between_two_searches_a_face_is_where_a_search_would_find_it(
    looker: mien.Recognizer,
) -> None:
    now, always = Counted(looker.detector), Counted(looker.detector)
    some = list(find_faces(walk(13), now, 0.16))
    every = list(find_faces(walk(13), always, 0.0))
    assert (now.asked, always.asked) == (4, 13)
    assert [one.frame.number for one in some] == list(range(13))
    for one, other in zip(some, every, strict=True):
        (here,), (there,) = boxes(one), boxes(other)
        # it is some 100 pixels wide, and walks 16 pixels from one search to the next
        assert np.abs(here[:2] + here[2:] / 2 - there[:2] - there[2:] / 2).max() < 4
        assert np.abs(here[2:] - there[2:]).max() < 12


def test_a_face_that_comes_between_two_searches_is_there_from_its_first_frame_on(
    looker: mien.Recognizer,
) -> None:
    counts = [
        [len(boxes(one)) for one in find_faces(walk(12, from_frame=6), looker.detector, seconds)]
        for seconds in (0.16, 0.0)
    ]
    assert counts[0] == counts[1] == [1] * 6 + [2] * 6


def test_nobody_is_followed_into_another_shot(looker: mien.Recognizer) -> None:
    counted = Counted(looker.detector)
    frames = list(walk(8))
    frames[5] = Sampled(frames[5].frame, True, Change.CUT)
    found = list(find_faces(frames, counted, 0.16))
    # 0, 4 and 5 in any case, and 6 and 7, after which no other search comes
    assert counted.asked == 5
    for one in (found[5], found[6]):
        assert one.found == looker.detector(one.frame.image)


def test_landmarks_of_a_detector_are_never_guessed(looker: mien.Recognizer) -> None:
    class Marked(Counted):
        def detect(self, image: ImageArray) -> list[Face]:
            found = super().detect(image)
            return [Face(f.box, f.confidence, f.detector, np.zeros((24, 2))) for f in found]

    counted = Marked(looker.detector)
    list(find_faces(walk(9), counted, 0.16))
    assert counted.asked == 9


def test_an_impossible_time_between_searches_is_refused() -> None:
    with pytest.raises(InputError, match="search: expected 0 or more seconds, got -1"):
        video.VideoOptions(search=-1)
