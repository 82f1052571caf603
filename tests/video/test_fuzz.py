"""Mutated clips: an answer, a problem that is named, or one error; nothing raw, nothing left.

``MIEN_FUZZ`` is how many of them (``make fuzz``); 350 took two minutes on one core.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import numpy as np

import mien
from mien import video
from mien.types import MienError
from mien.video.reader import read_frames
from tests.video import clips

COUNT = int(os.environ.get("MIEN_FUZZ", "28"))
KINDS = (
    (".mp4", "aac"),
    (".mkv", "aac"),
    (".ts", "aac"),
    (".webm", None),
    (".mov", "aac"),
    (".mkv", "libopus"),
    (".avi", None),
)


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed, a stretch overwritten, the end cut off, or a stretch repeated."""
    wrong = bytearray(data)
    at, size = int(rng.integers(len(data))), int(rng.integers(1, len(data) // 2))
    kind = rng.integers(4)
    if kind == 0:
        for place in rng.integers(0, len(data), int(rng.integers(1, 30))):
            wrong[int(place)] = int(rng.integers(256))
    elif kind == 1:
        stretch = wrong[at : at + size]
        wrong[at : at + size] = rng.integers(0, 256, len(stretch), np.uint8).tobytes()
    elif kind == 2:
        del wrong[max(at, 1) :]
    else:
        other = int(rng.integers(len(data)))
        wrong[at : at + 5000] = wrong[other : other + 5000]
    return bytes(wrong)


def test_mutated_clips_are_answered_named_or_refused(tmp_path: Path) -> None:
    recognizer = mien.load(detector="none", threads=1)
    images = [np.ascontiguousarray(image[::3, ::3]) for image in clips.frames(12)]
    whole = [
        clips.write(tmp_path / f"{n}{suffix}", images=images, sound=sound).read_bytes()
        for n, (suffix, sound) in enumerate(KINDS)
    ]
    folder = tmp_path / "work"
    folder.mkdir()
    ends = {"answered": 0, "refused": 0}
    slowest, start = (0.0, -1), peak()
    for n in range(COUNT):
        rng = np.random.default_rng(n)
        path = folder / f"clip{KINDS[n % len(KINDS)][0]}"
        path.write_bytes(mutated(whole[n % len(KINDS)], rng))
        out, table = folder / ("out.mp4" if n % 3 else "out.webm"), folder / "rows.csv"
        problem = None
        began = time.perf_counter()
        try:
            options = video.VideoOptions(every=4)
            result = video.analyse(
                path, recognizer=recognizer, options=options, output=out, timeline=table
            )
            ends["answered"] += 1
            assert len(list(read_frames(out))) == result.frames, n
            problem = result.problem
        except MienError as error:
            ends["refused"] += 1
            problem = str(error)
        slowest = max(slowest, (time.perf_counter() - began, n))
        assert "\n" not in (problem or ""), n
        assert {p.name for p in folder.iterdir()} <= {path.name, out.name, table.name}, n
        for left in folder.iterdir():
            left.unlink()
    print(f"\n{COUNT} clips: {ends}, {(peak() - start) / 1e3:.0f} MB, slowest {slowest[0]:.1f} s")
    assert ends["answered"] > COUNT / 2


def peak() -> int:
    """The most memory that this process has had, in kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
