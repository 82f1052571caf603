"""Videos as jobs: one at a time, in a thread, with progress; files are deleted after use."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from mien.recognizer import Recognizer
from mien.types import MienError, MissingExtraError
from mien.video import Analysis, FrameResult, VideoOptions, Progress, analyse, probe
from mien.web.engine import png
from mien.web.limits import Refusal
from mien.web.metrics import Metrics
from mien.web.settings import Limits

PREFIX: Final = "mien-serve-"
KEPT = 8  # finished jobs; the oldest go first
CURVES = 8  # faces whose curves are in the result, longest in sight first
MOVIES: Final = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # bytes 4 to 8 of MP4, MOV
STARTS: Final = (
    b"\x1a\x45\xdf\xa3", b"OggS", b"FLV", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3",
    b"\x30\x26\xb2\x75",
)  # fmt: skip
LISTS: Final = (b"#extm3u", b"<mpd", b"ffconcat")  # files that name other files


def is_video(head: bytes) -> bool:
    """Whether a file's first bytes are those of a film, and of no list that names other files.

    The decoder would open what a playlist names, be it a file of this machine or another host.

    >>> is_video(b"....ftypisom"), is_video(b"#EXTM3U http://example.org/a.ts")
    (True, False)
    """
    if any(name in head.lower() for name in LISTS):
        return False
    riff = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    stream = head[:1] == b"\x47" and head[188:189] == b"\x47"
    return riff or stream or head[4:8] in MOVIES or head.startswith(STARTS)


@dataclass(eq=False)
class Job:
    """One video; ``state`` goes from waiting over working to done, failed or cancelled."""

    folder: Path
    options: VideoOptions
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    state: str = "waiting"
    progress: float = 0.0
    frames: int = 0
    error: str | None = None
    result: dict[str, Any] | None = None
    cancel: threading.Event = field(default_factory=threading.Event)
    ended: float | None = None
    curves: dict[int, list[tuple[float, list[float]]]] = field(default_factory=dict)

    @property
    def upload(self) -> Path:
        """The clip as it was sent; gone as soon as the work ends."""
        return self.folder / "upload"

    @property
    def clip(self) -> Path:
        """The annotated clip."""
        return self.folder / "clip.mp4"

    @property
    def table(self) -> Path:
        """One row per face and frame."""
        return self.folder / "table.csv"

    def to_dict(self) -> dict[str, Any]:
        """What callers see of it."""
        return {
            "id": self.id,
            "state": self.state,
            "progress": round(self.progress, 4),
            "frames": self.frames,
            "error": self.error,
        }


class Jobs:
    """The videos of one server, in one folder that only its user can read."""

    def __init__(self, recognizer: Recognizer, limits: Limits, metrics: Metrics) -> None:
        self.recognizer, self.limits, self.metrics = recognizer, limits, metrics
        self.jobs: dict[str, Job] = {}
        self._home: Path | None = None
        self._pool = ThreadPoolExecutor(1, "mien-video")
        metrics.gauge("mien_videos_kept", "Video jobs in memory.", lambda: len(self.jobs))

    def open(self, options: VideoOptions) -> Job:
        """A new job, still without a clip; 503 where too many wait."""
        self.sweep()
        busy = [job for job in self.jobs.values() if job.ended is None]
        if len(busy) >= self.limits.video_waiting:
            raise Refusal(
                503,
                "busy",
                f"{len(busy)} videos wait or are worked on, and no more are taken; ask again later",
                {"Retry-After": "10"},
            )
        if self._home is None:
            forget_the_dead()
            self._home = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        job = Job(Path(tempfile.mkdtemp(dir=self._home)), options)
        self.jobs[job.id] = job
        return job

    def check(self, job: Job) -> None:
        """Refusal where the clip of a job cannot be worked on."""
        with job.upload.open("rb") as file:
            if not is_video(file.read(1 << 20)):
                raise Refusal(
                    422, "not_a_video", "expected a video (MP4, MOV, WebM, MKV, AVI, MPEG, OGG)"
                )
        try:
            clip = probe(job.upload)
        except MissingExtraError as error:
            raise Refusal(501, "not_installed", str(error)) from error
        except MienError as error:
            raise Refusal(422, "not_a_video", _without(error, job)) from error
        if clip.duration is not None and clip.duration > self.limits.video_seconds:
            raise self._too_long(clip.duration)
        if clip.width * clip.height > self.limits.video_pixels:
            raise Refusal(
                413,
                "too_many_pixels",
                f"expected frames of at most {self.limits.video_pixels / 1e6:g} million pixels, "
                f"got {clip.width} x {clip.height}; send a smaller one",
            )

    def _too_long(self, seconds: float) -> Refusal:
        return Refusal(
            413,
            "too_long",
            f"expected at most {self.limits.video_seconds:g} s, got {seconds:.0f} s; "
            "send a part of it, or use mien video",
        )

    def start(self, job: Job) -> None:
        """Work on a job as soon as those before it are done."""
        self._pool.submit(self._work, job)

    def get(self, key: str) -> Job:
        """A job by its id; 404 where there is none, or none any more."""
        self.sweep()
        if key not in self.jobs:
            raise Refusal(
                404, "not_found", "no such job; finished ones are forgotten after a while"
            )
        return self.jobs[key]

    def drop(self, job: Job) -> None:
        """Stop a job where it runs, and delete all that is kept of it."""
        job.cancel.set()
        self.jobs.pop(job.id, None)
        if job.ended is None:
            job.state = "cancelled"
        else:
            shutil.rmtree(job.folder, ignore_errors=True)  # else its thread does

    def sweep(self) -> None:
        """Forget what ended long ago."""
        now = time.monotonic()
        ended = sorted((j for j in self.jobs.values() if j.ended), key=lambda j: j.ended or 0.0)
        for i, job in enumerate(ended):
            if i < len(ended) - KEPT or now - (job.ended or now) > self.limits.video_kept:
                self.drop(job)

    async def sweep_now_and_then(self) -> None:
        """Forget also while nobody asks."""
        while True:
            await asyncio.sleep(min(self.limits.video_kept, 30.0))
            self.sweep()

    async def close(self) -> None:
        """Stop and delete everything."""
        for job in list(self.jobs.values()):
            self.drop(job)
        await asyncio.to_thread(self._pool.shutdown)
        if self._home is not None:
            shutil.rmtree(self._home, ignore_errors=True)

    def abandon(self, job: Job) -> None:
        """Delete a job whose clip never came or was refused."""
        job.ended = time.monotonic()
        self.drop(job)

    def _work(self, job: Job) -> None:
        """One clip from end to end, in the thread."""
        too_long = False
        labels = self.recognizer.labels

        def look(result: FrameResult) -> None:
            for row in result.rows:
                if row.face_id is not None:
                    values = [round(row.emotions[name], 3) for name in labels]
                    job.curves.setdefault(row.face_id, []).append((row.timestamp or 0.0, values))

        def note(done: Progress) -> None:
            nonlocal too_long
            job.frames = done.frame
            job.progress = min(done.frame / done.frames, 1.0) if done.frames else 0.0
            if done.timestamp > self.limits.video_seconds:
                too_long = True  # its header did not say so
                job.cancel.set()

        try:
            if job.cancel.is_set():
                return
            job.state = "working"
            found = analyse(
                job.upload,
                name="clip",
                recognizer=self.recognizer,
                options=job.options,
                output=job.clip,
                timeline=job.table,
                on_frame=look,
                progress=note,
                cancel=job.cancel,
            )
            if too_long:
                job.state = "failed"
                job.error = self._too_long(self.limits.video_seconds + 1).message
            elif found.stopped:
                job.state = "cancelled"
            else:
                job.result = _result(found, job)
                job.state, job.progress = "done", 1.0
        except MienError as error:
            job.state, job.error = "failed", _without(error, job)
        except Exception as error:  # decoders fail in many ways; the server goes on
            job.state, job.error = (
                "failed",
                f"the clip cannot be worked on ({type(error).__name__})",
            )
        finally:
            with contextlib.suppress(OSError):
                job.upload.unlink()
            job.ended = time.monotonic()
            self.metrics.videos.labels(job.state).inc()
            if job.cancel.is_set():
                job.curves.clear()
                shutil.rmtree(job.folder, ignore_errors=True)


def _without(error: object, job: Job) -> str:
    """The error's text without the path of a temporary file."""
    return str(error).replace(str(job.upload), "the clip").replace(str(job.clip), "the clip")


def _result(found: Analysis, job: Job) -> dict[str, Any]:
    result = found.to_dict()
    result["input"] = result["clip"]["path"] = "clip"
    result["problem"] = found.problem and _without(found.problem, job).removeprefix("the clip: ")
    for entry, peak in zip(result["peaks"], found.peaks, strict=True):
        picture = base64.b64encode(png(peak.picture)).decode()
        entry["picture"] = f"data:image/png;base64,{picture}"
    shown = [face.face_id for face in found.faces[:CURVES]]
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


def forget_the_dead(alive: Callable[[int], bool] | None = None) -> None:
    """Delete what servers that were killed have left behind."""
    alive = alive or _alive
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        pid = folder.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdigit() and not alive(int(pid)) and folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # there a signal 0 would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
