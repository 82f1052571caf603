"""The sound of a clip on its way into another file: copied where it fits, else encoded anew."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from mien.video.clip import reason
from mien.video.times import GrowingTimes

if TYPE_CHECKING:
    from av import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet

ENCODERS = {".webm": ("libopus", 48_000)}  # of other containers: AAC at the track's own rate


class Sound:
    """The first sound track of a clip, as packets of a stream of ``out``, in order of time.

    What is damaged is left out, times that repeat or restart go on; ``problem`` says so
    afterwards. No fault of the sound costs the pictures.
    """

    def __init__(self, path: str, out: OutputContainer, suffix: str) -> None:
        import av

        self.path, self.out = path, out
        self.problem: str | None = None
        self._damaged = 0
        self._waiting: Packet[AudioStream] | None = None
        self._packets: Iterator[Packet[AudioStream]] = iter(())
        try:
            source = av.open(path, metadata_errors="replace")
            try:
                self._packets = self._opened(source, suffix)
            except BaseException:
                source.close()
                raise
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._lost(error)

    def write(self, until: float) -> None:
        """Mux packets up to a time in seconds: neither sound nor pictures wait in memory."""
        import av

        while True:
            packet = self._waiting or next(self._packets, None)
            self._waiting = None
            if packet is None:
                return
            if _seconds(packet) > until:
                self._waiting = packet  # a damaged file may say hours: then it is never written
                return
            try:
                self.out.mux(packet)
            except (av.error.InvalidDataError, av.error.ArgumentError) as error:
                self._note(error)

    def close(self) -> None:
        """Close the clip that the sound comes from."""
        if hasattr(self._packets, "close"):
            self._packets.close()

    def _opened(self, source: InputContainer, suffix: str) -> Iterator[Packet[AudioStream]]:
        track = source.streams.audio[0]
        if not track.codec_context.sample_rate or not track.codec_context.channels:
            raise ValueError("it has no sample rate or no channels")
        pictures = source.streams.video[0]
        start = 0.0
        if pictures.start_time is not None and pictures.time_base is not None:
            start = float(pictures.start_time * pictures.time_base)
        if track.codec_context.name in self.out.supported_codecs:
            copy = self.out.add_stream_from_template(track)
            return self._copied(source, track, copy, start)
        codec, rate = ENCODERS.get(suffix, ("aac", track.rate))
        return self._encoded(source, track, self.out.add_stream(codec, rate=rate), start)  # type: ignore[arg-type]  # both are codecs of sound

    def _copied(
        self, source: InputContainer, track: AudioStream, copy: AudioStream, start: float
    ) -> Iterator[Packet[AudioStream]]:
        times: GrowingTimes | None = None
        with source:
            for packet in self._read(source, track):
                times = times or GrowingTimes(_ticks(start, packet.time_base))
                late = 0 if None in (packet.pts, packet.dts) else packet.pts - packet.dts  # type: ignore[operator]  # neither is None
                packet.dts = round(times(packet.dts, max(packet.duration or 0, 1)))
                packet.pts = packet.dts + max(late, 0)
                packet.stream = copy
                yield packet

    def _encoded(
        self, source: InputContainer, track: AudioStream, new: AudioStream, start: float
    ) -> Iterator[Packet[AudioStream]]:
        import av

        times: GrowingTimes | None = None
        with source:
            for packet in self._read(source, track):
                try:
                    for frame in track.decode(packet):
                        times = times or GrowingTimes(_ticks(start, frame.time_base))
                        frame.pts = round(times(frame.pts, _length(frame)))
                        yield from new.encode(frame)
                except (av.error.FFmpegError, ValueError) as error:
                    self._note(error)
            yield from new.encode(None)

    def _read(self, source: InputContainer, track: AudioStream) -> Iterator[Packet[AudioStream]]:
        """Packets that hold something; a file that breaks off ends them."""
        import av

        packets = source.demux(track)
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, OSError) as error:
                self._lost(error)
                return
            if packet is None:
                return
            if packet.size:
                yield packet

    def _note(self, error: BaseException) -> None:
        self._damaged += 1
        self.problem = (
            f"{self.path}: {self._damaged} packets of its sound are damaged ({reason(error)})"
        )

    def _lost(self, error: BaseException) -> None:
        self.problem = f"{self.path}: its sound cannot be read ({reason(error)})"


def _seconds(packet: Packet[AudioStream]) -> float:
    if packet.pts is None or packet.time_base is None:
        return 0.0
    return float(packet.pts * packet.time_base)


def _ticks(seconds: float, base: Fraction | None) -> int:
    return round(seconds / base) if base else 0


def _length(frame: AudioFrame) -> int:
    """How long a frame of sound is, in ticks of its time base, at least 1."""
    return max(_ticks(frame.samples / frame.sample_rate, frame.time_base), 1)
