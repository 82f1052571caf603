"""``mien video``: every face of a clip, and what it expresses when."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from mien.commands.terminal import (
    Contempt,
    Detector,
    Flip,
    HeadName,
    Measures,
    ModelName,
    PriorOfMany,
    fail,
    note,
    out,
    progress,
    say,
    tell_framing,
    told_prior,
    warn,
)
from mien.priors import ESTIMATE
from mien.types import InputError

if TYPE_CHECKING:
    from mien.recognizer import Recognizer
    from mien.video.analysis import Analysis, Progress
    from mien.video.frames import VideoOptions

Smoothing = Annotated[str, typer.Option(help="Seconds of the exponential mean, or off.")]
Overlay = Annotated[
    str,
    typer.Option(
        help="Evidence to draw: none, cam, regions (key frames only), or of a network in torch "
        "gradcam, gradcam++, layercam, attention, rollout, gradrollout, activations."
    ),
]
Landmarks = Annotated[bool, typer.Option(help="Draw the 24 landmarks on each face, too.")]
TimelineFile = Annotated[
    Path | None, typer.Option(help="Table to write, a row per face and frame: .csv, .parquet.")
]
ClipFile = Annotated[Path, typer.Argument(help="A video of any kind that FFmpeg reads.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Annotated video: .mp4, .mov, .mkv or .webm."),
]
SummaryFolder = Annotated[
    Path | None, typer.Option(help="Folder for summary.json, timeline.png and peaks.png.")
]
Every = Annotated[int, typer.Option(help="Look at every n-th frame.")]
PerSecond = Annotated[float | None, typer.Option(help="Analyse this many frames per second.")]

Search = Annotated[
    float, typer.Option(help="Seconds between searches for faces; 0 searches every frame.")
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
    clip: ClipFile,
    output: Output = None,
    timeline: TimelineFile = None,
    summary: SummaryFolder = None,
    every: Every = 1,
    fps: PerSecond = None,
    smoothing: Smoothing = "0.3",
    search: Search = 0.16,
    overlay: Overlay = "none",
    landmarks: Landmarks = False,
    detector: Detector = "auto",
    model: ModelName = "mien",
    head: HeadName = None,
    contempt: Contempt = False,
    prior: PriorOfMany = None,
    flip: Flip = False,
    measures: Measures = False,
) -> None:
    """Follow every face of a clip and say what it expresses, when.

    Each face keeps its number. Control-C keeps what is done.
    """
    from mien.loading import load
    from mien.video.analysis import make_folder
    from mien.video.frames import VideoOptions

    options = VideoOptions(
        every=every,
        fps=fps,
        smoothing=seconds(smoothing),
        search=search,
        overlay=overlay,
        landmarks=landmarks,
    )
    _check(options, output, measures=measures, timeline=timeline)
    if summary is not None:
        make_folder(summary)
    how: dict[str, Any] = {"head": head, "contempt": contempt, "flip": flip, "measures": measures}
    how["detector"] = detector
    shares = _estimated(clip, load(model, **how)) if prior == ESTIMATE else prior
    recognizer = load(model, prior=shares, **how)
    tell_framing(recognizer, detector)
    result, turned = _analyse(clip, recognizer, options, {"output": output, "timeline": timeline})
    if result.stopped and not result.frames:
        fail("stopped before the first frame; nothing is written")
        raise typer.Exit(130)
    _tell(result, options, {"annotated": output, "table": timeline}, summary)
    for text in turned:
        warn(f"of all frames' faces, {text}")
    if result.stopped:
        fail(f"stopped after {result.frames} frames; what was done is written")
        raise typer.Exit(130)
    if result.problem:
        fail(f"{result.problem}; the frames before that are done")
        raise typer.Exit(1)


def _check(
    options: VideoOptions, output: Path | None, *, measures: bool, timeline: Path | None
) -> None:
    """Raise InputError, before any work, where what was asked for would go nowhere."""
    if output is None and options.overlay != "none":
        raise InputError(
            f"--overlay {options.overlay} is drawn into the video; give it an --output"
        )
    if output is None and options.landmarks:
        raise InputError("--landmarks are drawn into the video; give it an --output")
    if measures and timeline is None:
        raise InputError("--measures are columns of the table; give it a --timeline")


def _analyse(
    clip: Path, recognizer: Recognizer, options: VideoOptions, files: dict[str, Any]
) -> tuple[Analysis, list[str]]:
    """The analysis, under a bar, and what is to be said of faces that are turned too far."""
    from mien.video.analysis import analyse
    from mien.video.frames import FrameResult
    from mien.video.stopping import stop_on_signals
    from mien.vision.measures import beyond, cautions

    turned: Counter[str] = Counter()

    def look(result: FrameResult) -> None:
        turned.update(n for face in result.faces for n in beyond(face.prediction.measures))

    with progress(None, "frames") as bar, stop_on_signals() as stop:

        def show(seen: Progress) -> None:
            rate = f"{seen.frame / max(seen.elapsed, 1e-9):.0f} frames/s"
            bar.show(seen.frame, seen.frames, rate)

        how: dict[str, Any] = {"options": options, "cancel": stop, **files}
        result = analyse(clip, recognizer=recognizer, on_frame=look, progress=show, **how)
    return result, list(cautions(turned))


def _estimated(clip: Path, recognizer: Recognizer) -> dict[str, float] | None:
    """The prior of a clip's faces; the clip is read once for it, and once more to be analysed."""
    from mien.video.clip import probe
    from mien.video.prior import PER_SECOND, clip_prior

    seconds = probe(clip).duration
    looks = None if seconds is None else int(seconds * PER_SECOND)
    with progress(looks, "frames for the prior") as advance:
        found = clip_prior(clip, recognizer, on_frame=advance)
    if found is not None:
        note(told_prior(found))
    return found


def _tell(
    result: Analysis, options: VideoOptions, files: dict[str, Path | None], summary: Path | None
) -> None:
    """The faces, the files, and how fast it was."""
    out.print(_faces(result))
    written = [] if summary is None else result.save(summary)
    for name, path in files.items():
        if path in result.written:
            say(f"{name}: {path}")
    for path in written:
        say(f"{path.stem}: {path}")
    how = "not smoothed" if options.smoothing == 0 else f"smoothed over {options.smoothing:g} s"
    rate = result.frames / max(result.seconds, 1e-9)
    say(
        f"{result.looked_at:,} of {result.frames:,} frames looked at, {how}; "
        f"{result.seconds:.1f} s, {rate:.0f} frames/s"
    )


def _faces(result: Analysis) -> Table:
    """Time in sight and its parts by expression, one row per face."""
    from mien.video.figure import clock

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("face", "from", "to", "in sight", "expressions, by time", "changes"):
        right = name not in ("expressions, by time",)
        table.add_column(name, justify="right" if right else "left", no_wrap=right)
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
