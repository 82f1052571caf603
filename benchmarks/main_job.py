"""Measure the main job: speed as ratios within one run, exactness, counts, sizes, import time.

Run ``python -m benchmarks.main_job``; it writes ``benchmarks/main_job.json`` and ``.md``. Times
are medians after a warm-up; all variants of a row are timed in turn, so that a busy machine
slows them alike.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

import mien
from mien.explainers.designs import CONTEXTS, all_coalitions, dncshap_design, exact_design
from mien.models.onnx import Model
from mien.models.weights import BUILT_IN, locate
from mien.vision.read import read_image
from tests.base_only import closure

ROOT = Path(__file__).parent.parent
PHOTO = ROOT / "examples" / "astronaut.jpg"
REPEATS = 15


def medians(calls: dict[str, Callable[[], Any]], repeats: int = REPEATS) -> dict[str, float]:
    """Median seconds of each call, taken in turn after one warm-up each."""
    for call in calls.values():
        call()
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def speed() -> dict[str, Any]:
    """Milliseconds for one face, and each as a multiple of one forward pass of the float model."""
    image = read_image(PHOTO)
    calls: dict[str, Callable[[], Any]] = {}
    for name in (n for n in BUILT_IN if locate(n).is_file()):
        recognizer = mien.load(name, detector="none")
        crop = mien.load(name, detector="haar").crops(image)[0].image
        one = recognizer.model.pixels(crop)[None]
        # seven regions in sight make 2^7 = 128 coalitions: the batch that a close crop needs
        batch = np.repeat(one, 128, axis=0)
        calls[f"{name}: one forward pass"] = partial(recognizer.model.logits, one)
        calls[f"{name}: 128 forward passes"] = partial(recognizer.model.logits, batch)
        calls[f"{name}: predict one crop"] = partial(recognizer.predict, crop)
        asked: dict[str, dict[str, Any]] = {"regions": {}, "dncshap": {"levels": 6}, "cam": {}}
        for method, options in asked.items():
            explain = partial(recognizer.explain, crop, method=method, options=options)
            calls[f"{name}: explain by {method}"] = explain
    for detector in mien_detectors():
        recognizer = mien.load(detector=detector)
        calls[f"mien: predict the photo, {detector}"] = partial(recognizer.predict, image)
    seconds = medians(calls)
    unit = seconds["mien: one forward pass"]
    return {k: {"ms": round(1000 * s, 2), "passes": round(s / unit, 1)} for k, s in seconds.items()}


def mien_detectors() -> list[str]:
    """The detectors whose files are on this machine, but for ``none``."""
    from mien.vision import faces

    return [n for n in faces.names() if n != "none" and faces.DETECTORS.get(n).available()]


def exactness() -> dict[str, Any]:
    """Efficiency gaps on the photo, and the distance of DnCShap from exact Shapley values."""
    recognizer = mien.load(detector="haar")
    cases: dict[str, tuple[str, dict[str, Any]]] = {"regions": ("regions", {}), "cam": ("cam", {})}
    for contexts in CONTEXTS:
        cases[f"dncshap {contexts}"] = ("dncshap", {"levels": 4, "contexts": contexts})
    gaps, passes = {}, {}
    for name, (method, options) in cases.items():
        worst = 0.0
        for target in recognizer.labels:
            e = recognizer.explain(PHOTO, method=method, target=target, options=options)[0]
            worst = max(worst, abs(float(e.values.sum()) - e.total) / max(abs(e.total), 1e-9))
            passes[name] = e.evaluations
        gaps[name] = worst
    return {
        "largest efficiency gap over seven targets, relative": gaps,
        "forward passes (dncshap: 16 leaves)": passes,
        "dncshap both against exact, 16 players, 20 pairwise games": pairwise_distance(20),
        "forward passes, dncshap with 64 leaves": {
            c: len(dncshap_design(6, c).coalitions) for c in CONTEXTS
        },
    }


def pairwise_distance(games: int) -> float:
    """Largest difference on random games of 16 players with interactions of pairs only."""
    shown = all_coalitions(16)
    exact, both = exact_design(16), dncshap_design(4, "both")
    rows = both.coalitions @ (1 << np.arange(16))
    worst = 0.0
    for seed in range(games):
        rng = np.random.default_rng(seed)
        game = shown @ rng.normal(size=16)
        for i, j in combinations(range(16), 2):
            game += rng.normal() * (shown[:, i] & shown[:, j])
        worst = max(worst, float(np.abs(exact.solve(game) - both.solve(game[rows])).max()))
    return worst


def sizes() -> dict[str, Any]:
    """Megabytes of the base install's distributions and of the model files."""
    import importlib.metadata as metadata

    total = 0
    for name in closure("mien"):
        for file in metadata.files(name) or []:
            path = Path(str(file.locate()))
            total += path.stat().st_size if path.is_file() else 0
    package = sum(p.stat().st_size for p in (ROOT / "src" / "mien").rglob("*") if p.is_file())
    return {
        "base install, MB": round((total + package) / 1e6),
        **{
            f"{n}, MB": round(locate(n).stat().st_size / 1e6, 2)
            for n in BUILT_IN
            if locate(n).is_file()
        },
    }


