"""Write a video frame by frame, with the sound of the clip that it was made from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.files import check_writable, whole_file
from mien.types import ImageArray, InputError
from mien.video.clip import Clip, need_av
from mien.video.sound import Sound

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.stream import VideoStream

CODECS = {
    ".mp4": "libx264",
    ".m4v": "libx264",
    ".mov": "libx264",
    ".mkv": "libx264",
    ".webm": "libvpx-vp9",
}
FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
TICKS = 90_000  # per second: frames keep their own times, however uneven
BT709 = 1  # in FFmpeg's tables of primaries, transfers and matrices
LIMITED = 1  # luma from 16 to 235


def check_output(path: Path) -> None:
    """Raise InputError, before any work, where no video can be written at ``path``."""
    if path.suffix.lower() not in CODECS:
        raise InputError(f"{path}: expected a name ending in {', '.join(CODECS)}; rename it")
    check_writable(path)


@contextmanager
def video_sink(
    path: Path, clip: Clip, *, sound: bool = True, quality: int = 20
) -> Iterator[VideoSink]:
    """A sink whose file gets its name on a clean exit; after an error nothing is left.

    Nor is anything left where no frame was written. Raises InputError where it cannot be written.
    """
    check_output(path)
    need_av()
    with suppress(_Empty), whole_file(path) as part:
        sink = VideoSink(part, path.suffix.lower(), clip, sound=sound, quality=quality)
        try:
            yield sink
            if not sink.count:
                raise _Empty
            sink.finish()
        finally:
            sink.release()


class _Empty(Exception):  # noqa: N818 - nothing failed
    """No frame was written."""


class VideoSink:
    """A video that is written frame by frame.

    H.264 (VP9 in WebM), in the colours of BT.709 and tagged so, with the frames' own times. The
    clip's first sound track is copied where the new container takes it, and else encoded anew
    (AAC; Opus in WebM). ``count`` frames are written; ``problem`` says what the sound lacks.
    """

    def __init__(self, part: Path, suffix: str, clip: Clip, *, sound: bool, quality: int) -> None:
        import av
        from av.video.reformatter import VideoReformatter

        self.count = 0
        self._reformatter = VideoReformatter()  # one for all frames: each has threads
        self._out = av.open(str(part), "w", format=FORMATS[suffix])
        self._last = -1
        # both codecs halve the colours' resolution: sides must be even
        self.width, self.height = clip.width + clip.width % 2, clip.height + clip.height % 2
        self._video = self._video_stream(suffix, clip, quality)
        self._sound = Sound(clip.path, self._out, suffix) if sound and clip.audio else None

    @property
    def problem(self) -> str | None:
        """What is wrong with the sound, None where all is well."""
        return None if self._sound is None else self._sound.problem

    def _video_stream(self, suffix: str, clip: Clip, quality: int) -> VideoStream:
        rate = Fraction(clip.fps).limit_denominator(1001)
        stream: VideoStream = self._out.add_stream(CODECS[suffix], rate=rate)  # type: ignore[assignment]  # a codec of pictures
        stream.width, stream.height = self.width, self.height
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, TICKS)
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = LIMITED
        if suffix == ".webm":
            speed = {"deadline": "realtime", "cpu-used": "6", "b": "0"}
            stream.options = {**speed, "crf": str(quality + 12)}
        else:
            stream.options = {"preset": "veryfast", "crf": str(quality)}
        return stream

    def write(self, image: ImageArray, timestamp: float) -> None:
        """Append one frame ``[H, W, 3]``; frames of another size are scaled to the first's."""
        frame = self._converted(image)
        frame.pts = max(round(timestamp * TICKS), self._last + 1)
        frame.time_base = Fraction(1, TICKS)
        self._last = frame.pts
        self.count += 1
        if self._sound is not None:
            self._sound.write(timestamp)
        self._out.mux(self._video.encode(frame))

    def _converted(self, image: ImageArray) -> VideoFrame:
        import av
        from av.video.reformatter import ColorRange, Colorspace

        height, width = image.shape[:2]
        if (self.width - width, self.height - height) in ((0, 1), (1, 0), (1, 1)):
            image = np.pad(
                image, ((0, self.height - height), (0, self.width - width), (0, 0)), mode="edge"
            )
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        return self._reformatter.reformat(
            frame,
            self.width,
            self.height,
            "yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )

    def finish(self) -> None:
        """Write what the encoder still holds, and the sound up to the last picture."""
        self._out.mux(self._video.encode(None))
        if self._sound is not None:
            self._sound.write(self._last / TICKS + 0.1)
        self._out.close()

    def release(self) -> None:
        """Close the files, whatever has happened to them."""
        if self._sound is not None:
            self._sound.close()
        with suppress(Exception):
            self._out.close()
