"""mien.video.analyse: a clip in; table, annotated clip, summary and figures out."""

from __future__ import annotations

import csv
import json
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import mien
from mien import video
from mien.emotions import COLOURS
from mien.results import draw
from mien.results.predictions import Predictions
from mien.types import InputError
from mien.video.annotate import Annotator, shade
from mien.video.figure import clock
from mien.video.layout import Layout
from mien.video.prior import clip_prior
from mien.video.reader import read_frames
from mien.video.summary import Collector
from mien.vision.geometry import DISPLAY, invert, transform
from tests.video import clips

Done = tuple[video.Analysis, Path]


def sound_of(path: Path) -> tuple[str, float]:
    """Codec and seconds of a clip's sound."""
    with av.open(str(path)) as container:
        track = container.streams.audio[0]
        times = [float(f.time or 0) for f in container.decode(track)]
        return track.codec_context.name, times[-1] - times[0]


def test_two_people_are_two_faces_with_their_expressions(analysed: Done) -> None:
    result, _ = analysed
    assert (result.frames, result.looked_at, result.stopped) == (24, 24, False)
    assert result.problem is None
    assert [face.face_id for face in result.faces] == [0, 1]
    for face in result.faces:
        assert sum(face.shares.values()) == pytest.approx(1)
        assert sum(face.means.values()) == pytest.approx(1)
        assert face.seconds == pytest.approx(2.0, abs=0.3)
    mover = next(f for f in result.faces if f.shares["happy"] > 0.3)
    assert mover.shares["surprise"] > 0.3
    assert mover.transitions[("happy", "surprise")] == 1
    times = {peak.emotion: peak.timestamp for peak in result.peaks}
    assert times["happy"] < 1 < times["surprise"]


def test_the_table_has_a_row_per_face_and_frame(analysed: Done, clip: Path) -> None:
    result, folder = analysed
    rows = pq.read_table(folder / "rows.parquet").to_pylist()
    assert len(rows) == result.rows >= 44
    assert {row["input"] for row in rows} == {str(clip)}
    assert {row["frame"] for row in rows} == set(range(24))
    assert {row["face_id"] for row in rows} == {0, 1}
    assert all(row["timestamp"] == pytest.approx(row["frame"] / 12, abs=2e-3) for row in rows)
    assert list(rows[0]) == Predictions(()).columns


def test_the_annotated_clip_has_all_frames_their_times_and_the_sound(
    analysed: Done, clip: Path
) -> None:
    _, folder = analysed
    frames, before = list(read_frames(folder / "out.mp4")), list(read_frames(clip))
    assert [f.timestamp for f in frames] == pytest.approx([f.timestamp for f in before], abs=2e-3)
    changed = [
        np.abs(a.image.astype(int) - b.image).mean() for a, b in zip(frames, before, strict=True)
    ]
    assert min(changed) > 2  # boxes and bars in every frame
    codec, seconds = sound_of(folder / "out.mp4")
    assert codec == "aac"
    assert seconds == pytest.approx(2.0, abs=0.15)
    assert not list(folder.glob("*.part"))


def test_what_is_saved_can_be_read(analysed: Done) -> None:
    result, folder = analysed
    saved = json.loads((folder / "summary.json").read_text())
    assert saved["model"] == result.model
    assert saved["options"]["smoothing"] == 0.3
    assert len(saved["faces"]) == 2
    assert {"from": "happy", "to": "surprise", "count": 1} in [
        change for face in saved["faces"] for change in face["transitions"]
    ]
    for name in ("timeline.png", "peaks.png"):
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 100


def test_the_timeline_is_stacked_in_the_expressions_colours(analysed: Done) -> None:
    result, _ = analysed
    parts = np.array_split(result.figure[40:-40, 130:-60], 2, axis=1)
    for label, half in (("happy", 0), ("surprise", 1)):
        painted = [int((part == COLOURS[label]).all(axis=2).sum()) for part in parts]
        assert painted[half] > 2 * painted[1 - half]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_frames_without_a_face_have_a_row_that_says_so(
    looker: mien.Recognizer, tmp_path: Path, kind: str
) -> None:
    path = clips.write(tmp_path / "empty.mp4", images=[clips.empty()] * 6)
    table = tmp_path / f"rows.{kind}"
    result = video.analyse(path, recognizer=looker, timeline=table, output=tmp_path / "o.mkv")
    assert (result.rows, result.faces, result.peaks) == (0, (), ())
    text = table.read_text()
    if kind == "csv":
        assert [row["face_id"] for row in csv.DictReader(text.splitlines())] == [""] * 6
    else:
        assert [json.loads(line)["frame"] for line in text.splitlines()] == list(range(6))
    assert result.figure.shape[1] > 100
    result.save(tmp_path)


