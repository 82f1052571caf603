"""mien.video.reader: what FFmpeg reads, the right way up, at the right times."""

from __future__ import annotations

import gc
from pathlib import Path

import av
import numpy as np
import pytest

from mien.types import InputError
from mien.video import Frame, probe, read_frames
from tests.video import clips


def test_a_clip_is_described_and_read_frame_by_frame(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "a.mp4", 12, sound="aac")
    clip = probe(path)
    assert (clip.width, clip.height, clip.frames) == (400, 300, 12)
    assert clip.fps == pytest.approx(12, abs=0.01)
    assert clip.audio
    assert clip.duration == pytest.approx(1.0, abs=0.02)
    frames = list(read_frames(path))
    assert [f.number for f in frames] == list(range(12))
    assert [f.timestamp for f in frames] == pytest.approx([n / 12 for n in range(12)], abs=2e-3)
    truth = list(clips.frames(12))
    for frame, image in zip(frames, truth, strict=True):
        assert frame.size == (400, 300)
        assert np.abs(frame.image.astype(int) - image).mean() < 4  # RGB, in order


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_clip_stands_upright(tmp_path: Path, degrees: int) -> None:
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[:60, :60] = (250, 20, 20)  # red marks the corner
    lying = np.ascontiguousarray(np.rot90(picture, -degrees // 90))
    path = clips.write(tmp_path / "a.mp4", turned=degrees, images=[lying] * 3)
    clip = probe(path)
    assert (clip.width, clip.height, clip.rotation) == (300, 200, degrees)
    frame = next(iter(read_frames(path)))
    assert frame.image.shape == (200, 300, 3)
    assert frame.size == (300, 200)
    assert frame.image[30, 30, 0] > 200
    assert frame.image[150, 250].max() < 60


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    times = [0, 0.1, 0.15, 0.7, 0.72, 1.9]
    path = clips.write(tmp_path / "a.mkv", 6, times=times)
    assert [f.timestamp for f in read_frames(path)] == pytest.approx(times, abs=2e-3)


@pytest.mark.parametrize("suffix", [".mkv", ".avi", ".webm", ".ts"])
def test_a_broken_tail_gives_what_is_there_and_says_so(tmp_path: Path, suffix: str) -> None:
    path = clips.write(tmp_path / f"a{suffix}", 24)
    whole = path.read_bytes()
    assert len(list(read_frames(path))) == 24
    path.write_bytes(whole[: len(whole) * 6 // 10])
    frames = read_frames(path)
    assert 3 <= len(list(frames)) < 24


def test_damage_in_the_middle_costs_its_own_frames_and_is_told(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "a.mkv", 24)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = b"\xff" * 3000
    path.write_bytes(bytes(data))
    frames = read_frames(path)
    assert 3 <= len(list(frames)) <= 24
    assert probe(path).width == 400


def test_what_is_no_video_is_one_line(tmp_path: Path) -> None:
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as out:
        track = out.add_stream("aac", rate=48000)
        for frame in clips._tone(0.5, track.format.name):
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    nothing = tmp_path / "nothing.mp4"
    nothing.touch()
    cut = clips.write(tmp_path / "cut.mp4", 4)
    cut.write_bytes(cut.read_bytes()[:3000])  # its index stood at the end
    cases = {
        tmp_path / "absent.mp4": "no such file",
        tmp_path: "got a folder",
        text: "cannot be opened",
        sound: "no pictures",
        cut: "cannot be opened",
        nothing: "is empty",
    }
    for path, words in cases.items():
        with pytest.raises(InputError, match=words) as error:
            probe(path)
        assert "\n" not in str(error.value)


def test_a_container_without_a_frame_is_an_error(tmp_path: Path) -> None:
    path = clips.write(tmp_path / "a.mkv", 12)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\x1fC\xb6u") + 4])  # the header, up to the first cluster
    with pytest.raises(InputError, match="no frame that can be decoded"):
        probe(path)


def test_frames_can_be_made_of_arrays() -> None:
    frame = Frame.of(3, 0.5, clips.empty())
    assert (frame.number, frame.timestamp, frame.size) == (3, 0.5, (400, 300))
    assert frame.image.shape == (300, 400, 3)


def test_frames_are_freed_as_soon_as_nobody_has_them(tmp_path: Path) -> None:
    """Not only when Python looks for circles: their pixels are not in what it counts."""
    path = clips.write(tmp_path / "a.mp4", 12, turned=90)
    gc.collect()
    gc.disable()
    try:
        for frame in read_frames(path):
            assert frame.thumbnail.shape == (18, 32, 3)
            assert frame.image.shape == (400, 300, 3)
        del frame
        # by type(): isinstance() asks for __class__, at which torch's deprecated names warn
        assert not [found for found in gc.get_objects() if issubclass(type(found), av.VideoFrame)]
    finally:
        gc.enable()
