"""Measure throughput, memory, a long clip and kills; written to benchmarks/scale.json and .md.

Stages and networks are measured in processor time of one thread, all else in time on the clock.

Run ``python -m benchmarks.scale [SECTION ...]``; without sections all of them. Times are medians
after a warm-up, the variants of a section in turn. ``MIEN_PEERS`` names a folder for the
environments of other libraries; without it they are not tried.
"""

from __future__ import annotations

import copy
import json
import os
import platform
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import mien
from benchmarks.main_job import len_cpus, medians
from benchmarks.peers import measure as measure_peers
from benchmarks.photos import clip, photographs
from mien.models.weights import BUILT_IN
from mien.vision.read import read_image, read_reduced

HERE = Path(__file__).parent
DETECTORS = ("yunet", "blazeface-near", "blazeface", "haar")
MANY = int(os.environ.get("MIEN_MANY", "50000"))


def cpu_medians(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of processor time of calls that use one thread, in turn after a warm-up.

    Other programs on the machine lengthen it little: it is what a core of one's own would take.
    """
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            started = time.process_time()
            call()
            times[name].append(time.process_time() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def model(_: Path) -> dict[str, Any]:
    """Faces per second of the networks alone, on one thread."""
    calls: dict[str, Callable[[], Any]] = {}
    sizes: dict[str, int] = {}
    for name in BUILT_IN:
        net = mien.load(name, detector="none", threads=1).model
        how = net.card.preprocess
        rng = np.random.default_rng(0)
        for batch in (1, 16, 64, 256):
            pixels = rng.uniform(0, 255, (batch, how.channels, how.size, how.size))
            key = f"{name}, batch {batch}"
            calls[key], sizes[key] = partial(net.logits, pixels.astype(np.float32)), batch
    seconds = cpu_medians(calls, 9)
    return {"faces per second, one core": {k: round(sizes[k] / s) for k, s in seconds.items()}}


def stages(folder: Path) -> dict[str, Any]:
    """Milliseconds per image on one core: decode, detect, align and answer."""
    import cv2

    cv2.setNumThreads(1)
    paths = sorted(photographs(folder / "small", 60).glob("*.jpg"))
    large = sorted(photographs(folder / "large", 6, (4000, 3000), 6).glob("*.jpg"))
    images = [read_image(path) for path in paths]
    calls: dict[str, Callable[[], Any]] = {
        "decode, 640 x 480": lambda: [read_image(p) for p in paths],
        "decode, 12 megapixels": lambda: [read_image(p) for p in large],
        "decode, 12 megapixels, reduced": lambda: [read_reduced(p, 1280) for p in large],
        "decode, 12 megapixels, reduced for blazeface-near": lambda: [
            read_reduced(p, 512) for p in large
        ],
    }
    count = {key: len(large) if "12 mega" in key else len(paths) for key in calls}
    faces = {}
    for name in DETECTORS:
        one = mien.load("mien-int8", detector=name, threads=1)
        calls[f"detect, {name}"] = partial(_each, one.detector, images)
        found = [one.detector(image) for image in images]
        faces[name] = sum(map(len, found))
        calls[f"align and answer, {name}"] = partial(_answer_given, one, found, images)
        for net in BUILT_IN:
            both = mien.load(net, detector=name, threads=1)
            key = f"end to end, {net}, {name}"
            calls[key] = partial(_predict, both, paths, 32, 0, reduced=True)
    count = {key: count.get(key, len(paths)) for key in calls}
    seconds = cpu_medians(calls, 5)
    return {
        "images": len(paths),
        "faces found": faces,
        "bytes per file": {
            "640 x 480": round(statistics.mean(p.stat().st_size for p in paths)),
            "12 megapixels": round(statistics.mean(p.stat().st_size for p in large)),
        },
        "ms per image, one core": {k: round(1000 * s / count[k], 2) for k, s in seconds.items()},
    }


def _each(call: Callable[[Any], Any], items: list[Any]) -> None:
    for item in items:
        call(item)


def _predict(
    recognizer: mien.Recognizer,
    paths: list[Path],
    batch: int,
    readers: int,
    *,
    reduced: bool = False,
) -> None:
    named = [(str(path), path) for path in paths]
    for _ in recognizer.predict_many(named, batch=batch, readers=readers, reduced=reduced):
        pass


def _one_by_one(recognizer: mien.Recognizer, paths: list[Path]) -> None:
    for path in paths:
        recognizer.predict(path)


def _answer_given(recognizer: mien.Recognizer, found: list[Any], images: list[Any]) -> None:
    """All but detection: the detector's answers are given."""
    twin = copy.copy(recognizer.detector)
    answers = iter(found)
    twin.detect = lambda image: next(answers)  # type: ignore[method-assign]  # noqa: ARG005
    mien.Recognizer(twin, recognizer.model).crops_of(images)


def batching(folder: Path) -> dict[str, Any]:
    """Images per second of one process on all cores: one by one, in batches, read ahead."""
    paths = sorted(photographs(folder / "batching", 60).glob("*.jpg"))
    calls: dict[str, Callable[[], Any]] = {}
    for detector in ("blazeface-near", "blazeface"):
        for net in BUILT_IN:
            made = mien.load(net, detector=detector)
            key = f"{net}, {detector}"
            calls[f"{key}, one by one"] = partial(_one_by_one, made, paths)
            for size, readers in ((1, 2), (32, 0), (32, 2)):
                call = partial(_predict, made, paths, size, readers)
                calls[f"{key}, batch {size}, {readers} readers"] = call
    seconds = medians(calls, 5)
    return {
        "images per second, one process": {k: round(len(paths) / s, 1) for k, s in seconds.items()}
    }


def agreement(folder: Path) -> dict[str, Any]:
    """What reduced decoding changes, on photographs of 12 megapixels."""
    paths = sorted(photographs(folder / "agreement", 40, (4000, 3000), 40).glob("*.jpg"))
    named = [(str(p), p) for p in paths]
    found: dict[str, Any] = {}
    for detector in DETECTORS[:3]:
        recognizer = mien.load(detector=detector)
        whole, small = (
            [row for rows in recognizer.predict_many(named, reduced=r) for row in rows]
            for r in (False, True)
        )
        same = [(a, b) for a, b in zip(whole, small, strict=False) if a.input == b.input]
        scores = [
            max(abs(a.emotions[k] - b.emotions[k]) for k in a.emotions)
            for a, b in same
            if a.emotions and b.emotions
        ]
        found[detector] = {
            "faces, whole": sum(a.face_id is not None for a in whole),
            "faces, reduced": sum(b.face_id is not None for b in small),
            "same answer": sum(
                a.dominant_emotion == b.dominant_emotion for a, b in same if a.emotions
            ),
            "median change of a probability": round(float(np.median(scores)), 4),
            "largest change of a probability": round(max(scores), 4),
        }
    return found


def peers(folder: Path) -> dict[str, Any]:
    """The same images through other libraries, whole programs, default threads."""
    paths = sorted(photographs(folder / "peers", 60).glob("*.jpg"))
    where = os.environ.get("MIEN_PEERS")
    return measure_peers(paths, Path(where) if where else None)


def command(*args: str) -> list[str]:
    return [sys.executable, "-c", "from mien.commands.main import main; main()", *args]


def scaling(folder: Path) -> dict[str, Any]:
    """``mien batch`` with one worker and with two: images per second once all are running."""
    from mien.batch import JobSettings, score

    found: dict[str, Any] = {}
    for detector, count in (("yunet", 1800), ("blazeface", 600)):
        source = photographs(folder / f"scaling-{detector}", count)
        rates: dict[int, list[float]] = {1: [], 2: []}
        busy: dict[int, list[float]] = {1: [], 2: []}  # processor time of one image
        for repeat in range(3):
            for workers in (1, 2):
                marks: list[tuple[float, int]] = []
                summary = score(
                    JobSettings((str(source),), model="mien-int8", detector=detector, unit=60),
                    str(folder / f"{detector}-{workers}-{repeat}"),
                    workers=workers,
                    progress=partial(_mark, marks),
                )
                steady = marks[len(marks) // 5 :]  # workers start one after the other
                rates[workers].append(
                    (steady[-1][1] - steady[0][1]) / (steady[-1][0] - steady[0][0])
                )
                busy[workers].append(1000 * summary.cpu / summary.images)
        one, two = (statistics.median(rates[n]) for n in (1, 2))
        alone, beside = (statistics.median(busy[n]) for n in (1, 2))
        found[f"mien-int8, {detector}"] = {
            "1 worker, images/s": round(one, 1),
            "2 workers, images/s": round(two, 1),
            "ratio": round(two / one, 2),
            "images": count,
            "1 worker, ms of processor time per image": round(alone, 2),
            "2 workers, ms of processor time per image": round(beside, 2),
        }
    return found


def _mark(marks: list[tuple[float, int]], summary: Any) -> None:
    marks.append((time.perf_counter(), summary.images))


def plan(folder: Path) -> dict[str, Any]:
    """What a job costs beside its images: listing them, and the rows on disk."""
    from mien.batch import JobSettings
    from mien.batch.folder import prepare
    from mien.batch.storage import place
    from mien.batch.work import Worker, part_of

    source = photographs(folder / "plan", 20_000, (320, 240))
    settings = JobSettings((str(source),), model="mien-int8", detector="blazeface-near")
    out = place(str(folder / "planned"))
    started = time.perf_counter()
    units, _ = prepare(settings, out)
    seconds = time.perf_counter() - started
    Worker(settings, str(out)).do(0)
    return {
        "images listed per second": round(20_000 / seconds),
        "bytes of plan per image": round(
            Path(str(out / "_mien" / "plan.parquet")).stat().st_size / 20_000, 1
        ),
        "bytes of rows per image": round(
            Path(str(part_of(out, 0))).stat().st_size / settings.unit, 1
        ),
        "units": units,
    }


class Memory(threading.Thread):
    """Peak proportional memory of a process and its descendants, in MB, by kind."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak, self.stopped = pid, Counter[str](), False

    def run(self) -> None:
        while not self.stopped:
            now: Counter[str] = Counter()
            for pid, name in _family(self.pid):
                kind = (
                    "command"
                    if pid == self.pid
                    else ("largest worker" if "MapWorker" in name else "Ray's own processes")
                )
                size = _proportional(pid)
                now[kind] = max(now[kind], size) if "worker" in kind else now[kind] + size
                now["everything"] += size
            self.peak |= now
            time.sleep(0.5)


def _family(pid: int) -> list[tuple[int, str]]:
    parents, names = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rsplit(")", 1)[1].split()
            names[int(path.name)] = (path / "cmdline").read_text()
            parents[int(path.name)] = int(fields[1])
        except OSError:
            continue
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return [(member, names.get(member, "")) for member in family]


def _proportional(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(s.split()[1]) // 1024 for s in text.splitlines() if s.startswith("Pss:")), 0)


def memory(folder: Path) -> dict[str, Any]:
    """Peak memory of ``mien batch`` on 1,000 and on 50,000 photographs of 320 x 240."""
    found = {}
    for count in (1000, MANY):
        source = photographs(folder / f"memory-{count}", count, (320, 240))
        started = time.perf_counter()
        done = subprocess.Popen(
            command(
                "batch",
                str(source),
                "-o",
                str(folder / f"rows-{count}"),
                "--detector",
                "blazeface-near",
            ),
            stdout=subprocess.PIPE,
            text=True,
        )
        watch = Memory(done.pid)
        watch.start()
        said, _ = done.communicate()
        watch.stopped = True
        assert done.returncode == 0, said
        seconds = time.perf_counter() - started
        found[f"{count:,} images"] = {
            "peak MB": dict(watch.peak),
            "seconds": round(seconds, 1),
            "images per second, with the start": round(count / seconds, 1),
        }
        shutil.rmtree(source)
    return found


def long_clip(folder: Path) -> dict[str, Any]:
    """One minute and ten minutes of two people, annotated with sound, table and summary."""
    found = {}
    for minutes in (1, 10):
        path = clip(folder / f"{minutes}.mp4", 60 * minutes)
        out = folder / f"out-{minutes}"
        out.mkdir()
        started = time.perf_counter()
        done = subprocess.Popen(
            command(
                "video",
                str(path),
                "-o",
                str(out / "a.mp4"),
                "--timeline",
                str(out / "rows.parquet"),
                "--summary",
                str(out),
                "--overlay",
                "cam",
                "--detector",
                "blazeface-near",
                "--model",
                "mien-int8",
            ),
            stdout=subprocess.PIPE,
            text=True,
        )
        watch = Memory(done.pid)
        watch.start()
        said, _ = done.communicate()
        watch.stopped = True
        assert done.returncode == 0, said
        seconds = time.perf_counter() - started
        about = json.loads((out / "summary.json").read_text())
        found[f"{minutes} min, 640 x 360, 25 frames/s"] = {
            "seconds": round(seconds, 1),
            "frames per second": round(about["frames"] / seconds, 1),
            "times real time": round(60 * minutes / seconds, 2),
            "rows": about["rows"],
            "faces": len(about["faces"]),
            "peak MB": watch.peak["everything"],
        }
        path.unlink()
    return found


def kills(folder: Path) -> dict[str, Any]:
    """``kill -9`` twenty times at random moments, of a worker or of the whole job."""
    source = photographs(folder / "kills", 3000)
    (source / "broken.jpg").write_bytes(b"no image")
    out = folder / "killed"
    args = command(
        "batch",
        str(source),
        "-o",
        str(out),
        "--unit",
        "30",
        "--workers",
        "2",
        "--detector",
        "blazeface-near",
    )
    killed = _killed(args, out)
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    import pyarrow.dataset as ds

    rows = ds.dataset(str(out), format="parquet").to_table(columns=["input", "face_id"]).to_pylist()
    times = Counter((row["input"], row["face_id"]) for row in rows)
    inputs = {row["input"] for row in rows}
    whole = {str(path) for path in source.iterdir()}
    # faces of an image are counted again by a plain run of the library
    recognizer = mien.load(_model_of(out), detector="blazeface-near", threads=1)
    wanted = {
        (rows[0].input, row.face_id)
        for rows in recognizer.predict_many([(p, p) for p in sorted(whole)], reduced=True)
        for row in rows
    }
    return {
        "kills": dict(killed),
        "exit code of the last run": done.returncode,
        "images": len(whole),
        "images lost": len(whole - inputs),
        "rows": len(rows),
        "rows lost": len(wanted - set(times)),
        "rows twice": sum(n - 1 for n in times.values()) + len(set(times) - wanted),
        "files left half written": len(list(out.rglob("*.part"))),
    }


def _killed(args: list[str], out: Path) -> Counter[str]:
    """Start a job again and again and kill it, or a worker, until twenty kills are counted."""
    rng = random.Random(6)
    killed: Counter[str] = Counter()
    job: subprocess.Popen[str] | None = None
    last = -1
    while sum(killed.values()) < 20:
        if job is None:
            job = subprocess.Popen(
                args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
            )
        # each kill falls on a job that has done something since the one before
        while (there := len(list(out.glob("*/part-*.parquet")))) <= last and job.poll() is None:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 1.0))
        if job.poll() is not None:
            raise SystemExit("the job was done before twenty kills; give it more images")
        last = there
        if rng.random() < 0.3:
            job.kill()
            job.wait()
            job = None
            killed["the whole job"] += 1
        else:
            workers = [pid for pid, name in _family(job.pid) if "MapWorker(" in name]
            if workers:
                os.kill(rng.choice(workers), signal.SIGKILL)
                killed["a worker"] += 1
    if job is not None:
        job.wait()
    return killed


def _model_of(out: Path) -> str:
    return str(json.loads((out / "_mien" / "job.json").read_text())["settings"]["model"])


SECTIONS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "model": model, "stages": stages, "batching": batching, "agreement": agreement,
    "peers": peers, "scaling": scaling, "plan": plan, "memory": memory, "long clip": long_clip,
    "kills": kills,
}  # fmt: skip


def main() -> None:
    wanted = sys.argv[1:] or list(SECTIONS)
    path = HERE / "scale.json"
    for name in wanted:
        with tempfile.TemporaryDirectory(dir=os.environ.get("MIEN_SCRATCH")) as folder:
            load = os.getloadavg()[0]
            started = time.perf_counter()
            found = SECTIONS[name](Path(folder))
            found["load before"] = round(load, 1)
            print(name, f"{time.perf_counter() - started:.0f} s", json.dumps(found), flush=True)
        # read again: sections may be measured by several processes
        result: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        result["machine"] = (
            f"{platform.machine()}, {len_cpus()} cores, {_processor()}, "
            f"Python {platform.python_version()}"
        )
        result[name] = found
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        (HERE / "scale.md").write_text(markdown(result), encoding="utf-8")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown processor"


def markdown(result: dict[str, Any]) -> str:
    """The measurements as tables."""
    lines = [
        "# Throughput, memory, kills: measured",
        "",
        f'{result["machine"]}. `make bench` writes this file. "Load before" is the load '
        "that other programs made when a section began: above 0.5, read its figures as lower "
        "bounds. Networks and stages are processor time of one thread, which other programs "
        "lengthen little.",
    ]
    for name in SECTIONS:
        if name not in result:
            continue
        lines += ["", f"## {name[0].upper()}{name[1:]}", "", "| | |", "|---|---|"]
        for key, value in result[name].items():
            lines += _rows(key, value)
    return "\n".join(lines) + "\n"


def _rows(key: str, value: Any) -> list[str]:
    if not isinstance(value, dict):
        shown = f"{value:,}" if isinstance(value, int | float) else str(value)
        return [f"| {key} | {shown.replace('|', '/')} |"]
    return [row for inner, v in value.items() for row in _rows(f"{key}: {inner}", v)]


# pictures of 12 megapixels are no bombs here
Image.MAX_IMAGE_PIXELS = None

if __name__ == "__main__":
    main()
