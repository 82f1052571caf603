"""Write a video, with the sound of the clip that it was made from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mien.files import check_writable
from mien.types import ImageArray, InputError
from mien.video.reader import Clip, need_av

CODECS = {".mp4": "libx264", ".m4v": "libx264", ".mov": "libx264", ".mkv": "libx264",
          ".webm": "libvpx-vp9"}  # fmt: skip
FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
TICKS = 90_000  # per second: frames keep their own times, however uneven


def check_output(path: Path) -> None:
    """Raise InputError, before any work, where no video can be written at ``path``."""
    if path.suffix.lower() not in CODECS:
        raise InputError(f"{path}: expected a name ending in {', '.join(CODECS)}; rename it")
    check_writable(path)


class VideoSink:
    """A video that is written frame by frame; it gets its name when it is closed.

    H.264 (VP9 in WebM), with the frames' own times. The clip's first sound track is copied where
    the new container takes it, and else encoded anew (AAC; Opus in WebM).
    """

    def __init__(self, path: Path, clip: Clip, *, sound: bool = True, quality: int = 20) -> None:
        check_output(path)
        av = need_av()
        self.path, self._part = path, path.with_name(path.name + ".part")
        kind = path.suffix.lower()
        self._out = av.open(str(self._part), "w", format=FORMATS[kind])
        self.problem: str | None = None
        rate = Fraction(clip.fps).limit_denominator(1001)
        self._video = self._out.add_stream(CODECS[kind], rate=rate)
        # both codecs halve the colours' resolution: sides must be even
        self.width, self.height = clip.width + clip.width % 2, clip.height + clip.height % 2
        self._video.width, self._video.height = self.width, self.height
        self._video.pix_fmt = "yuv420p"
        self._video.codec_context.time_base = Fraction(1, TICKS)
        speed = {"preset": "veryfast", "crf": str(quality)}
        vp9 = {"deadline": "realtime", "cpu-used": "6", "crf": str(quality + 12), "b": "0"}
        self._video.options = vp9 if kind == ".webm" else speed
        self._last = -1
        self._sound: Iterator[Any] | None = None
        self._waiting: Any = None
        self._clock = 0.0  # seconds of sound that are written
        if sound and clip.audio:
            self._sound = self._open_sound(av, clip.path, kind)

    def write(self, image: ImageArray, timestamp: float) -> None:
        """Append one frame ``[H, W, 3]``; frames of another size are scaled to the first's."""
        av = need_av()
        height, width = image.shape[:2]
        if (self.width - width, self.height - height) in ((0, 1), (1, 0), (1, 1)):
            image = np.pad(
                image, ((0, self.height - height), (0, self.width - width), (0, 0)), mode="edge"
            )
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        if image.shape[:2] != (self.height, self.width):
            frame = frame.reformat(self.width, self.height)
        frame.pts = max(round(timestamp * TICKS), self._last + 1)
        frame.time_base = Fraction(1, TICKS)
        self._last = frame.pts
        self._write_sound(timestamp)
        self._out.mux(self._video.encode(frame))

    def close(self, *, keep: bool = True) -> None:
        """Finish the file and give it its name; with ``keep=False`` leave nothing behind."""
        try:
            if keep and self._last >= 0:
                self._out.mux(self._video.encode(None))
                self._write_sound(self._last / TICKS + 0.1)
                if self._sound is not None:
                    self._sound.close()  # type: ignore[attr-defined]  # it is a generator
                self._out.close()
                self._part.replace(self.path)
            else:
                with contextlib.suppress(Exception):
                    self._out.close()
        finally:
            with contextlib.suppress(OSError):
                self._part.unlink()

    def _write_sound(self, until: float) -> None:
        """Sound packets up to a time, so that both are interleaved and neither waits in memory."""
        while self._sound is not None and self._clock <= until:
            packet = next(self._sound, None)
            if packet is None:
                self._sound = None
                return
            if packet.pts is not None and packet.time_base is not None:
                self._clock = float(packet.pts * packet.time_base)
            self._out.mux(packet)

    def _open_sound(self, av: Any, path: str, kind: str) -> Iterator[Any]:
        source = av.open(path, metadata_errors="replace")
        track = source.streams.audio[0]
        shift = source.streams.video[0].start_time
        start = 0.0 if shift is None else float(shift * source.streams.video[0].time_base)
        name = track.codec_context.name
        if name in self._out.supported_codecs:
            out = self._out.add_stream_from_template(track)
            return self._copied(av, source, track, out, start)
        new = self._out.add_stream(
            "libopus" if kind == ".webm" else "aac", rate=48000 if kind == ".webm" else track.rate
        )
        return self._encoded(av, source, track, new, start)

    def _copied(self, av: Any, source: Any, track: Any, out: Any, start: float) -> Iterator[Any]:
        with source:
            try:
                for packet in source.demux(track):
                    if packet.dts is None:
                        continue
                    moved = round(start / packet.time_base)
                    if packet.pts is not None:
                        packet.pts -= moved
                    packet.dts -= moved
                    packet.stream = out
                    yield packet
            except av.error.FFmpegError as error:
                self.problem = f"{self.path}: the sound breaks off ({error.strerror})"

    def _encoded(self, av: Any, source: Any, track: Any, out: Any, start: float) -> Iterator[Any]:
        with source:
            moved = None
            try:
                for frame in source.decode(track):
                    moved = round(start / frame.time_base) if moved is None else moved
                    if frame.pts is not None:
                        frame.pts -= moved
                    yield from out.encode(frame)
            except av.error.FFmpegError as error:
                self.problem = f"{self.path}: the sound breaks off ({error.strerror})"
            yield from out.encode(None)
