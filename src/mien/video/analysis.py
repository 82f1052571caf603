"""Analyse a clip from end to end: table, annotated video, summary, figures."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from mien.emotions import EIGHT
from mien.files import check_writable, whole_file
from mien.types import ImageArray, InputError
from mien.video import figure
from mien.video.annotate import Annotator
from mien.video.frames import DEFAULTS, FrameResult, Options, stream
from mien.video.reader import Clip, probe, read_frames
from mien.video.sink import VideoSink, check_output
from mien.video.summary import Collector, FaceSummary, Peak
from mien.video.timeline import TimelineWriter

if TYPE_CHECKING:
    from mien.recognizer import Recognizer


@dataclass(frozen=True)
class Progress:
    """How far the work is; times in seconds, None where the clip does not say its length."""

    frame: int  # frames done
    frames: int | None  # of so many
    timestamp: float  # in the clip
    elapsed: float
    remaining: float | None
    faces: int  # rows of faces so far


@dataclass(frozen=True, eq=False)
class Analysis:
    """What a clip came to."""

    clip: Clip
    options: Options
    model: str  # name and SHA-256
    detector: str
    labels: tuple[str, ...]
    frames: int
    looked_at: int
    rows: int
    faces: tuple[FaceSummary, ...]  # longest in sight first
    peaks: tuple[Peak, ...]
    seconds: float  # that the work took
    stopped: bool  # cancelled, or interrupted: all above is of what was done
    problem: str | None  # a file that breaks off, sound that cannot be read
    figure: ImageArray = field(repr=False)  # stacked probabilities over time
    sheet: ImageArray = field(repr=False)  # the peaks' faces

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields, without pictures."""
        return {
            "input": self.clip.path,
            "clip": asdict(self.clip),
            "options": asdict(self.options),
            "model": self.model,
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
        """Write summary.json, timeline.png and peaks.png; returns their paths."""
        folder = check_folder(folder)
        paths = [folder / name for name in ("summary.json", "timeline.png", "peaks.png")]
        with whole_file(paths[0]) as part:
            part.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")
        for path, picture in zip(paths[1:], (self.figure, self.sheet), strict=True):
            with whole_file(path) as part:
                Image.fromarray(picture).save(part, format="PNG")
        return paths


def check_folder(folder: str | Path) -> Path:
    """The folder, made where it is not there; InputError where it cannot be written to."""
    folder = Path(folder)
    if folder.is_file():
        raise InputError(f"{folder}: expected a folder, got a file; give another name")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror or error})") from error
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
    options: Options = DEFAULTS,
    output: str | Path | None = None,
    timeline: str | Path | None = None,
    on_frame: Callable[[FrameResult], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
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
        Which frames are looked at, smoothing, evidence.
    output
        An annotated video to write: .mp4, .mov, .mkv or .webm, with the clip's sound.
    timeline
        The table to write, one row per face and frame: .csv, .jsonl or .parquet.
    on_frame, progress
        Called with each frame that was looked at, and after each frame.
    cancel
        Set it, from any thread, and the work ends soon; what is done is kept, as it is on
        KeyboardInterrupt, and the result's ``stopped`` is True.

    Raises InputError for a file that is no video or has no frame, before anything is written.
    """
    started = time.perf_counter()
    clip = probe(source)
    check_apart(source, output, timeline)
    if output is not None:
        check_output(Path(output))
    if recognizer is None:
        from mien.recognizer import load

        recognizer = load()
    frames = read_frames(source)
    collect = Collector(recognizer.labels, options.interval(clip.fps))
    done = looked = rows = 0
    stopped = False
    with ExitStack() as stack:
        table = sink = None
        if timeline is not None:
            table = TimelineWriter(Path(timeline), recognizer.labels)
            stack.push(closer(table))
        if output is not None:
            sink = VideoSink(Path(output), clip)
            stack.push(closer(sink))
        results = stream(
            frames,
            recognizer,
            options,
            name=name or str(source),
            rate=clip.fps,
            all_frames=output is not None,
        )
        stack.callback(results.close)
        draw = Annotator()
        try:
            for result in results:
                done = result.frame.number + 1
                if result.analysed:
                    looked += 1
                    collect.add(result)
                    rows += len(result.faces)
                    if table is not None:
                        table.add(result.rows)
                    if on_frame is not None:
                        on_frame(result)
                if sink is not None:
                    sink.write(draw(result.frame.image, result.faces), result.frame.timestamp)
                if progress is not None:
                    elapsed = time.perf_counter() - started
                    left = max((clip.frames or 0) - done, 0) / done * elapsed
                    progress(
                        Progress(
                            done,
                            clip.frames,
                            result.frame.timestamp,
                            elapsed,
                            left if clip.frames else None,
                            rows,
                        )
                    )
                if cancel is not None and cancel.is_set():
                    stopped = True
                    break
        except KeyboardInterrupt:
            stopped = True  # what is done is kept
    if not looked and not stopped:
        raise InputError(f"{source}: expected a video, but it holds no frame that can be decoded")
    faces = collect.faces()
    shown = {face.face_id: collect.series(face.face_id) for face in faces[: figure.MOST]}
    peaks = tuple(collect.peaks[name] for name in EIGHT if name in collect.peaks)
    return Analysis(
        clip=clip,
        options=options,
        model=recognizer.model.identity,
        detector=recognizer.detector.name,
        labels=recognizer.labels,
        frames=done if stopped else frames.count,  # the last ones may not have been looked at
        looked_at=looked,
        rows=rows,
        faces=faces,
        peaks=peaks,
        seconds=time.perf_counter() - started,
        stopped=stopped,
        problem=frames.problem
        or (None if stopped else _shorter(clip, frames.end))
        or (sink.problem if sink is not None else None),
        figure=figure.timeline(shown, faces, recognizer.labels, collect.end),
        sheet=figure.sheet(peaks),
    )


def _shorter(clip: Clip, end: float) -> str | None:
    """What to say where the pictures end long before the file says that it does."""
    said = clip.duration or 0.0
    if end + 1 / clip.fps >= said - max(0.5, 0.03 * said):
        return None
    return (
        f"{clip.path}: its header says {said:.1f} s, but its pictures end after {end:.1f} s; "
        "it may be cut off"
    )


def closer(file: Any) -> Callable[[Any, Any, Any], None]:
    """Close a file on the way out: removed after an error, kept after any other end."""

    def close(kind: Any, error: Any, trace: Any) -> None:  # noqa: ARG001 - the protocol of exits
        file.close(keep=kind is None or issubclass(kind, KeyboardInterrupt | GeneratorExit))

    return close
