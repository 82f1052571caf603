"""What a video is: opened by PyAV, decoded packet by packet, described by its header."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from mien import extras
from mien.files import exists
from mien.types import ImageArray, InputError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

SUFFIXES = frozenset(
    [
        ".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg",
        ".mts", ".mxf", ".ogv", ".ts", ".webm", ".wmv",
    ]
)  # fmt: skip
WIDEST = 4.0  # times as wide or narrow as its pixels: beyond that, a header is not believed


@dataclass(frozen=True)
class Clip:
    """What a video says of itself; sizes are those of upright frames in pixels."""

    path: str  # the file
    width: int  # pixels, as shown
    height: int  # pixels, as shown
    fps: float  # average; frames may come at other times
    frames: int | None  # as stated or estimated; None where the file does not say
    duration: float | None  # seconds
    rotation: int  # degrees by which frames are turned to stand upright, counter-clockwise
    audio: bool  # whether it has sound
    codec: str  # of the pictures


def need_av() -> None:
    """Raise MissingExtraError where PyAV is not installed."""
    extras.need("av", "video", "reading and writing videos")


def open_clip(path: str | Path) -> InputContainer:
    """An open container with at least one video stream; InputError otherwise."""
    path = Path(path)
    if not exists(path):
        raise InputError(f"{path}: no such file; give the path of a video")
    if path.is_dir():
        raise InputError(f"{path}: expected a video, got a folder; give the path of one file")
    if not path.is_file():  # reading a pipe would wait for ever
        raise InputError(
            f"{path}: expected a video file, got a pipe or a device; copy it to a file"
        )
    if path.stat().st_size == 0:
        raise InputError(f"{path}: expected a video, but the file is empty; copy it again")
    need_av()
    import av

    try:
        # names of streams and such need not be UTF-8
        container = av.open(str(path), metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: expected a video, but it cannot be opened ({reason(error)}); "
            "give a file that FFmpeg plays"
        ) from error
    if not picture_streams(container):
        container.close()
        raise InputError(f"{path}: expected a video, found no pictures in it")
    return container


def picture_streams(container: InputContainer) -> list[VideoStream]:
    """Video streams that are no cover pictures of a sound file."""
    from av.stream import Disposition

    return [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]


def reason(error: BaseException) -> str:
    """What FFmpeg says of an error, in a line."""
    return getattr(error, "strerror", None) or str(error).splitlines()[0]


def frame_rate(stream: VideoStream) -> float:
    """Frames per second, 25 where the file does not say."""
    return float(stream.average_rate or stream.guessed_rate or 25)


class Decoding:
    """Iterate over the frames of an open container; ``problem`` says afterwards what was damaged.

    A damaged packet costs its own frames only. ``end`` is where the last packet of any stream
    ends, in seconds from the container's start: it tells a file that is cut off from one whose
    sound is longer than its pictures.
    """

    def __init__(self, path: str, container: InputContainer) -> None:
        self.path, self.container = path, container
        self.stream = picture_streams(container)[0]
        self.problem: str | None = None
        self.end = 0.0

    def __iter__(self) -> Iterator[VideoFrame]:
        import av

        start = (self.container.start_time or 0) / av.time_base
        packets = self.container.demux()
        damaged = 0
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                self.problem = f"{self.path}: the file breaks off ({reason(error)})"
                packet = None
            if packet is not None and packet.size:
                self.end = max(self.end, _end(packet) - start)
            if packet is not None and packet.stream.index != self.stream.index:
                continue
            try:
                # None flushes what the decoder still holds
                frames = self.stream.decode(packet)
            except EOFError:
                frames = []
            except av.error.FFmpegError as error:
                damaged += 1
                self.problem = f"{self.path}: {damaged} packets are damaged ({reason(error)})"
                frames = []
            yield from frames
            if packet is None or packet.size == 0:
                return


def _end(packet: Packet[Any]) -> float:
    """Seconds at which a packet ends; 0 where it has no time."""
    if packet.pts is None or packet.time_base is None:
        return 0.0
    return float((packet.pts + (packet.duration or 0)) * packet.time_base)


class Scaler:
    """Makes RGB of the frames of a clip, for any thread.

    There is one for all frames: FFmpeg starts threads for each, and keeps them as long as it.
    """

    def __init__(self, interpolation: str = "BILINEAR") -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter, self._lock = VideoReformatter(), Lock()
        self.interpolation = interpolation

    def __call__(self, frame: VideoFrame, width: int, height: int) -> ImageArray:
        """The frame ``[height, width, 3] uint8``, RGB."""
        with self._lock:
            found = self._reformatter.reformat(
                frame, width, height, "rgb24", interpolation=self.interpolation
            )
        return np.asarray(found.to_ndarray(), dtype=np.uint8)


@dataclass(frozen=True)
class Upright:
    """How a frame becomes an upright picture of square pixels."""

    width: int  # before turning
    height: int
    turns: int  # quarter turns, counter-clockwise, after mirroring
    mirrored: bool  # left to right

    @classmethod
    def of(cls, frame: VideoFrame, stream: VideoStream) -> Upright:
        """What a frame's display matrix and its stream's shape of pixels ask for."""
        ratio = float(stream.sample_aspect_ratio or 1)
        wide = ratio if 1 / WIDEST <= ratio <= WIDEST else 1.0
        width = frame.width if wide == 1 else max(round(frame.width * wide), 1)
        return cls(width, frame.height, *_turned(frame))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture."""
        return (self.height, self.width) if self.turns % 2 else (self.width, self.height)

    def __call__(self, frame: VideoFrame, scale: Scaler) -> ImageArray:
        """The picture ``[H, W, 3] uint8``, RGB."""
        image = scale(frame, self.width, self.height)
        if self.mirrored:
            image = image[:, ::-1]
        return np.ascontiguousarray(np.rot90(image, self.turns), dtype=np.uint8)


