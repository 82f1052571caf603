"""Clips as they come: mirrored, restarted, damaged, cut off, and with sound of its own mind."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mien
from mien import video
from mien.types import ImageArray, InputError
from mien.video.reader import read_frames
from mien.video.times import GrowingTimes
from tests.video import clips


def marked() -> ImageArray:
    """A picture whose upper left corner is red and whose upper right one is green."""
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[:60, :60] = (250, 20, 20)
    picture[:60, -60:] = (20, 250, 20)
    return picture


def with_matrix(path: Path, image: ImageArray, degrees: int, hflip: bool, vflip: bool) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=12)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.set_display_rotation(degrees, hflip=hflip, vflip=vflip)
        for n in range(3):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts = n
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize(("hflip", "vflip"), [(False, False), (True, False), (False, True)])
def test_each_of_the_eight_orientations_is_shown_as_a_player_shows_it(
    tmp_path: Path, degrees: int, hflip: bool, vflip: bool
) -> None:
    path = with_matrix(tmp_path / "a.mp4", marked(), degrees, hflip, vflip)
    shown = np.rot90(marked(), degrees // 90)  # a player turns, then mirrors
    if hflip:
        shown = shown[:, ::-1]
    if vflip:
        shown = shown[::-1]
    frame = next(iter(read_frames(path)))
    assert frame.size == (shown.shape[1], shown.shape[0])
    assert np.abs(frame.image.astype(int) - shown).mean() < 4
    clip = video.probe(path)
    assert (clip.width, clip.height) == frame.size


def test_a_mirrored_clip_has_its_faces_upright_in_every_frame(
    looker: mien.Recognizer, tmp_path: Path
) -> None:
    image = clips.empty()
    image[50 : 50 + clips.SIDE, 30 : 30 + clips.SIDE] = clips.drawn(3, "happy")
    path = with_matrix(tmp_path / "selfie.mp4", image, 0, True, False)
    results = list(video.stream(path, looker))
    assert [len(r.faces) for r in results] == [1] * len(results)
    x, _, width, _ = results[0].faces[0].prediction.box or (0, 0, 0, 0)
    assert x + width / 2 > clips.WIDTH / 2  # it was on the left


@given(st.lists(st.none() | st.floats(-1e4, 1e4), max_size=40), st.floats(0.001, 1))
def test_times_grow_whatever_a_file_says(given: list[float | None], step: float) -> None:
    times = GrowingTimes()
    found = [times(time, step) for time in given]
    assert all(a < b for a, b in pairwise(found))
    assert not found or found[0] == 0


def joined(path: Path, *parts: Path) -> Path:
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def test_two_recordings_in_one_file_follow_on_each_other(
    looker: mien.Recognizer, tmp_path: Path
) -> None:
    first = clips.write(tmp_path / "a.ts", 24, sound="aac")
    path = joined(tmp_path / "both.ts", first, first)
    times = [f.timestamp for f in read_frames(path)]
    assert len(times) == 48
    assert times == pytest.approx([n / 12 for n in range(48)], abs=0.02)
    out, table = tmp_path / "o.mp4", tmp_path / "t.csv"
    result = video.analyse(path, recognizer=looker, output=out, timeline=table)
    assert result.frames == 48
    assert result.written == (out, table)
    ends = [f.timestamp for f in read_frames(out)][-1]
    assert ends == pytest.approx(47 / 12, abs=0.05)
    assert sound_seconds(out) == pytest.approx(4.0, abs=0.3)


def sound_seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.audio[0]))
        return sum(f.samples / f.sample_rate for f in frames)


@pytest.mark.parametrize("kind", [".mp4", ".webm"])  # copied, encoded anew
def test_sound_that_repeats_its_times_costs_nothing(
    looker: mien.Recognizer, tmp_path: Path, kind: str
) -> None:
    plain, path = clips.write(tmp_path / "plain.mkv", 24, sound="aac"), tmp_path / "a.mkv"
    with av.open(str(plain)) as source, av.open(str(path), "w") as out:
        pictures, sound = (
            out.add_stream_from_template(one)
            for one in (source.streams.video[0], source.streams.audio[0])
        )
        count, said = 0, None
        for packet in source.demux():
            if packet.dts is None:
                continue
            is_sound = packet.stream.type == "audio"
            count += is_sound
            if is_sound and count > 20:  # the 21st says what the 20th said, and so on
                packet.pts = packet.dts = said
            if is_sound and count in range(20, 100, 2):
                said = packet.dts
            packet.stream = sound if is_sound else pictures
            out.mux(packet)
    out_path, table = tmp_path / f"o{kind}", tmp_path / "t.csv"
    result = video.analyse(path, recognizer=looker, output=out_path, timeline=table)
    assert result.frames == 24
    assert len(list(read_frames(out_path))) == 24
    assert len(table.read_text().splitlines()) == result.rows + 1
    assert sound_seconds(out_path) == pytest.approx(2.0, abs=0.3)


def test_damaged_sound_does_not_cost_the_clip(looker: mien.Recognizer, tmp_path: Path) -> None:
    path = clips.write(tmp_path / "a.ts", 36, sound="aac")
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(0)
    middle = len(data) // 2
    data[middle : middle + 20_000] = rng.integers(0, 256, 20_000, np.uint8).tobytes()
    path.write_bytes(bytes(data))
    for kind in (".mp4", ".webm"):
        out = tmp_path / f"o{kind}"
        result = video.analyse(path, recognizer=looker, output=out)
        assert len(list(read_frames(out))) == result.frames >= 10


def test_a_damaged_first_packet_costs_the_first_frames_only(
    looker: mien.Recognizer, tmp_path: Path
) -> None:
    path = clips.write(tmp_path / "a.webm", 24)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        first = next(container.demux(container.streams.video[0]))
        at = data.index(bytes(first)[:64])
        data[at : at + first.size // 2] = b"\xff" * (first.size // 2)
    path.write_bytes(bytes(data))
    clip = video.probe(path)
    assert clip.width == 400
    result = video.analyse(path, recognizer=looker)
    assert 12 <= result.frames < 24
    assert "damaged" in str(result.problem)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_sound_that_is_longer_than_the_pictures_is_no_fault(
    looker: mien.Recognizer, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=12)
        stream.height, stream.width, stream.pix_fmt = clips.HEIGHT, clips.WIDTH, "yuv420p"
        track = out.add_stream("aac", rate=48000)
        for n, image in enumerate(clips.frames(12)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, 12)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        for tone in clips._tone(6, track.format.name):
            out.mux(track.encode(tone))
        out.mux(track.encode(None))
    result = video.analyse(path, recognizer=looker, output=tmp_path / "o.mp4")
    assert (result.frames, result.problem) == (12, None)


@pytest.mark.parametrize("kind", [".mp4", ".webm"])
def test_annotated_clips_have_the_colours_of_bt709_and_say_so(
    looker: mien.Recognizer, tmp_path: Path, kind: str
) -> None:
    colour = (200, 60, 40)
    image = np.full((720, 1280, 3), colour, np.uint8)
    path = clips.write(tmp_path / "hd.mp4", images=[image] * 3)
    out = tmp_path / f"o{kind}"
    video.analyse(path, recognizer=looker, output=out)
    with av.open(str(out)) as container:
        frame = next(container.decode(container.streams.video[0]))
        tags = (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range)
        assert tags == (1, 1, 1, 1)
        shown = frame.to_ndarray(format="rgb24", src_colorspace="ITU709")
    assert np.abs(shown[100:600, 100:1100].reshape(-1, 3).mean(axis=0) - colour).max() < 4


def test_a_shape_of_pixels_that_nobody_makes_is_not_believed(tmp_path: Path) -> None:
    for ratio, width in ((Fraction(4, 3), 533), (Fraction(100), 400), (Fraction(1, 100), 400)):
        path = tmp_path / "a.mkv"
        with av.open(str(path), "w") as out:
            stream = out.add_stream("libx264", rate=12)
            stream.height, stream.width, stream.pix_fmt = 300, 400, "yuv420p"
            stream.codec_context.sample_aspect_ratio = ratio
            for image in clips.frames(3):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            out.mux(stream.encode(None))
        assert next(iter(read_frames(path))).image.shape == (300, width, 3)


def test_frames_that_would_take_too_much_memory_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clips.write(tmp_path / "a.mp4", 3)
    monkeypatch.setenv("MIEN_IMAGE_BYTES", "1000000")
    with pytest.raises(InputError, match="frame 0: the image is too large"):
        next(iter(read_frames(path)))


def test_pipes_and_devices_are_no_videos(tmp_path: Path) -> None:
    import os

    pipe = tmp_path / "a.mp4"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(InputError, match="pipe or a device"):
            video.probe(path)