def test_every_nth_frame_is_looked_at_and_the_others_keep_its_boxes(
    looker: mien.Recognizer, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.webm"
    result = video.analyse(
        clip, recognizer=looker, options=video.VideoOptions(every=6, overlay="regions"), output=out
    )
    assert (result.frames, result.looked_at) == (24, 4)
    assert sum(face.frames for face in result.faces) == result.rows
    assert max(face.seconds for face in result.faces) == pytest.approx(2.0, abs=0.3)
    rare = video.analyse(clip, recognizer=looker, options=video.VideoOptions(every=10_000))
    assert [round(face.seconds, 2) for face in rare.faces] == [2.0] * len(rare.faces)  # all of it
    assert len(list(read_frames(out))) == 24
    assert sound_of(out)[0] == "opus"  # WebM takes no AAC: it is encoded anew


def test_smoothing_off_gives_the_models_own_answers(looker: mien.Recognizer, clip: Path) -> None:
    raw: list[mien.Prediction] = []
    video.analyse(
        clip,
        recognizer=looker,
        options=video.VideoOptions(smoothing=0, every=8),
        on_frame=lambda r: raw.extend(r.rows),
    )
    images = [f.image for f in read_frames(clip) if f.number % 8 == 0]
    single = looker.predict(images).faces
    assert len(single) == len(raw)
    assert sorted(r.score or 0 for r in raw) == pytest.approx(
        sorted(s.score or 0 for s in single), abs=1e-5
    )


def test_cancelling_from_another_thread_keeps_what_is_done(
    looker: mien.Recognizer, clip: Path, tmp_path: Path
) -> None:
    cancel = threading.Event()
    seen: list[video.Progress] = []

    def watch(progress: video.Progress) -> None:
        seen.append(progress)
        if progress.frame == 5:
            threading.Thread(target=cancel.set).start()
            cancel.wait()

    result = video.analyse(
        clip,
        recognizer=looker,
        output=tmp_path / "o.mp4",
        timeline=tmp_path / "t.csv",
        progress=watch,
        cancel=cancel,
    )
    assert result.stopped
    assert result.frames == 5
    assert len(list(read_frames(tmp_path / "o.mp4"))) == 5
    assert len((tmp_path / "t.csv").read_text().splitlines()) == result.rows + 1
    assert seen[-1].remaining is not None
    assert seen[-1].remaining > 0
    assert seen[-1].frames == 24


def test_an_interrupt_keeps_what_is_done_and_an_error_leaves_nothing(
    looker: mien.Recognizer, clip: Path, tmp_path: Path
) -> None:
    def raising(error: BaseException) -> Any:
        def call(progress: video.Progress) -> None:
            if progress.frame == 3:
                raise error

        return call

    table = tmp_path / "t.parquet"
    result = video.analyse(
        clip, recognizer=looker, timeline=table, progress=raising(KeyboardInterrupt())
    )
    assert result.stopped
    assert len(pq.read_table(table)) == result.rows > 0
    table.unlink()
    with pytest.raises(ZeroDivisionError):
        video.analyse(
            clip,
            recognizer=looker,
            timeline=table,
            output=tmp_path / "o.mp4",
            progress=raising(ZeroDivisionError()),
        )
    assert not list(tmp_path.iterdir())


def test_two_threads_share_a_recognizer(looker: mien.Recognizer, clip: Path) -> None:
    rows: dict[int, list[mien.Prediction]] = {}

    def work(n: int) -> None:
        found: list[mien.Prediction] = []
        video.analyse(
            clip,
            recognizer=looker,
            options=video.VideoOptions(every=2),
            on_frame=lambda r: found.extend(r.rows),
        )
        rows[n] = found

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows[0] == rows[1]
    assert len(rows[0]) >= 22


def test_a_broken_clip_is_done_as_far_as_it_goes(looker: mien.Recognizer, tmp_path: Path) -> None:
    path = clips.write(tmp_path / "a.mkv", 24, sound="aac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    out = tmp_path / "o.mp4"
    result = video.analyse(path, recognizer=looker, output=out)
    assert 3 <= result.frames < 24
    assert "may be cut off" in str(result.problem)
    assert len(list(read_frames(out))) == result.frames


def test_outputs_are_checked_before_the_work(looker: mien.Recognizer, clip: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"output": "a.gif"}, ".mp4"),
        ({"timeline": "a.xlsx"}, ".csv"),
        ({"timeline": "a.json"}, "can grow"),
        ({"output": "no/folder/a.mp4"}, "no such folder"),
        ({"output": clip}, "is the clip itself"),
    ]
    for options, words in cases:
        with pytest.raises(InputError, match=words):
            video.analyse(clip, recognizer=looker, **options)


