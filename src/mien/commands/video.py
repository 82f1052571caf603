"""``mien video`` and ``mien webcam``: thin skins over the package."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from mien.commands.terminal import Contempt, Detector, HeadName, ModelName, err, fail, out, say
from mien.types import InputError

Every = Annotated[int, typer.Option(help="Look at every n-th frame.")]
Smoothing = Annotated[str, typer.Option(help="Seconds of the exponential mean, or off.")]
Overlay = Annotated[
    str, typer.Option(help="Evidence to draw: cam, regions (key frames only) or none.")
]
TimelineFile = Annotated[
    Path | None, typer.Option(help="Table to write, a row per face and frame: .csv, .parquet.")
]


def seconds(text: str) -> float:
    """The value of ``--smoothing``.

    >>> seconds("off"), seconds("0.5")
    (0.0, 0.5)
    """
    if text == "off":
        return 0.0
    try:
        return float(text)
    except ValueError:
        raise InputError(f"smoothing: expected seconds or off, got {text!r}") from None


def video(
    clip: Annotated[Path, typer.Argument(help="A video of any kind that FFmpeg reads.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Annotated video: .mp4, .mov, .mkv or .webm."),
    ] = None,
    timeline: TimelineFile = None,
    summary: Annotated[
        Path | None,
        typer.Option(help="Folder for summary.json, timeline.png and peaks.png."),
    ] = None,
    every: Every = 1,
    fps: Annotated[float | None, typer.Option(help="Look at so many frames per second.")] = None,
    smoothing: Smoothing = "0.3",
    overlay: Overlay = "none",
    detector: Detector = "auto",
    model: ModelName = "mien",
    head: HeadName = None,
    contempt: Contempt = False,
) -> None:
    """Follow every face of a clip and say what it expresses, when.

    Each face keeps its number. Control-C keeps what is done.
    """
    from mien.recognizer import load
    from mien.video.analysis import analyse, make_folder
    from mien.video.frames import VideoOptions

    options = VideoOptions(every=every, fps=fps, smoothing=seconds(smoothing), overlay=overlay)
    if overlay != "none" and output is None:
        raise InputError(f"--overlay {overlay} is drawn into the video; give it an --output")
    if summary is not None:
        make_folder(summary)
    recognizer = load(model, head=head, contempt=contempt, detector=detector)
    columns = (
        TextColumn("frames"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bar:
        task = bar.add_task("frames", total=None, rate="")

        def show(progress: Any) -> None:
            rate = f"{progress.frame / max(progress.elapsed, 1e-9):.0f} frames/s"
            bar.update(task, total=progress.frames, completed=progress.frame, rate=rate)

        result = analyse(
            clip,
            recognizer=recognizer,
            options=options,
            output=output,
            timeline=timeline,
            progress=show,
        )
    out.print(_faces(result))
    written = [] if summary is None else result.save(summary)
    for name, path in (("annotated", output), ("table", timeline)):
        if path is not None:
            say(f"{name}: {path}")
    for path in written:
        say(f"{path.stem}: {path}")
    how = "not smoothed" if options.smoothing == 0 else f"smoothed over {options.smoothing:g} s"
    rate = result.frames / max(result.seconds, 1e-9)
    say(
        f"{result.looked_at:,} of {result.frames:,} frames looked at, {how}; "
        f"{result.seconds:.1f} s, {rate:.0f} frames/s"
    )
    if result.stopped:
        fail(f"stopped after {result.frames} frames; what was done is written")
        raise typer.Exit(130)
    if result.problem:
        fail(f"{result.problem}; what was there is done")
        raise typer.Exit(1)


def _faces(result: Any) -> Table:
    """Time in sight and its parts by expression, one row per face."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("face", "from", "to", "in sight", "expressions, by time", "changes"):
        right = name not in ("expressions, by time",)
        table.add_column(name, justify="right" if right else "left", no_wrap=right)
    from mien.video.figure import clock

    for face in result.faces[:20]:
        ranked = sorted(face.shares.items(), key=lambda item: -item[1])
        parts = ", ".join(f"{name} {share:.0%}" for name, share in ranked if share >= 0.005)
        span = (clock(face.first), clock(face.last), f"{face.seconds:.1f} s")
        table.add_row(str(face.face_id), *span, parts, str(sum(face.transitions.values())))
    if len(result.faces) > 20:
        table.add_row("", "", "", "", f"and {len(result.faces) - 20} faces more", "")
    if not result.faces:
        table.add_row("", "", "", "", "no face found", "")
    return table


def webcam(
    source: Annotated[str, typer.Option(help="A camera's number, or a video in its place.")] = "0",
    text: Annotated[
        bool, typer.Option("--text", help="No window: rows as JSON lines on stdout.")
    ] = False,
    record: Annotated[
        Path | None, typer.Option(help="Write the annotated pictures to this video.")
    ] = None,
    timeline: TimelineFile = None,
    smoothing: Smoothing = "0.3",
    overlay: Overlay = "none",
    detector: Detector = "auto",
    model: ModelName = "mien",
    head: HeadName = None,
    contempt: Contempt = False,
) -> None:
    """Show a camera's picture with what the faces express, and how late it is.

    Nothing is written unless --record or --timeline asks for it. Escape, q or Control-C ends.
    Without a display, the page of mien serve shows the camera of the browser that opens it.
    """
    from mien.files import exists
    from mien.recognizer import load
    from mien.video.analysis import check_apart
    from mien.video.camera import Camera, Window, has_display
    from mien.video.frames import VideoOptions
    from mien.video.live import Meter, run
    from mien.video.sink import check_output

    options = VideoOptions(smoothing=seconds(smoothing), overlay=overlay, batch=1)
    if record is not None:
        check_output(record)
    if not source.isdigit() and exists(Path(source)):
        check_apart(source, record, timeline)
    # the page uses the browser's camera and writes nothing
    plain = source == "0" and record is None and timeline is None and overlay == "none"
    if not text and plain and not has_display():
        from mien.commands.serve import serve

        say("there is no display for a window; the page shows the camera: open its tab Camera")
        serve(model=model, head=head, contempt=contempt, detector=detector)
        return
    window = None if text else Window("mien webcam")
    recognizer = load(model, head=head, contempt=contempt, detector=detector)
    meter = Meter()
    with ExitStack() as stack:
        if window is not None:
            stack.callback(window.close)
        camera = stack.enter_context(Camera(int(source) if source.isdigit() else source))
        rows = 0
        try:
            answers = run(
                camera,
                recognizer,
                options,
                meter,
                record=record,
                timeline=timeline,
                drawn=window is not None or record is not None,
            )
            stack.callback(answers.close)
            for shown in answers:
                rows += len(shown.result.faces)
                if window is not None and shown.image is not None:
                    window.show(shown.image)
                    if not window.open:
                        break
                else:
                    for row in shown.result.rows:
                        record_of = {**row.to_dict(), "latency_ms": round(shown.latency * 1000, 1)}
                        sys.stdout.write(json.dumps(record_of) + "\n")
                    sys.stdout.flush()
        except KeyboardInterrupt:
            pass  # that is how it ends
    err.print(
        escape(
            f"{meter.count} pictures in {time.perf_counter() - meter.started:.1f} s, {rows} faces; "
            f"from picture to answer {meter.median * 1000:.0f} ms (median), "
            f"{meter.missed} pictures skipped"
        ),
        soft_wrap=True,
        highlight=False,
    )
