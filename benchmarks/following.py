"""Faces followed between two searches, beside a search of every frame: answers and time.

``python -m benchmarks.following [--crops FACES.parquet]`` writes
``benchmarks/results/following.json`` and ``.md``. Clips of two people each: drawn ones, and real
crops that sway, turn and come nearer over a photograph, with noise and another expression every
three seconds. How far answers lie apart is the mean over faces of the largest difference of a
probability; as a measure of it, the same for frames that are moved by one pixel and searched one
by one. Times are processor time of all threads, which other programs lengthen little.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import mien
from benchmarks import people
from benchmarks.photos import clip
from mien.types import Face, FloatArray, ImageArray
from mien.video.analysis import analyse
from mien.video.cuts import Change
from mien.video.frames import Follower, VideoOptions
from mien.video.reader import Frame, read_frames
from mien.video.searching import Sampled, find_faces
from mien.video.track import overlap

RESULTS = Path(__file__).parent / "results"
RATE = 25
SECONDS = (0.08, 0.12, 0.16, 0.2, 0.32)
SIZES = ((640, 360), (1280, 720))
TABLE = people.TEXTURES.index("coffee")  # a photograph without a face, for a background


def swaying(crops: Sequence[ImageArray], back: ImageArray, seconds: int) -> Iterator[Frame]:
    """Two people before a photograph; both have another face after three seconds."""
    rng = np.random.default_rng(5)
    rates, phases = rng.uniform(0.15, 0.9, (2, 5)), rng.uniform(0, 6.28, (2, 5))
    page = cv2.resize(back, (640, 360), interpolation=cv2.INTER_AREA).astype(np.float64)
    for n in range(seconds * RATE):
        moved = np.sin(2 * np.pi * rates * n / RATE + phases)
        image: FloatArray = page
        for k, (near, across, quick, down, turn) in enumerate(moved):
            crop = crops[(n // (3 * RATE) * 2 + k) % len(crops)]
            centre = (180 + 260 * k + 40 * across + 8 * quick, 180 + 30 * down)
            image = people.pasted(image, crop, centre, 150 * (1 + 0.1 * near), 8 * turn)
        noisy = image + rng.normal(0, 3, image.shape)
        yield Frame.of(n, n / RATE, noisy.clip(0, 255).astype(np.uint8))


def answers(recognizer: mien.Recognizer, frames: list[Frame], found: list[list[Face]]) -> Any:
    """Boxes and probabilities of each frame's faces, smoothed as they are by default."""
    follow = Follower(recognizer, VideoOptions(), "clip")
    rows = []
    for start in range(0, len(frames), 32):
        part = slice(start, start + 32)
        rows += [
            [(f.prediction.box, f.prediction.emotions) for f in result.faces]
            for result in follow(frames[part], found=found[part])
        ]
    return rows


def apart(one: Any, other: Any) -> dict[str, float]:
    """How far two readings of a clip lie apart, over the faces that both have."""
    distances, same = [], []
    for faces, others in zip(one, other, strict=True):
        for (box, p), (again, q) in ((a, b) for a in faces for b in others):
            if overlap(np.array([box]), np.array([again]))[0, 0] > 0.5:
                distances.append(max(abs(p[name] - q[name]) for name in p))
                same.append(max(p, key=p.get) == max(q, key=q.get))
    return {
        "faces": sum(map(len, other)),
        "apart": round(float(np.mean(distances)), 4),
        "apart, 95 of 100": round(float(np.quantile(distances, 0.95)), 4),
        "same answer, %": round(100 * float(np.mean(same)), 1),
    }


def searched(frames: list[Frame], detector: Any, seconds: float) -> list[list[Face]]:
    """The faces of each frame."""
    sampled = (Sampled(frame, True, Change.NONE) for frame in frames)
    return [one.found or [] for one in find_faces(sampled, detector, seconds)]


def compared(recognizer: mien.Recognizer, frames: list[Frame]) -> dict[str, Any]:
    """Answers by seconds between searches, each beside those of a search of every frame."""
    detector = recognizer.detector
    every = answers(recognizer, frames, searched(frames, detector, 0))
    moved = []
    for frame in frames:
        faces = detector(np.roll(frame.image, (1, 1), (0, 1)))
        moved.append([_moved_back(face) for face in faces])
    result = {
        "every frame": {"faces": sum(map(len, every))},
        "every frame, moved by one pixel": apart(every, answers(recognizer, frames, moved)),
    }
    for seconds in SECONDS:
        found = searched(frames, detector, seconds)
        result[f"every {seconds:g} s"] = apart(every, answers(recognizer, frames, found))
    return result


def _moved_back(face: Face) -> Face:
    x, y, width, height = face.box
    anchors = None if face.anchors is None else face.anchors - 1
    return replace(face, box=(x - 1, y - 1, width, height), anchors=anchors)


def times(folder: Path, seconds: int, repeats: int = 3) -> dict[str, Any]:
    """Processor ms of a frame, and times real time that two cores could reach with it."""
    result: dict[str, Any] = {}
    for size in SIZES:
        file = clip(folder / f"{size[0]}.mp4", seconds, size=size)
        for model in ("mien", "mien-int8"):
            recognizer = mien.load(model)
            for search in (0.0, VideoOptions().search):
                costs = []
                for _ in range(repeats):
                    started = time.process_time()
                    done = analyse(file, recognizer=recognizer, options=VideoOptions(search=search))
                    costs.append(1000 * (time.process_time() - started) / done.frames)
                cost = float(np.median(costs))
                name = f"{model}, {size[0]} x {size[1]}, search {search:g}"
                result[name] = {
                    "processor ms per frame": round(cost, 1),
                    "real time, at most, 2 cores": round(2000 / RATE / cost, 1),
                    "faces": done.rows,
                }
                print(name, result[name], flush=True)
    return result


def report(result: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = ["# Faces followed between two searches", "", (__doc__ or "").split("\n\n", 1)[1]]
    for title, rows in result.items():
        keys = list(dict.fromkeys(key for row in rows.values() for key in row))
        lines += [f"## {title}", "", "| | " + " | ".join(keys) + " |"]
        lines.append("|---" * (len(keys) + 1) + "|")
        for name, row in rows.items():
            lines.append(f"| {name} | " + " | ".join(str(row.get(k, "")) for k in keys) + " |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--crops", type=Path)
    parser.add_argument("--seconds", type=int, default=24)
    given = parser.parse_args()
    recognizer = mien.load()
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        drawn = list(read_frames(clip(Path(folder) / "drawn.mp4", given.seconds)))
        result["Drawn people"] = compared(recognizer, drawn)
        if given.crops is not None:
            crops, backs = people.real_crops(given.crops, 40), people.without_faces(None)
            frames = list(swaying(crops, backs[TABLE], given.seconds))
            result["Real faces"] = compared(recognizer, frames)
        print(report(result), flush=True)
        result["Time"] = times(Path(folder), given.seconds)
    (RESULTS / "following.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / "following.md").write_text(report(result))


if __name__ == "__main__":
    main()
