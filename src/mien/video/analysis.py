"""Analyse a clip from end to end: table, annotated video, summary, figures."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from mien import files
from mien.emotions import EIGHT
from mien.files import check_writable, whole_file, write_whole
from mien.loading import load
from mien.recognizer import Recognizer
from mien.types import ImageArray, InputError
from mien.video import figure
from mien.video.annotate import Annotator
from mien.video.clip import Clip, probe
from mien.video.frames import DEFAULTS, FrameResult, VideoOptions, stream
from mien.video.reader import read_frames
from mien.video.sink import VideoSink, check_output, video_sink
from mien.video.summary import Collector, FaceSummary, Peak
from mien.video.timeline import TimelineWriter, timeline_writer


@dataclass(frozen=True)
class Progress:
    """How far the work is; times in seconds, None where the clip does not say its length."""

    frame: int  # frames done
    frames: int | None  # of so many
    timestamp: float  # in the clip
    elapsed: float  # seconds since the start
    remaining: float | None  # seconds, estimated; None where the length is not known
    faces: int  # rows of faces so far


@dataclass(frozen=True, eq=False)
class Analysis:
    """What a clip came to."""

    clip: Clip  # what was read
    options: VideoOptions  # how it was analysed
    model: str  # name and SHA-256
    detector: str  # what found the faces
    labels: tuple[str, ...]  # the expressions, in the order of tables
    frames: int  # frames of the clip that were read
    looked_at: int  # of these, analysed
    rows: int  # rows of the table
    faces: tuple[FaceSummary, ...]  # longest in sight first
    peaks: tuple[Peak, ...]  # of each expression over all faces
    moments: dict[int, tuple[Peak, ...]]  # the same of each of the faces longest in sight
    cuts: tuple[float, ...]  # seconds at which another shot begins
    seconds: float  # that the work took
    stopped: bool  # cancelled, or interrupted: all above is of what was done
    problem: str | None  # a file that breaks off, sound that cannot be read
    written: tuple[Path, ...]  # of the annotated video and the table, what there is
    figure: ImageArray = field(repr=False)  # stacked probabilities over time
    sheet: ImageArray = field(repr=False)  # the peaks' faces
    prior: dict[str, float] | None = None  # shares that the answers expect, where known

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields, without pictures."""
        return {
            "input": self.clip.path,
            "clip": asdict(self.clip),
            "options": asdict(self.options),
            "model": self.model,
            "prior": self.prior,
            "detector": self.detector,
            "frames": self.frames,
            "looked_at": self.looked_at,
            "rows": self.rows,
            "faces": [face.to_dict() for face in self.faces],
            "peaks": [peak.to_dict() for peak in self.peaks],
            "seconds": self.seconds,
            "stopped": self.stopped,
            "problem": self.problem,
        }

    def save(self, folder: str | Path) -> list[Path]:
        """Write summary.json, timeline.png and peaks.png; returns their paths.

        Parameters
        ----------
        folder
            Made where it is absent.
        """
        folder = make_folder(folder)
        text = json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"
        paths = [write_whole(folder / "summary.json", text)]
        for name, picture in (("timeline.png", self.figure), ("peaks.png", self.sheet)):
            with whole_file(folder / name) as part:
                Image.fromarray(picture).save(part, format="PNG")
            paths.append(folder / name)
        return paths


def make_folder(folder: str | Path) -> Path:
    """The folder, made where it is not there; InputError where it cannot be written to."""
    folder = Path(folder)
    files.check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.cannot_write(folder, error) from error
    check_writable(folder / "summary.json")
    return folder


def check_apart(source: str | Path, *outputs: str | Path | None) -> None:
    """Raise InputError where an output would be written over the clip."""
    for place in (Path(p) for p in outputs if p is not None):
        if place.exists() and place.samefile(source):
            raise InputError(f"{place}: is the clip itself; give another name")