def test_evidence_is_drawn_on_the_crop_only_and_in_its_place() -> None:
    canvas = np.full((100, 120, 3), 128, np.uint8)
    matrix = np.array([[192 / 40, 0, -60 * 192 / 40], [0, 192 / 40, -30 * 192 / 40]])  # 60,30 40x40
    values = np.zeros((6, 6))
    values[0, 0], values[5, 5] = 1.0, -1.0
    shade(canvas, matrix, values, 1.0)
    changed = np.argwhere((canvas != 128).any(axis=2))
    assert changed.min(axis=0).tolist() == pytest.approx([30, 60], abs=1)
    assert changed.max(axis=0).tolist() == pytest.approx([69, 99], abs=1)
    assert canvas[32, 62, 0] > canvas[32, 62, 2]  # vermilion speaks for
    assert canvas[68, 98, 2] > canvas[68, 98, 0]  # blue against
    shade(canvas, matrix + np.array([[0, 0, 1e4], [0, 0, 0]]), values, 1.0)  # beyond the frame


def test_landmarks_are_drawn_where_they_are_and_only_when_asked_for(
    looker: mien.Recognizer, clip: Path
) -> None:
    result = next(r for r in video.stream(clip, looker) if r.faces)
    image = result.frame.image
    plain, dotted = (Annotator(landmarks=asked)(image, result.faces) for asked in (False, True))
    for face in result.faces:
        marks = face.prediction.face.landmarks if face.prediction.face else None
        if marks is None:  # the model's own, on the crop
            marks = transform(face.crop.landmarks * DISPLAY - 0.5, invert(face.crop.matrix))
        found = np.array([dotted[y, x] for x, y in np.round(marks).astype(int)]).astype(int)
        on = np.abs(found - draw.PLACE).max(axis=1) < 40
        assert on.sum() >= 22  # the face's box is drawn over some
    assert 0 < (plain != dotted).any(axis=2).mean() < 0.1


def test_sums_stay_small_however_long_the_clip(looker: mien.Recognizer, clip: Path) -> None:
    first = next(video.stream(clip, looker))
    collect = Collector(looker.labels, interval=1.0)
    for second in range(5_000):
        frame = video.Frame.of(second, float(second), clips.empty())
        collect.add(video.FrameResult(frame, first.faces, True, "a"))
    series = collect.series(first.faces[0].prediction.face_id or 0)
    assert 400 < len(series) <= 1000
    assert not np.isnan(series).any()
    assert collect.faces()[0].seconds == pytest.approx(5_000)


def test_a_face_found_now_and_then_is_not_in_sight_for_longer_than_the_clip(
    looker: mien.Recognizer, clip: Path
) -> None:
    faces = next(video.stream(clip, looker)).faces[:1]
    collect = Collector(looker.labels, interval=0.1)
    for number in range(10):
        frame = video.Frame.of(number, number / 10, clips.empty())
        found = faces if number in (1, 4, 9) else ()
        collect.add(video.FrameResult(frame, found, True, "a"))
    assert collect.faces()[0].seconds == pytest.approx(0.9)  # from 0.1 to the clip's end


def test_the_timeline_reaches_the_end_of_the_clip(looker: mien.Recognizer, clip: Path) -> None:
    faces = next(video.stream(clip, looker)).faces
    collect = Collector(looker.labels, interval=1 / 12)
    for number in range(36):
        frame = video.Frame.of(number, round(number / 12, 3), clips.empty())
        collect.add(video.FrameResult(frame, faces, True, "a"))
    series = collect.series(faces[0].prediction.face_id or 0)
    assert not np.isnan(series).any()
    assert len(series) * collect.width == pytest.approx(collect.end, abs=collect.width / 2)


