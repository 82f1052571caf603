"""Finding faces: where the time goes, how many are found, how many are none; beside other finders.

``python -m benchmarks.faces [SECTION ...] [--crops FACES.parquet] [--empty FOLDER] [--fer PYTHON]``
writes ``benchmarks/results/faces.json`` and ``.md``. FACES holds real crops (RAF-DB's, say), FOLDER
more pictures without a face, PYTHON an environment with ``fer`` (``benchmarks.peers`` says how).
The photographs come from npm; no picture is kept. Times are processor time (of one thread, and
beside fer of all threads), which other programs lengthen little, but for images per second, which
are the wall's, beside fer's in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

import mien
from benchmarks import people
from benchmarks.peers import FER, LOOP
from benchmarks.photos import photographs
from mien.data import synthetic
from mien.emotions import SEVEN
from mien.types import Box, ImageArray
from mien.vision import faces
from mien.vision.read import read_image

ROOT = Path(__file__).parent.parent
OURS = ("yunet", "blazeface", "blazeface-near", "haar")
FER_HAAR = "fer's Haar"  # OpenCV's default cascade with fer's parameters
WIDTHS = (20, 24, 28, 32, 48, 64, 96)
TURNS = (15, 30, 45, 90, 180)
ANSWERS = """
import mien
made = mien.load({model!r}, detector={detector!r})
def answer(path):
    return len(made.predict(path).faces)
"""
TOGETHER = """
import json, sys, time
import mien
made = mien.load({model!r}, detector={detector!r})
paths = sys.argv[1:]
made.predict(paths[:4])
times, busy = [], []
for _ in range({repeats}):
    started, before = time.perf_counter(), time.process_time()
    faces = len(made.predict(paths).faces)
    times.append(time.perf_counter() - started)
    busy.append(time.process_time() - before)
print("RESULT" + json.dumps({{"times": times, "busy": busy, "faces": faces}}))
"""
Find = Callable[[ImageArray], Sequence[Box]]


def finders(only: Sequence[str] = ()) -> dict[str, Find]:
    """What is compared: our detectors that are here, and fer's; of these the chosen ones."""
    found: dict[str, Find] = {}
    for name in OURS:
        if (name in only or not only) and faces.DETECTORS.get(name).available():
            detector = faces.create(name)
            found[name] = partial(_boxes, detector)
    cascade = cv2.CascadeClassifier(
        str(Path(cv2.__file__).parent / "data" / "haarcascade_frontalface_default.xml")
    )

    def fer(image: ImageArray) -> Sequence[Box]:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        boxes = cascade.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=5, minSize=(50, 50))
        return [(float(x), float(y), float(w), float(h)) for x, y, w, h in boxes]

    return found if only and FER_HAAR not in only else {**found, FER_HAAR: fer}


def _boxes(detector: faces.Detector, image: ImageArray) -> list[Box]:
    return [face.box for face in detector(image)]


def stages(
    group: ImageArray, compared: dict[str, Find], repeats: int = 7
) -> dict[str, dict[str, float]]:
    """Milliseconds of each stage, for a portrait, a group, 12 megapixels and a frame of video."""
    portrait = read_image(ROOT / "examples" / "astronaut.jpg")
    frame = np.ascontiguousarray(cv2.resize(group, (640, 360), interpolation=cv2.INTER_AREA))
    large = cv2.resize(group, (4000, 3000), interpolation=cv2.INTER_CUBIC)
    pictures = {"portrait": portrait, "group": group, "12 megapixels": large, "frame": frame}
    recognizer = mien.load(detector="yunet", threads=1)
    result: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, picture in pictures.items():
            file = Path(folder) / f"{name}.jpg"
            Image.fromarray(np.asarray(picture, dtype=np.uint8)).save(file, quality=90)
            image = read_image(file)
            found = [recognizer.detector(image)]
            calls: dict[str, Callable[[], Any]] = {
                "read": partial(read_image, file),
                "align and answer": partial(recognizer.crops_of, [image], found=found),
                **{f"find: {finder}": partial(find, image) for finder, find in compared.items()},
            }
            result[name] = {"faces": len(found[0]), **_milliseconds(calls, repeats)}
    return result