def analyse(
    source: str | Path,
    *,
    name: str | None = None,
    recognizer: Recognizer | None = None,
    options: VideoOptions = DEFAULTS,
    output: str | Path | None = None,
    timeline: str | Path | None = None,
    on_frame: Callable[[FrameResult], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
    most_pixels: int | None = None,
) -> Analysis:
    """Analyse a clip; memory does not grow with its length.

    Parameters
    ----------
    source
        A video of any kind that FFmpeg reads.
    name
        What stands in the rows' ``input``; default: the path.
    recognizer
        What finds and answers; default: ``mien.load()``. Several calls may share one, also from
        several threads.
    options
        Which frames are analysed, smoothing, evidence.
    output
        An annotated video to write: .mp4, .mov, .mkv or .webm, with the clip's sound.
    timeline
        The table to write, one row per face and frame: .csv, .jsonl or .parquet.
    on_frame, progress
        Called with each frame that was analysed, and after each frame.
    cancel
        Set it, from any thread, and the work ends soon; what is done is kept, as it is on
        KeyboardInterrupt, and the result's ``stopped`` is True.
    most_pixels
        Of a frame; a clip with a larger one, anywhere, raises InputError.

    Raises InputError for a file that is no video or has no frame, before anything is written.
    """
    clip = _checked(source, output, timeline)
    recognizer = recognizer or load()
    options.check(recognizer.model)
    frames = read_frames(source, most_pixels=most_pixels)
    work = _Work(clip, recognizer, options)
    results = stream(
        frames,
        recognizer,
        options,
        name=name or str(source),
        rate=clip.fps,
        all_frames=output is not None,
    )
    with ExitStack() as stack:
        work.open(stack, output, timeline)
        work.through(stack.enter_context(closing(results)), on_frame, progress, cancel)
    return work.result(frames, [Path(p) for p in (output, timeline) if p is not None])


def _checked(source: str | Path, output: str | Path | None, timeline: str | Path | None) -> Clip:
    """What the clip says of itself; InputError where an output cannot be written."""
    clip = probe(source)
    check_apart(source, output, timeline)
    if output is not None:
        check_output(Path(output))
    return clip


class _Work:
    """One clip under way: its outputs, its counts, its sums."""

    def __init__(self, clip: Clip, recognizer: Recognizer, options: VideoOptions) -> None:
        self.clip, self.recognizer, self.options = clip, recognizer, options
        self.started = time.perf_counter()
        self.table: TimelineWriter | None = None
        self.sink: VideoSink | None = None
        self.done = self.analysed = self.rows = 0  # frames, frames, faces
        self.stopped = False
        self.cuts: list[float] = []
        self._collect = Collector(recognizer.labels, options.interval(clip.fps))
        self._draw = Annotator(landmarks=options.landmarks)

    def open(
        self, stack: ExitStack, output: str | Path | None, timeline: str | Path | None
    ) -> None:
        """Begin the files that were asked for; they appear when the stack is left."""
        if timeline is not None:
            of = self.recognizer
            table = timeline_writer(Path(timeline), of.labels, of.prior, of.measured)
            self.table = stack.enter_context(table)
        if output is not None:
            self.sink = stack.enter_context(video_sink(Path(output), self.clip))

    def through(
        self,
        results: Iterable[FrameResult],
        on_frame: Callable[[FrameResult], None] | None,
        progress: Callable[[Progress], None] | None,
        cancel: threading.Event | None,
    ) -> None:
        """Work through all frames, or up to an interrupt: what is done by then is kept."""
        try:
            if cancel is not None and cancel.is_set():
                self.stopped = True
                return
            for result in results:
                self._take(result)
                if result.analysed and on_frame is not None:
                    on_frame(result)
                if progress is not None:
                    progress(self._progress(result.frame.timestamp))
                if cancel is not None and cancel.is_set():
                    self.stopped = True
                    return
        except KeyboardInterrupt:
            self.stopped = True

    def _take(self, result: FrameResult) -> None:
        self.done = result.frame.number + 1
        if result.cut:
            self.cuts.append(result.frame.timestamp)
        elif result.resumed and self.cuts:
            self.cuts.pop()
        if result.analysed:
            self.analysed += 1
            self.rows += len(result.faces)
            self._collect.add(result)
            if self.table is not None:
                self.table.add(result.rows)
        if self.sink is not None:
            drawn = self._draw(result.frame.image, result.faces)
            self.sink.write(drawn, result.frame.timestamp)

    def _progress(self, timestamp: float) -> Progress:
        elapsed = time.perf_counter() - self.started
        remaining = None
        if self.clip.frames:
            remaining = max(self.clip.frames - self.done, 0) / self.done * elapsed
        return Progress(self.done, self.clip.frames, timestamp, elapsed, remaining, self.rows)

    def result(self, frames: read_frames, outputs: list[Path]) -> Analysis:
        """What the clip came to; InputError where it held no frame."""
        if not self.analysed and not self.stopped:
            raise InputError(
                f"{frames.path}: expected a video, but it holds no frame that can be decoded"
            )
        self._collect.finish(frames.end + 1 / self.clip.fps)
        faces = self._collect.faces()
        shown = {f.face_id: self._collect.series(f.face_id) for f in faces[: figure.MOST]}
        peaks = tuple(self._collect.peaks[name] for name in EIGHT if name in self._collect.peaks)
        sound = None if self.sink is None else self.sink.problem
        return Analysis(
            clip=self.clip,
            options=self.options,
            model=self.recognizer.model.identity,
            prior=self.recognizer.prior,
            detector=self.recognizer.detector.name,
            labels=self.recognizer.labels,
            # of a whole clip, the last frames may not have been analysed
            frames=self.done if self.stopped else frames.count,
            looked_at=self.analysed,
            rows=self.rows,
            faces=faces,
            peaks=peaks,
            moments={number: self._collect.moments(number) for number in shown},
            cuts=tuple(self.cuts),
            seconds=time.perf_counter() - self.started,
            stopped=self.stopped,
            problem=frames.problem
            or (None if self.stopped else _cut_off(self.clip, frames))
            or sound,
            written=tuple(outputs) if self.analysed else (),
            figure=figure.timeline(shown, faces, self.recognizer.labels, self._collect.end),
            sheet=figure.sheet(peaks),
        )


def _cut_off(clip: Clip, frames: read_frames) -> str | None:
    """What to say where a file ends long before its header says that its pictures do."""
    said = clip.duration or 0.0
    # where the sound goes on, the file is whole: the header's length may be that of the sound
    end = max(frames.end + 1 / clip.fps, frames.file_end)
    if end >= said - max(0.5, 0.03 * said):
        return None
    return (
        f"{clip.path}: its header says {said:.1f} s, but its pictures end after "
        f"{frames.end:.1f} s; it may be cut off"
    )