def _turned(frame: VideoFrame) -> tuple[int, bool]:
    """Quarter turns and mirroring of a frame's display matrix ``[a b u, c d v, x y w]``.

    It takes a point (x, y) to (ax + cy, bx + dy), with y downwards.
    """
    from av.sidedata import sidedata

    # frame.side_data would make a circle: each frame would stay until Python looks for circles
    container: Any = sidedata.SideDataContainer
    found = container(frame).get("DISPLAYMATRIX")  # a buffer
    if found is None:
        return 0, False
    a, b, _, c, d = np.frombuffer(bytes(found), dtype=np.int32)[:5].astype(np.float64)
    mirrored = bool(a * d - b * c < 0)
    if mirrored:  # the mirror is taken out of the matrix; what is left is a rotation
        a, b = -a, -b
    return round(float(np.arctan2(-b, a)) / (np.pi / 2)) % 4, mirrored


def probe(path: str | Path) -> Clip:
    """Size, rate, length and sound of a video, from its header and first frame.

    Parameters
    ----------
    path
        A video file.

    Raises InputError for a file without a frame that can be decoded.
    """
    with open_clip(path) as container:
        decoding = Decoding(str(path), container)
        first = next(iter(decoding), None)
        if first is None:
            raise InputError(f"{path}: expected a video, but it holds no frame that can be decoded")
        stream = decoding.stream
        upright = Upright.of(first, stream)
        fps = frame_rate(stream)
        duration = None
        if stream.duration is not None and stream.time_base is not None:
            duration = float(stream.duration * stream.time_base)
        elif container.duration is not None:
            duration = container.duration / 1e6
        count = stream.frames or (round(duration * fps) if duration else None)
        return Clip(
            path=str(path),
            width=upright.size[0],
            height=upright.size[1],
            fps=fps,
            frames=count,
            duration=duration,
            rotation=90 * upright.turns,
            audio=bool(container.streams.audio),
            codec=stream.codec_context.name,
        )
