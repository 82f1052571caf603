"""The loop of a live picture: newest frame in, faces and their latency out."""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from mien.results import draw
from mien.types import ImageArray
from mien.video.annotate import Annotator
from mien.video.camera import Camera
from mien.video.clip import Clip
from mien.video.frames import Follower, FrameResult, VideoOptions
from mien.video.sink import video_sink
from mien.video.timeline import timeline_writer

if TYPE_CHECKING:
    from mien.recognizer import Recognizer


@dataclass
class Meter:
    """How late answers come, over the last 100 pictures."""

    started: float = field(default_factory=time.perf_counter)
    count: int = 0
    missed: int = 0
    late: deque[float] = field(default_factory=lambda: deque(maxlen=100))
    times: deque[float] = field(default_factory=lambda: deque(maxlen=30))

    def add(self, latency: float, missed: int) -> None:
        """Take note of one answer."""
        self.count += 1
        self.missed += missed
        self.late.append(latency)
        self.times.append(time.perf_counter())

    @property
    def median(self) -> float:
        """Seconds from picture to answer."""
        return statistics.median(self.late) if self.late else 0.0

    @property
    def rate(self) -> float:
        """Pictures per second."""
        passed = self.times[-1] - self.times[0] if len(self.times) > 1 else 0.0
        return (len(self.times) - 1) / passed if passed else 0.0


@dataclass(frozen=True, eq=False)
class LiveAnswer:
    """One answer: ``image`` is the annotated picture, None where none was asked for."""

    result: FrameResult
    image: ImageArray | None
    latency: float  # seconds from picture to answer


def run(
    camera: Camera,
    recognizer: Recognizer,
    options: VideoOptions,
    meter: Meter,
    *,
    record: Path | None = None,
    timeline: Path | None = None,
    drawn: bool = True,
) -> Generator[LiveAnswer, None, None]:
    """Answers as they come, until the pictures end, the caller stops asking, or Control-C.

    Writes nothing unless ``record`` or ``timeline`` says where.
    """
    name = f"camera {camera.source}" if isinstance(camera.source, int) else camera.source
    follow = Follower(recognizer, options, name)
    annotate = Annotator(landmarks=options.landmarks)
    with ExitStack() as stack:
        table = sink = None
        if timeline is not None:
            table = stack.enter_context(
                timeline_writer(timeline, recognizer.labels, recognizer.prior, recognizer.measured)
            )
        if record is not None:
            clip = Clip(name, camera.width, camera.height, 25.0, None, None, 0, False, "")
            sink = stack.enter_context(video_sink(record, clip, sound=False))
        try:
            for live in camera:
                result = follow([live.frame])[0]
                latency = time.perf_counter() - live.taken
                meter.add(latency, live.missed)
                image = None
                if drawn:
                    image = _stamped(annotate(live.frame.image, result.faces), meter)
                if table is not None:
                    table.add(result.rows)
                if sink is not None and image is not None:
                    sink.write(image, live.frame.timestamp)
                yield LiveAnswer(result, image, latency)
        except (GeneratorExit, KeyboardInterrupt):
            pass  # what was recorded is kept


def _stamped(image: ImageArray, meter: Meter) -> ImageArray:
    """The picture with its latency in a corner."""
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    size = max(min(image.shape[:2]) // 40, 11)
    text = f"{meter.late[-1] * 1000:.0f} ms late, {meter.rate:.0f} per second"
    width = pen.textlength(text, font=draw.font(size))
    pen.rectangle((0, 0, width + size, 1.6 * size), fill=draw.INK)
    pen.text((size / 2, 0.8 * size), text, fill=draw.PAPER, font=draw.font(size), anchor="lm")
    return np.asarray(picture)
