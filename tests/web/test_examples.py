"""The page's drawn examples show what they say: the built-in model answers so."""

from __future__ import annotations

from pathlib import Path

import pytest

import mien
from mien import video
from mien.web import examples


@pytest.fixture(scope="module")
def looker() -> mien.Recognizer:
    return mien.load(threads=1)


@pytest.mark.parametrize("name", examples.FACES)
def test_a_drawn_face_is_answered_as_it_is_called(looker: mien.Recognizer, name: str) -> None:
    (found,) = looker.predict(examples.drawn_photo(name) or b"")
    assert found.dominant_emotion == name
    assert (found.score or 0) > 0.7


def test_the_clip_s_two_faces_are_at_rest_and_then_express(
    looker: mien.Recognizer, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(examples.drawn_clip())
    seen = set()
    for frame in video.read_frames(path):
        quarter = frame.number * 4 // examples.RATE
        steps = examples.LEFT[quarter], examples.RIGHT[quarter]
        if steps in seen or not {*steps} <= {0, 3}:  # a half smile may be called either
            continue
        seen.add(steps)
        found = sorted(looker.predict(frame.image), key=lambda face: face.box or ())
        assert [face.dominant_emotion for face in found] == [
            name if step else "neutral"
            for name, step in zip(("happy", "surprise"), steps, strict=True)
        ]
        assert all((face.score or 0) > 0.8 for face in found)
    assert seen == {(0, 0), (3, 0), (0, 3)}
