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
from mien.video.analysis import closer
from mien.video.annotate import Annotator
from mien.video.camera import Camera
from mien.video.frames import Follower, FrameResult, Options
from mien.video.reader import Clip
from mien.video.sink import VideoSink
from mien.video.timeline import TimelineWriter

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
class Shown:
    """One answer: ``image`` is the annotated picture, None where none was asked for."""

    result: FrameResult
    image: ImageArray | None
    latency: float  # seconds from picture to answer


def run(
    camera: Camera,
    recognizer: Recognizer,
    options: Options,
    meter: Meter,
    *,
    record: Path | None = None,
    timeline: Path | None = None,
    drawn: bool = True,
) -> Generator[Shown, None, None]:
    """Answers as they come, until the pictures end or the caller stops asking.

    Writes nothing unless ``record`` or ``timeline`` says where.
    """
    name = f"camera {camera.source}" if isinstance(camera.source, int) else camera.source
    follow = Follower(recognizer, options, name)
    annotate = Annotator()
    with ExitStack() as stack:
        table = sink = None
        if timeline is not None:
            table = TimelineWriter(timeline, recognizer.labels)
            stack.push(closer(table))
        if record is not None:
            clip = Clip(name, camera.width, camera.height, 25.0, None, None, 0, False, "")
            sink = VideoSink(record, clip, sound=False)
            stack.push(closer(sink))
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
            yield Shown(result, image, latency)


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
