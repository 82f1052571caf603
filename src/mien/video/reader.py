"""Frames of a video by PyAV: upright, RGB, with the times at which a player shows them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from mien.files import exists
from mien.types import ImageArray, InputError, MissingExtraError

SUFFIXES = frozenset(
    [
        ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg",
        ".mts", ".mxf", ".ogv", ".ts", ".webm", ".wmv",
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Clip:
    """What a video says of itself; sizes are those of upright frames in pixels."""

    path: str
    width: int
    height: int
    fps: float  # average; frames may come at other times
    frames: int | None  # as stated or estimated; None where the file does not say
    duration: float | None  # seconds
    rotation: int  # degrees by which frames are turned to stand upright, counter-clockwise
    audio: bool
    codec: str


@dataclass(frozen=True, eq=False)
class Frame:
    """One upright frame; ``timestamp`` in seconds from the clip's start.

    Its pixels are made when they are asked for, so that frames that nobody looks at cost little.
    """

    number: int
    timestamp: float
    make: Callable[[], ImageArray]
    size: tuple[int, int]  # width and height of the image, in pixels

    @cached_property
    def image(self) -> ImageArray:
        """``[H, W, 3] uint8``, RGB."""
        return self.make()

    @classmethod
    def of(cls, number: int, timestamp: float, image: ImageArray) -> Frame:
        """A frame of pixels that are there already, such as a camera's."""
        return cls(number, timestamp, lambda: image, (image.shape[1], image.shape[0]))


def need_av() -> Any:
    """PyAV, or MissingExtraError."""
    try:
        import av
    except ImportError as error:
        raise MissingExtraError(
            "videos need PyAV, which is not installed; run: pip install 'mien[video]'"
        ) from error
    return av


def open_clip(path: str | Path) -> Any:
    """An open container with at least one video stream; InputError otherwise."""
    path = Path(path)
    if not exists(path):
        raise InputError(f"{path}: no such file; give the path of a video")
    if path.is_dir():
        raise InputError(f"{path}: expected a video, got a folder; give the path of one file")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path}: expected a video, but the file is empty; copy it again")
    av = need_av()
    try:
        # names of streams and such need not be UTF-8
        container = av.open(str(path), metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: expected a video, but it cannot be opened ({_reason(error)}); "
            "give a file that FFmpeg plays"
        ) from error
    if not _videos(container):
        container.close()
        raise InputError(f"{path}: expected a video, found no pictures in it")
    return container


def _videos(container: Any) -> list[Any]:
    """Video streams that are no cover pictures of a sound file."""
    av = need_av()
    cover = av.stream.Disposition.attached_pic
    return [s for s in container.streams.video if not s.disposition & cover]


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error).splitlines()[0]


def probe(path: str | Path) -> Clip:
    """Size, rate, length and sound of a video, from its header and first frame.

    Raises InputError for a file without a frame that can be decoded.
    """
    av = need_av()
    with open_clip(path) as container:
        stream = _videos(container)[0]
        first = None
        with contextlib.suppress(av.error.FFmpegError, EOFError):
            first = next(container.decode(stream), None)
        if first is None:
            raise InputError(f"{path}: expected a video, but it holds no frame that can be decoded")
        turn = int(round(first.rotation / 90) * 90) % 360
        width, height = _shape(first, stream)
        fps = float(stream.average_rate or stream.guessed_rate or 25)
        duration = None
        if stream.duration is not None:
            duration = float(stream.duration * stream.time_base)
        elif container.duration is not None:
            duration = container.duration / 1e6
        count = stream.frames or (round(duration * fps) if duration else None)
        return Clip(
            path=str(path),
            width=height if turn % 180 else width,
            height=width if turn % 180 else height,
            fps=fps,
            frames=count,
            duration=duration,
            rotation=turn,
            audio=bool(container.streams.audio),
            codec=stream.codec_context.name,
        )


def _shape(frame: Any, stream: Any) -> tuple[int, int]:
    """Width and height with square pixels, before turning."""
    ratio = stream.sample_aspect_ratio
    wide = float(ratio) if ratio else 1.0
    return (frame.width if wide == 1 else max(round(frame.width * wide), 1)), frame.height


class read_frames:  # noqa: N801 - called like a function, it can be asked what went wrong
    """Iterate over the frames of a video; ``problem`` says afterwards where it broke off.

    ``count`` and ``end`` are the frames read so far and the time of the last one.

    Frames are turned upright and scaled to square pixels. A frame without a time is given one
    frame's length after the last. A file that breaks off ends the iteration, not the program:
    what was there has been yielded. Memory does not grow with the length.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self.problem: str | None = None
        self.count = 0
        self.end = 0.0

    def __iter__(self) -> Iterator[Frame]:
        av = need_av()
        with open_clip(self.path) as container:
            stream = _videos(container)[0]
            stream.thread_type = "AUTO"
            rate = float(stream.average_rate or stream.guessed_rate or 25)
            start: float | None = None
            last = -1.0 / rate
            for number, frame in enumerate(self._decoded(av, container, stream)):
                time = frame.time
                if start is None:
                    start = time or 0.0
                time = last + 1 / rate if time is None else time - start
                # times must grow, whatever a broken file says
                time = time if time > last else last + 1e-3
                last = self.end = time
                self.count = number + 1
                width, height = _shape(frame, stream)
                turns = round(frame.rotation / 90) % 4
                size = (height, width) if turns % 2 else (width, height)
                yield Frame(number, time, partial(_upright, frame, width, height, turns), size)

    def _decoded(self, av: Any, container: Any, stream: Any) -> Iterator[Any]:
        damaged = 0
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                self.problem = f"{self.path}: the file breaks off ({_reason(error)})"
                packet = None
            try:
                # None flushes what the decoder still holds
                frames = stream.decode(packet)
            except EOFError:
                frames = []
            except av.error.FFmpegError as error:
                damaged += 1  # a damaged packet costs its own frames only
                self.problem = f"{self.path}: {damaged} packets are damaged ({_reason(error)})"
                frames = []
            yield from frames
            if packet is None or packet.size == 0:
                return


def _upright(frame: Any, width: int, height: int, turns: int) -> ImageArray:
    image = frame.to_ndarray(format="rgb24", width=width, height=height)
    return np.ascontiguousarray(np.rot90(image, turns))
