"""``mien webcam``: a camera's picture with what its faces express."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.commands.terminal import Contempt, Detector, HeadName, ModelName, PriorShares, note, say
from mien.commands.video import Landmarks, Overlay, Smoothing, TimelineFile, seconds

if TYPE_CHECKING:
    from mien.video.camera import Window
    from mien.video.live import LiveAnswer

Camera = Annotated[str, typer.Option("--source", help="A camera's number, or a video instead.")]
Text = Annotated[bool, typer.Option("--text", help="No window: rows as JSON lines on stdout.")]
Record = Annotated[Path | None, typer.Option(help="Write the annotated pictures to this video.")]


def webcam(
    source: Camera = "0",
    text: Text = False,
    record: Record = None,
    timeline: TimelineFile = None,
    smoothing: Smoothing = "0.3",
    overlay: Overlay = "none",
    landmarks: Landmarks = False,
    detector: Detector = "auto",
    model: ModelName = "mien",
    head: HeadName = None,
    contempt: Contempt = False,
    prior: PriorShares = None,
) -> None:
    """Show a camera's picture with what the faces express, and the delay.

    Nothing is written unless --record or --timeline asks for it. Escape, q or Control-C ends.
    Without a display, the page of mien serve shows the camera of the browser that opens it.
    """
    from mien.loading import load
    from mien.video import camera
    from mien.video.frames import VideoOptions
    from mien.video.live import Meter, run
    from mien.video.stopping import stop_on_signals

    options = VideoOptions(
        smoothing=seconds(smoothing), overlay=overlay, landmarks=landmarks, batch=1
    )
    _check(source, record, timeline)
    # the page uses the browser's camera and writes nothing
    plain = overlay == "none" and not landmarks
    page_will_do = source == "0" and record is None and timeline is None and plain
    if not text and page_will_do and not camera.has_display():
        from mien.commands.serve import serve

        say("there is no display for a window; the page shows the camera: open its tab Camera")
        serve(model=model, head=head, contempt=contempt, prior=prior, detector=detector)
        return
    window = None if text else camera.Window("mien webcam")
    meter = Meter()
    with ExitStack() as stack:
        if window is not None:
            stack.callback(window.close)
        recognizer = load(model, head=head, contempt=contempt, prior=prior, detector=detector)
        opened = camera.Camera(int(source) if source.isdigit() else source)
        pictures = stack.enter_context(opened)
        drawn = window is not None or record is not None
        files: dict[str, Any] = {"record": record, "timeline": timeline}
        answers = run(pictures, recognizer, options, meter, drawn=drawn, **files)
        stack.callback(answers.close)
        with stop_on_signals() as stop:
            faces = _watch(answers, window, stop)
    note(
        f"{meter.count} pictures in {time.perf_counter() - meter.started:.1f} s, {faces} faces; "
        f"from picture to answer {meter.median * 1000:.0f} ms (median), "
        f"{meter.missed} pictures skipped"
    )


def _check(source: str, record: Path | None, timeline: Path | None) -> None:
    """Raise InputError, before any work, for files that cannot be written or are the source."""
    from mien.files import exists
    from mien.video.analysis import check_apart
    from mien.video.sink import check_output

    if record is not None:
        check_output(record)
    if not source.isdigit() and exists(Path(source)):
        check_apart(source, record, timeline)


def _watch(answers: Iterator[LiveAnswer], window: Window | None, stop: Event) -> int:
    """Show pictures until the window is closed or a signal; returns how many faces were seen."""
    faces = 0
    for shown in answers:
        faces += len(shown.result.faces)
        if window is None or shown.image is None:
            for row in shown.result.rows:
                late = {"latency_ms": round(shown.latency * 1000, 1)}
                sys.stdout.write(json.dumps({**row.to_dict(), **late}) + "\n")
            sys.stdout.flush()
        else:
            window.show(shown.image)
        if stop.is_set() or (window is not None and not window.open):
            break
    return faces
