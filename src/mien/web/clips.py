"""The analysis of one uploaded clip, from its file to what the page shows of it."""

from __future__ import annotations

import contextlib
import shutil
import time
from typing import Any

from mien.recognizer import Recognizer
from mien.results.draw import data_url
from mien.types import MienError
from mien.video import Analysis, FrameResult, Progress, analyse
from mien.web.job import Job
from mien.web.settings import Limits

CURVES = 8  # faces whose curves are in the result, longest in sight first


def analyse_job(job: Job, recognizer: Recognizer, limits: Limits) -> None:
    """Analyse a job's clip; its state, result or error say how that ended. Never raises."""
    try:
        if not job.cancel.is_set():
            job.state = "working"
            _analyse(job, recognizer, limits)
    except MienError as error:
        job.state, job.error = "failed", without_paths(error, job)
    except Exception as error:  # decoders fail in many ways; the server goes on
        job.state = "failed"
        job.error = f"the clip cannot be analysed ({type(error).__name__})"
    finally:
        with contextlib.suppress(OSError):
            job.upload.unlink()
        job.ended = time.monotonic()
        if job.cancel.is_set():
            job.curves.clear()
            shutil.rmtree(job.folder, ignore_errors=True)


def _analyse(job: Job, recognizer: Recognizer, limits: Limits) -> None:
    too_long = False

    def add_curves(result: FrameResult) -> None:
        for row in result.rows:
            if row.face_id is not None:
                values = [round(row.emotions[name], 3) for name in recognizer.labels]
                job.curves.setdefault(row.face_id, []).append((row.timestamp or 0.0, values))

    def note(done: Progress) -> None:
        nonlocal too_long
        job.frames, job.of = done.frame, done.frames
        job.progress = min(done.frame / done.frames, 1.0) if done.frames else 0.0
        if done.timestamp > limits.video_seconds:
            too_long = True  # its header did not say so
            job.cancel.set()

    found = analyse(
        job.upload,
        name="clip",
        recognizer=recognizer,
        options=job.options,
        output=job.clip,
        timeline=job.table,
        on_frame=add_curves,
        progress=note,
        cancel=job.cancel,
        most_pixels=limits.video_pixels,
    )
    if too_long:
        job.state, job.error = "failed", too_long_text(limits, limits.video_seconds + 1)
    elif found.stopped:
        job.state = "cancelled"
    else:
        job.result = _result(found, job)
        job.state, job.progress, job.of = "done", 1.0, found.frames


def too_long_text(limits: Limits, seconds: float) -> str:
    """What to say of a clip that is longer than the service takes."""
    return (
        f"expected at most {limits.video_seconds:g} s, got {seconds:.0f} s; "
        "send a part of it, or use mien video"
    )


def without_paths(error: object, job: Job) -> str:
    """The error's text without the path of a temporary file."""
    return str(error).replace(str(job.upload), "the clip").replace(str(job.clip), "the clip")


def _result(found: Analysis, job: Job) -> dict[str, Any]:
    result = found.to_dict()
    result["input"] = result["clip"]["path"] = "clip"
    result["problem"] = found.problem and without_paths(found.problem, job).removeprefix(
        "the clip: "
    )
    shown = sorted(face.face_id for face in found.faces[:CURVES])
    result["moments"] = [
        peak.to_dict() | {"picture": data_url(peak.picture)}
        for key in shown
        for peak in found.moments[key]
    ]
    result["labels"] = list(found.labels)
    result["curves"] = [
        {
            "face_id": key,
            "times": [round(t, 3) for t, _ in job.curves[key]],
            "values": [v for _, v in job.curves[key]],
        }
        for key in shown
    ]
    job.curves.clear()
    return result
