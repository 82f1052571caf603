"""Photographs and clips for measuring: drawn faces and the portrait on drawn backgrounds."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from mien.data import scene, synthetic
from mien.data.strokes import picture
from mien.emotions import SEVEN
from mien.types import ImageArray

PORTRAIT = Path(__file__).parent.parent / "examples" / "astronaut.jpg"


def photographs(
    folder: Path, count: int, size: tuple[int, int] = (640, 480), distinct: int = 200
) -> Path:
    """A folder of ``count`` JPEGs with no, one or two faces each.

    ``distinct`` are drawn, the others are links to them: every file is opened, read and decoded
    all the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(PORTRAIT) as image:
        portrait = image.convert("RGB").crop((90, 0, 350, 260))
    drawn = [
        Image.fromarray(synthetic.face(label, subject=s, number=s, size=256).image)
        for s in range(4)
        for label in SEVEN
    ]
    for n in range(count):
        path = folder / f"{n:07d}.jpg"
        if n >= distinct:
            os.link(folder / f"{n % distinct:07d}.jpg", path)
            continue
        rng = np.random.default_rng([7, n])
        back = Image.fromarray(rng.integers(60, 200, (6, 8, 3), dtype=np.uint8))
        photo = back.resize(size, Image.Resampling.BICUBIC)
        for half in range(n % 3):
            face = portrait if rng.random() < 0.5 else drawn[rng.integers(len(drawn))]
            side = int(size[1] * rng.uniform(0.3, 0.55))
            left = half * size[0] // 2 + int(rng.integers(0, max(size[0] // 2 - side, 1)))
            top = int(rng.integers(0, size[1] - side))
            photo.paste(face.resize((side, side)), (left, top))
        photo.save(path, quality=88)
    return folder


def clip(path: Path, seconds: int, rate: int = 25, size: tuple[int, int] = (640, 360)) -> Path:
    """Two drawn people who walk to and fro and change their expression, with a tone."""
    import av

    side = 160
    people = []
    for number in (3, 8):
        rng = np.random.default_rng(number)
        view = replace(scene.scene(rng, False), clutter=0, noise=2)
        who = scene.person(number)
        people.append([picture(who, scene.MUSCLES[n], view, side)[0] for n in SEVEN])
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt, stream.options = "yuv420p", {"preset": "ultrafast"}
        sound = out.add_stream("aac", rate=48000)
        for n in range(seconds * rate):
            frame = av.VideoFrame.from_ndarray(_scene(n / rate, people, size, side), format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, rate)
            out.mux(stream.encode(frame))
            if n % rate == 0:
                wave = 0.1 * np.sin(2 * np.pi * 440 * np.arange(48000) / 48000)
                for start in range(0, 48000, 960):
                    part = wave[None, start : start + 960].astype(np.float32)
                    tone = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
                    tone.sample_rate, tone.time_base = 48000, Fraction(1, 48000)
                    tone.pts = (n // rate) * 48000 + start
                    out.mux(sound.encode(tone))
        out.mux(stream.encode(None))
        out.mux(sound.encode(None))
    return path


def _scene(
    time: float, people: list[list[ImageArray]], size: tuple[int, int], side: int
) -> ImageArray:
    image = np.full((size[1], size[0], 3), (96, 104, 120), np.uint8)
    for i, faces in enumerate(people):
        there = 0.5 - 0.5 * np.cos(2 * np.pi * (time / 20 + i / 2))
        left, top = int((size[0] - side) * there), 10 + i * (size[1] - side - 20)
        image[top : top + side, left : left + side] = faces[int(time / 3 + 3 * i) % len(SEVEN)]
    return image
