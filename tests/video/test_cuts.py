"""Hard cuts: a new shot has new faces, and never one that goes by another person's number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mien
from mien import video
from mien.types import ImageArray
from mien.video.cuts import RECENT, Change, CutDetector
from tests.video import clips

WALL = (90, 90, 120)
WALLS = (WALL, (200, 180, 150), (30, 60, 40))


def shot(
    person: int, label: str, *, left: int = 100, wall: tuple[int, int, int] = WALL, speed: int = 1
) -> Iterator[ImageArray]:
    """One second of one person who moves a little."""
    for n in range(12):
        image = np.full((clips.HEIGHT, clips.WIDTH, 3), wall, np.uint8)
        at = left + n * speed
        image[60 : 60 + clips.SIDE, at : at + clips.SIDE] = clips.drawn(person, label)
        yield image


# the model is sure of all of these, wherever they stand
@pytest.mark.parametrize("people", [(3, 23, 5), (0, 27, 22), (7, 18, 9)])
@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("wall", ["same", "other"])
def test_three_people_and_two_cuts_are_three_faces_of_a_second_each(
    looker: mien.Recognizer, tmp_path: Path, people: tuple[int, ...], every: int, wall: str
) -> None:
    images = [
        image
        for k, (person, label) in enumerate(
            zip(people, ("happy", "neutral", "surprise"), strict=True)
        )
        for image in shot(person, label, wall=WALL if wall == "same" else WALLS[k])
    ]
    path = clips.write(tmp_path / "cuts.mp4", images=images)
    rows: list[mien.Prediction] = []
    result = video.analyse(
        path,
        recognizer=looker,
        options=video.VideoOptions(every=every),
        on_frame=lambda r: rows.extend(r.rows),
    )
    assert result.cuts == pytest.approx([1.0, 2.0], abs=0.01)
    faces = sorted(result.faces, key=lambda face: face.face_id)
    assert [face.face_id for face in faces] == [0, 1, 2]
    assert [face.first for face in faces] == pytest.approx([0, 1, 2], abs=0.01)
    assert [face.seconds for face in faces] == pytest.approx([1, 1, 1], abs=0.02)
    assert [face.transitions for face in faces] == [{}, {}, {}]
    # smoothing begins afresh: the first answer of a shot is the frame's own
    for face in faces[1:]:
        first = next(row for row in rows if row.face_id == face.face_id)
        frame = next(f for f in video.read_frames(path) if f.number == first.frame)
        assert first.score == pytest.approx(looker.predict(frame.image)[0].score, abs=1e-4)


def test_nobody_gets_the_number_of_another_person_who_was_there_before(
    looker: mien.Recognizer, tmp_path: Path
) -> None:
    images = [i for k in range(4) for i in shot((3, 8)[k % 2], "happy", wall=WALLS[k % 2])]
    rows: dict[int, set[int]] = {}
    path = clips.write(tmp_path / "talk.mp4", images=images)
    for result in video.stream(path, looker):
        for face in result.faces:
            person = (3, 8)[result.frame.number // 12 % 2]
            rows.setdefault(face.prediction.face_id or 0, set()).add(person)
    assert all(len(people) == 1 for people in rows.values())
    assert set.union(*rows.values()) == {3, 8}


def test_two_people_who_are_replaced_by_two_others_are_four(
    looker: mien.Recognizer, tmp_path: Path
) -> None:
    """Before the same wall, in the same places, and two of them look much alike."""
    images = []
    for left, right in ((3, 8), (5, 12)):
        for n in range(12):
            image = clips.empty()
            image[10:160, 10 + n : 160 + n] = clips.drawn(left, "happy")
            image[140:290, 240 - n : 390 - n] = clips.drawn(right, "neutral")
            images.append(image)
    path = clips.write(tmp_path / "pairs.mp4", images=images)
    ids: tuple[set[int], set[int]] = (set(), set())
    for result in video.stream(path, looker):
        ids[result.frame.number // 12].update(f.prediction.face_id or 0 for f in result.faces)
    assert ids == ({0, 1}, {2, 3})


def test_drawn_over_frames_after_a_cut_are_no_faces_of_the_shot_before(
    looker: mien.Recognizer, tmp_path: Path
) -> None:
    images = [*shot(3, "happy"), *shot(8, "happy", left=200, wall=WALLS[1])]
    path = clips.write(tmp_path / "a.mp4", images=images)
    options = video.VideoOptions(every=8)
    for result in video.stream(path, looker, options, all_frames=True):
        if 12 <= result.frame.number < 16:  # the new shot was not analysed yet
            assert result.faces == ()


def test_a_flash_of_light_does_not_end_a_shot(looker: mien.Recognizer, tmp_path: Path) -> None:
    images = [*shot(3, "happy"), *shot(3, "happy", left=112)]
    images[10] = np.clip(images[10].astype(int) + 140, 0, 255).astype(np.uint8)
    path = clips.write(tmp_path / "flash.mp4", images=images)
    result = video.analyse(path, recognizer=looker)
    assert result.cuts == ()
    face = result.faces[0]
    assert (face.face_id, face.frames) == (0, 23)
    assert face.last == pytest.approx(23 / 12, abs=0.01)


def test_light_that_goes_out_does_not_end_a_shot(looker: mien.Recognizer, tmp_path: Path) -> None:
    lit = list(shot(3, "happy", wall=WALLS[1]))
    dark = [(image * 0.6).astype(np.uint8) for image in shot(3, "happy", left=112, wall=WALLS[1])]
    path = clips.write(tmp_path / "dim.mp4", images=lit + dark)
    result = video.analyse(path, recognizer=looker)
    assert (result.cuts, len(result.faces)) == ((), 1)


def test_people_who_move_fast_are_not_cut(looker: mien.Recognizer, tmp_path: Path) -> None:
    path = clips.write(tmp_path / "fast.mp4", images=list(shot(3, "happy", left=0, speed=20)))
    result = video.analyse(path, recognizer=looker)
    assert (result.cuts, len(result.faces)) == ((), 1)


@given(st.integers(0, 2**31), st.floats(1, 15), st.integers(0, 3))
def test_a_pan_over_any_scene_is_no_cut_and_another_scene_is(
    seed: int, grain: float, speed: int
) -> None:
    import cv2

    rng = np.random.default_rng(seed)
    wide = cv2.resize(rng.integers(0, 256, (18, 12, 3), dtype=np.uint8), (160, 18))
    wide = wide.astype(float) + rng.normal(0, grain, wide.shape)
    scene = np.clip(wide, 0, 255).astype(np.uint8)
    detect = CutDetector()
    # a cut within a fast pan is no larger than the pan's own differences: the camera rests first
    places = [n * speed for n in range(40)] + [39 * speed] * RECENT
    views = [scene[:, left : left + 32] for left in places]
    seen = [detect(view, n / 25) for n, view in enumerate(views)]
    assert Change.CUT not in seen
    assert detect(255 - views[-1], len(views) / 25) in (Change.CUT, Change.POSSIBLE)