def import_time() -> dict[str, float]:
    """Median milliseconds of ``import mien`` beyond an empty interpreter, of fresh processes."""

    def run(code: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - started

    seconds = medians({"empty": lambda: run("pass"), "mien": lambda: run("import mien")}, repeats=9)
    inside = subprocess.run(
        [
            sys.executable,
            "-c",
            "import time; t = time.perf_counter(); import mien; print(time.perf_counter() - t)",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    return {
        "process, beyond an empty one, ms": round(1000 * (seconds["mien"] - seconds["empty"]), 1),
        "inside the process, ms": round(1000 * float(inside.stdout), 1),
    }


def accuracy() -> dict[str, Any]:
    """What the cards of the shipped models state; ``make model`` measures it."""
    return {n: Model(locate(n)).card.metrics for n in BUILT_IN if locate(n).is_file()}


def main() -> None:
    result: dict[str, Any] = {
        "machine": f"{platform.machine()}, {len_cpus()} cores, Python {platform.python_version()}",
        "speed": speed(),
        "exactness": exactness(),
        "sizes": sizes(),
        "import": import_time(),
        "accuracy": accuracy(),
    }
    folder = Path(__file__).parent
    (folder / "main_job.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = markdown(result)
    (folder / "main_job.md").write_text(text, encoding="utf-8")
    print(text)


def len_cpus() -> int:
    """Cores that this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def markdown(result: dict[str, Any]) -> str:
    """The measurements as tables."""
    lines = [
        "# The main job, measured",
        "",
        f"{result['machine']}. `make bench` writes this file.",
        "",
        "| what | ms | forward passes' worth |",
        "|---|---|---|",
    ]
    lines += [f"| {k} | {v['ms']} | {v['passes']} |" for k, v in result["speed"].items()]
    for title in ("exactness", "sizes", "import"):
        lines += ["", f"| {title} | |", "|---|---|"]
        for key, value in result[title].items():
            if isinstance(value, dict):
                lines += [
                    f"| {key}: {k} | {v:.3g} |" if isinstance(v, float) else f"| {key}: {k} | {v} |"
                    for k, v in value.items()
                ]
            else:
                lines.append(f"| {key} | {value:.3g} |")
    splits = [
        (name, split, row)
        for name, card in result["accuracy"].items()
        for split, row in card.items()
    ]
    names = list(dict.fromkeys(key for _, _, row in splits for key in row))
    lines += [
        "",
        "| accuracy (95 % interval) | " + " | ".join(f"{n}, {s}" for n, s, _ in splits) + " |",
        "|---|" + "---|" * len(splits),
    ]
    lines += [
        f"| {key} | " + " | ".join(_score(row.get(key)) for _, _, row in splits) + " |"
        for key in names
    ]
    return "\n".join(lines) + "\n"


def _score(value: Any) -> str:
    if isinstance(value, dict) and "value" not in value:
        return ", ".join(f"{name} {share:.2f}" for name, share in value.items())
    if isinstance(value, dict):
        return f"{value['value']:.4f} ({value['low']:.3f}-{value['high']:.3f}), n {value['images']}"
    return "" if value is None else f"{value}"


if __name__ == "__main__":
    main()
