"""Small drawn clips: two persons with changing expressions, in every kind of container."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np

from mien.data import scene
from mien.data.strokes import picture
from mien.types import ImageArray

SIDE = 150  # pixels of a drawn face
WIDTH, HEIGHT = 400, 300


@cache
def drawn(person: int, label: str) -> ImageArray:
    """One face, the same for the same arguments but for its expression."""
    rng = np.random.default_rng(person)
    view = replace(scene.scene(rng, False), clutter=0, noise=2)
    return picture(scene.person(person), scene.MUSCLES[label], view, SIDE)[0]


def empty() -> ImageArray:
    return np.full((HEIGHT, WIDTH, 3), (90, 90, 120), np.uint8)


def frames(count: int, labels: Sequence[str] = ("happy", "surprise")) -> Iterator[ImageArray]:
    """Two persons who pass each other: person 3 goes right, person 23 goes left.

    The model is sure of both; many drawn faces at rest have brows that it takes for surprise.
    """
    for n in range(count):
        image = empty()
        label = labels[n * len(labels) // count]
        way = (WIDTH - SIDE) * n // max(count - 1, 1)
        image[4 : 4 + SIDE, way : way + SIDE] = drawn(3, label)
        image[-SIDE:, WIDTH - SIDE - way : WIDTH - way] = drawn(23, "neutral")
        yield image


def write(
    path: Path,
    count: int = 24,
    *,
    rate: int = 12,
    times: Sequence[float] | None = None,
    sound: str | None = None,
    turned: int = 0,
    images: Sequence[ImageArray] | None = None,
) -> Path:
    """A clip of ``count`` frames; ``times`` makes their rate uneven, ``turned`` sets the flag."""
    with av.open(str(path), "w") as out:
        codec = "libvpx-vp9" if path.suffix == ".webm" else "libx264"
        stream: Any = out.add_stream(codec, rate=rate)  # of pictures, which its type leaves open
        pictures = list(images if images is not None else frames(count))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.options = (
            {"preset": "ultrafast", "crf": "18"}
            if codec == "libx264"
            else {"deadline": "realtime", "cpu-used": "8", "g": "8"}
        )
        stream.codec_context.time_base = Fraction(1, 1000)
        if turned:
            stream.set_display_rotation(turned)
        track: Any = out.add_stream(sound, rate=48000) if sound else None
        for n, image in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = round(1000 * (times[n] if times else n / rate))
            frame.time_base = Fraction(1, 1000)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if track is not None:
            for tone in _tone(len(pictures) / rate, track.format.name):
                out.mux(track.encode(tone))
            out.mux(track.encode(None))
    return path


def _tone(seconds: float, kind: str) -> Iterator[av.AudioFrame]:
    for start in range(0, int(seconds * 48000), 960):
        wave = 0.2 * np.sin(2 * np.pi * 440 * (start + np.arange(960)) / 48000)
        samples = (wave * 32767).astype(np.int16) if kind.startswith("s16") else wave.astype("f4")
        frame = av.AudioFrame.from_ndarray(samples[None], format=kind, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        yield frame
