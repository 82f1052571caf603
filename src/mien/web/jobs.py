"""Videos as jobs: one at a time, in a thread, with progress; files are deleted after use."""

from __future__ import annotations

import asyncio
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

from mien.types import MienError, MissingExtraError
from mien.video import VideoOptions, probe
from mien.web.choices import OWN, Choice, Choices
from mien.web.clips import analyse_job, too_long_text, without_paths
from mien.web.formats import is_video
from mien.web.home import Home
from mien.web.job import Job
from mien.web.limits import Refusal, too_many
from mien.web.metrics import Metrics
from mien.web.settings import Limits

KEPT = 8  # finished jobs; the oldest go first
HEAD = 1 << 20  # bytes of a file from which its kind is known


class Jobs:
    """The videos of one server, in a folder that only its user can read."""

    def __init__(self, choices: Choices, limits: Limits, metrics: Metrics) -> None:
        self.choices, self.limits, self.metrics = choices, limits, metrics
        self.jobs: dict[str, Job] = {}
        self._home = Home()
        self._pool = ThreadPoolExecutor(1, "mien-video")
        metrics.gauge("mien_videos_kept", "Video jobs in memory.", lambda: len(self.jobs))

    def open(self, options: VideoOptions, caller: str, choice: Choice = OWN) -> Job:
        """A new job, still without a clip; 429 or 503 where too many are under way."""
        self.sweep()
        busy = [job for job in self.jobs.values() if job.ended is None]
        if sum(job.caller == caller for job in busy) >= self.limits.video_per_caller:
            raise too_many(self.limits.video_per_caller, "videos")
        if len(busy) >= self.limits.video_waiting:
            raise Refusal(
                503,
                "busy",
                f"{len(busy)} videos wait or are being analysed, and no more are taken; "
                "ask again later",
                {"Retry-After": "10"},
            )
        job = Job(self._home.new_folder(), options, caller, choice)
        self.jobs[job.id] = job
        return job

    def check(self, job: Job) -> None:
        """Refusal where the clip of a job is no video, too long or too large."""
        with job.upload.open("rb") as file:
            if not is_video(file.read(HEAD)):
                raise Refusal(
                    422, "not_a_video", "expected a video (MP4, MOV, WebM, MKV, AVI, MPEG, OGG)"
                )
        try:
            clip = probe(job.upload)
        except MissingExtraError as error:
            raise Refusal(501, "not_installed", str(error)) from error
        except MienError as error:
            raise Refusal(422, "not_a_video", without_paths(error, job)) from error
        job.of = clip.frames
        if clip.duration is not None and clip.duration > self.limits.video_seconds:
            raise Refusal(413, "too_long", too_long_text(self.limits, clip.duration))
        if clip.width * clip.height > self.limits.video_pixels:
            raise Refusal(
                413,
                "too_many_pixels",
                f"expected frames of at most {self.limits.video_pixels / 1e6:g} million pixels, "
                f"got {clip.width} x {clip.height}; send a smaller one",
            )

    def start(self, job: Job) -> None:
        """Analyse a job's clip as soon as those before it are done."""
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
        """Delete what ended long ago."""
        now = time.monotonic()
        ended = sorted((j for j in self.jobs.values() if j.ended), key=lambda j: j.ended or 0.0)
        for i, job in enumerate(ended):
            if i < len(ended) - KEPT or now - (job.ended or now) > self.limits.video_kept:
                self.drop(job)

    async def sweep_periodically(self) -> None:
        """Sweep at intervals, also while there are no requests."""
        while True:
            await asyncio.sleep(min(self.limits.video_kept, 30.0))
            self.sweep()

    async def close(self) -> None:
        """Stop and delete everything."""
        for job in list(self.jobs.values()):
            self.drop(job)
        await asyncio.to_thread(self._pool.shutdown)
        self._home.close()

    def abandon(self, job: Job) -> None:
        """Delete a job whose clip never came or was refused."""
        job.ended = time.monotonic()
        self.drop(job)

    def _work(self, job: Job) -> None:
        analyse_job(job, self.choices.get(job.choice), self.limits)
        self.metrics.videos.labels(job.state).inc()