def test_more_looks_than_frames_are_one_look_a_frame() -> None:
    assert video.VideoOptions(fps=50).interval(10) == 0.1
    assert video.VideoOptions(fps=5).interval(10) == 0.2


def test_times_are_written_as_people_read_them() -> None:
    assert [clock(s) for s in (0, 61.04, 3600)] == ["0:00.0", "1:01.0", "1:00:00"]


def test_the_prior_of_a_clip_is_that_of_its_faces(looker: mien.Recognizer, clip: Path) -> None:
    looks = []
    found = clip_prior(clip, looker, on_frame=lambda: looks.append(1))
    rows = [
        face.prediction
        for result in video.stream(clip, looker, video.VideoOptions(fps=2, smoothing=0))
        for face in result.faces
    ]
    wanted = mien.Predictions(tuple(rows), looker.labels, looker.prior).under("estimate")
    assert found == wanted.prior
    assert looks


def test_panels_cover_nobody_whatever_the_crowd() -> None:
    layout, size, panel = Layout(), (640, 360), (90, 80)
    rng = np.random.default_rng(0)
    shown = []
    for count in (1, 2, 3, 5, 12, 30) * 20:
        boxes = {
            i: (*rng.uniform(-20, (600, 330)), *(rng.uniform(20, 120) * np.ones(2)))
            for i in range(count)
        }
        places = layout(size, boxes, [(100, 15)] * count, [panel] * count)
        panels = [p.panel for p in places if p.panel is not None]
        shown.append(len(panels) / count)
        canvas = np.zeros((size[1], size[0]), int)
        for x, y in panels:
            assert 0 <= x <= size[0] - panel[0]
            assert 0 <= y <= size[1] - panel[1]
            canvas[y : y + panel[1], x : x + panel[0]] += 1
        assert canvas.max() <= 1  # nor one another
        for x, y, w, h in boxes.values():
            left, top = max(round(x) + 1, 0), max(round(y) + 1, 0)
            part = canvas[top : max(round(y + h) - 1, 0), left : max(round(x + w) - 1, 0)]
            assert not part.any()
    assert min(shown[::6]) == 1  # alone, there is always room
    assert np.mean(shown[5::6]) < 0.3  # in a crowd the names stand alone


def test_a_panel_keeps_its_side_while_there_is_room() -> None:
    layout = Layout()
    seen = []
    for x in (200, 280, 290, 280, 200, 60):  # to the right, where only the left is free, and back
        (place,) = layout((400, 300), {0: (x, 100, 60, 60)}, [(80, 15)], [(90, 70)])
        assert place.panel is not None
        seen.append("right" if place.panel[0] > x else "left")
    assert seen == ["right", "left", "left", "left", "left", "right"]


def test_each_face_has_moments_of_its_own(analysed: Done) -> None:
    result, _ = analysed
    for face in result.faces:
        moments = result.moments[face.face_id]
        assert {m.face_id for m in moments} == {face.face_id}
        assert [m.emotion for m in moments] == [n for n in result.labels if face.shares[n] > 0]
        for m in moments:
            assert m.picture.shape == (192, 192, 3)
            assert m.score <= face.peaks[m.emotion][0]


@pytest.mark.parametrize(
    ("net", "overlay"), [("gimefive-15", "gradcam"), ("vit-b16", "rollout:branch=0")]
)
def test_methods_of_one_pass_are_drawn_in_every_frame(
    clip: Path, tmp_path: Path, net: str, overlay: str
) -> None:
    pytest.importorskip("timm")
    from tests.models.runs import tiny_model

    recognizer = mien.load(tiny_model(net))
    options = video.VideoOptions(overlay=overlay)
    first = [frame for frame in read_frames(clip) if frame.number < 2]
    seen = [face for result in video.stream(first, recognizer, options) for face in result.faces]
    assert len(seen) == 4
    for face in seen:
        alone = recognizer.explain(face.crop.photo, options.query)
        assert face.evidence is not None
        assert any(np.array_equal(face.evidence, e.values) for e in alone)
        assert face.signed is alone[0].signed
    with pytest.raises(InputError, match="cannot explain mien: "):
        video.analyse(clip, options=options, output=tmp_path / "o.mp4")
    assert not list(tmp_path.iterdir())