def _milliseconds(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            started = time.process_time()
            call()
            if turn:
                times[name].append(1000 * (time.process_time() - started))
    return {name: round(statistics.median(values), 2) for name, values in times.items()}


def recall(
    crops: Sequence[ImageArray], empty: list[ImageArray], compared: dict[str, Find]
) -> dict[str, Any]:
    """Faces found in crowds by size and by turn; ``empty`` are their backgrounds."""
    crowds = {f"{width} pixels": people.crowd(crops, empty, width=width) for width in WIDTHS}
    for degrees in TURNS:
        crowds[f"64 pixels, turned {degrees}"] = people.crowd(
            crops, empty, width=64, degrees=degrees
        )
    there = {name: sum(len(p.centres) for p in pages) for name, pages in crowds.items()}
    result: dict[str, Any] = {"faces": there}
    for name, find in compared.items():
        row: dict[str, int] = {}
        extra = 0
        for kind, pages in crowds.items():
            pairs = [page.hits(find(page.image)) for page in pages]
            row[kind] = sum(hits for hits, _ in pairs)
            extra += sum(more for _, more in pairs)
        result[name] = {**row, "false ones": extra}
        print(name, result[name], flush=True)
    return result


def counted(
    photos: list[tuple[ImageArray, int]], empty: list[ImageArray], compared: dict[str, Find]
) -> dict[str, Any]:
    """Faces found in photographs, upright and turned; pictures without a face that show one."""
    sets = {"photographs": photos} | {
        f"turned {degrees}": [(people.turned(image, degrees), count) for image, count in photos]
        for degrees in TURNS
    }
    result: dict[str, Any] = {"faces": dict.fromkeys(sets, sum(count for _, count in photos))}
    result["faces"]["no face"] = len(empty)
    for name, find in compared.items():
        row: dict[str, int] = {}
        extra = 0
        for kind, pictures in sets.items():
            numbers = [(len(find(image)), count) for image, count in pictures]
            row[kind] = sum(min(found, count) for found, count in numbers)
            extra += sum(max(found - count, 0) for found, count in numbers)
        row["more than there are"] = extra
        row["no face"] = sum(bool(find(image)) for image in empty)
        result[name] = row
        print(name, row, flush=True)
    return result


def beside_fer(images: list[Path], python: str | None, repeats: int) -> dict[str, Any]:
    """Images per second and faces, one process after another, all of it ``repeats`` times."""
    programs: dict[str, tuple[str, str]] = {}
    for model in ("mien", "mien-int8"):
        code = ANSWERS.format(model=model, detector="yunet")
        programs[f"{model}, one by one"] = (sys.executable, LOOP.format(code=code, repeats=3))
        together = TOGETHER.format(model=model, detector="yunet", repeats=3)
        programs[f"{model}, a list"] = (sys.executable, together)
    if python is not None:
        code = FER.format(mtcnn=False)
        programs["fer, Haar"] = (python, LOOP.format(code=code, repeats=3))
    rates: dict[str, list[float]] = {name: [] for name in programs}
    costs: dict[str, list[float]] = {name: [] for name in programs}
    result: dict[str, Any] = {"images": len(images)}
    for _ in range(repeats):
        for name, (runner, program) in programs.items():
            done = subprocess.run(
                [runner, "-c", program, *map(str, images)], capture_output=True, text=True
            )
            line = next((x for x in done.stdout.splitlines() if x.startswith("RESULT")), None)
            if line is None:
                result[name] = {"error": done.stderr.strip().splitlines()[-1][:200]}
                continue
            found = json.loads(line[6:])
            rates[name].append(len(images) / statistics.median(found["times"]))
            costs[name].append(1000 * statistics.median(found["busy"]) / len(images))
            result[name] = {
                "images per second": round(statistics.median(rates[name]), 1),
                "processor ms per image": round(statistics.median(costs[name]), 1),
                "faces": found["faces"],
            }
            print(name, result[name], flush=True)
    return result


def report(result: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = ["# Finding faces, measured", "", (__doc__ or "").split("\n\n")[1], ""]
    if times := result.get("stages"):
        lines += ["| ms | " + " | ".join(times) + " |", "|---" * (len(times) + 1) + "|"]
        for key in next(iter(times.values())):
            shown = " | ".join(f"{row[key]:g}" for row in times.values())
            lines.append(f"| {key} | {shown} |")
    titles = {
        "photographs": "Photographs, and pictures without a face in which one is found",
        "drawn": "Crowds of drawn faces",
        "real": "Crowds of real faces",
    }
    for part in (part for part in titles if part in result):
        rows = result[part]
        names = [name for name in rows if name != "faces"]
        lines += ["", f"## {titles[part]}", ""]
        lines += ["| | there | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
        for key in rows[names[0]]:
            there = rows["faces"].get(key, "")
            found = " | ".join(str(rows[name][key]) for name in names)
            lines.append(f"| {key} | {there} | {found} |")
    lines += ["", "## Beside fer, on the same photographs", ""]
    keys = ("images per second", "processor ms per image", "faces")
    lines += ["| | " + " | ".join(keys) + " |", "|---" * (len(keys) + 1) + "|"]
    for name, row in result.get("beside fer", {}).items():
        if isinstance(row, dict):
            figures = [str(row.get(key, row.get("error", ""))) for key in keys]
            lines.append(f"| {name} | {' | '.join(figures)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", help="default: all; others keep their figures")
    parser.add_argument("--crops", type=Path)
    parser.add_argument("--empty", type=Path)
    parser.add_argument("--fer")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "photographs")
    parser.add_argument("--repeats", type=int, default=3, help="of the comparison with fer")
    parser.add_argument("--only", nargs="*", default=(), help=f"of {OURS} and {FER_HAAR}")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    photos = people.photographs(given.cache)
    backgrounds = people.without_faces(None)
    drawn = [synthetic.face(SEVEN[n % 7], subject=n, size=192).image for n in range(24)]
    compared = finders(given.only)
    sections: dict[str, Callable[[], dict[str, Any]]] = {
        "beside fer": partial(_beside, given.fer, given.repeats),
        "photographs": lambda: counted(photos, people.without_faces(given.empty), compared),
        "drawn": partial(recall, drawn, backgrounds, compared),
        "stages": partial(stages, photos[4][0], compared),
    }
    if given.crops is not None:
        crops = people.real_crops(given.crops, 144)
        sections["real"] = partial(recall, crops, backgrounds, compared)
    file = ROOT / "benchmarks" / "results" / "faces.json"
    for name in given.sections or sections:
        found = sections[name]()
        print(name, json.dumps(found), flush=True)
        result = json.loads(file.read_text()) if file.exists() else {}
        result[name] = found
        file.write_text(json.dumps(result, indent=1) + "\n")
        file.with_suffix(".md").write_text(report(result))


def _beside(python: str | None, repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return beside_fer(sorted(photographs(Path(folder), 60).glob("*.jpg")), python, repeats)


if __name__ == "__main__":
    main()
