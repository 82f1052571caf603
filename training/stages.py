"""Every stage of the built-in model, from the Parquet of FER2013 and FER+ to the shipped files.

``python -m training.stages DATA.parquet build/model src/mien/models/weights``. Each stage is a
module of its own and may be run alone; one that is stopped goes on where it was.

1. ``compact``: a small network from scratch (recipes/builtin/compact.toml).
2. ``teacher``: ImageNet's EfficientNet-Lite0, fine-tuned.
3. ``grown``: more blocks, taught also by what ``compact`` answers, on crops as photos show them.
4. ``distilled`` and ``again``: taught by ``compact`` and ``teacher`` together, with two seeds, and
   the mean of the two, ``soup``.
5. ``wide`` and ``lite1``: larger teachers, for an accelerator.
6. ``student``: the mean trained on, with those two asked for every crop that it is shown;
   calibrated, exported and measured.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

RECIPES = Path(__file__).parent.parent / "recipes" / "builtin"
STAGES = ("compact", "teacher", "grown", "distilled", "again", "soup", "wide", "lite1", "student")
SECOND_SEED = "4"


def recipe(name: str) -> str:
    """The path of a stage's recipe."""
    return str(RECIPES / f"{name}.toml")


def commands(folder: Path, output: Path) -> Iterator[list[str]]:
    """What each stage runs after ``training.prepare``: a module of this package, its arguments."""
    at = {name: str(folder / name) for name in STAGES}
    best = {name: str(folder / name / "best.pt") for name in STAGES}
    first, second = (f"{recipe(name)}={best[name]}" for name in ("compact", "teacher"))
    grown = ["--start", best["grown"]]
    yield ["train", recipe("compact"), at["compact"]]
    yield ["train", recipe("teacher"), at["teacher"]]
    yield ["teach", at["grown"], first]
    yield ["train", recipe("grown"), at["grown"], "--start", best["compact"]]
    for name in ("distilled", "again"):
        yield ["teach", at[name], first, second]
    yield ["train", recipe("distilled"), at["distilled"], *grown]
    yield ["train", recipe("distilled"), at["again"], *grown, "--seed", SECOND_SEED]
    mean = [best["distilled"], best["again"]]
    yield ["soup", recipe("distilled"), at["soup"], *mean]
    larger = ("wide", "lite1")
    for name in larger:
        yield ["train", recipe(name), at[name]]
    asked = [part for name in larger for part in ("--teacher", f"{recipe(name)}={best[name]}")]
    yield ["train", recipe("student"), at["student"], "--start", best["soup"], *asked]
    yield ["release", recipe("student"), at["student"], str(output)]


def run(module: str, *arguments: str) -> None:
    """Run a module of this package; a failure ends the whole."""
    subprocess.run([sys.executable, "-m", f"training.{module}", *arguments], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    arrays = args.folder / "arrays.npz"
    if not arrays.exists():
        run("prepare", str(args.data), str(args.folder))
    for name in STAGES:
        place = args.folder / name
        place.mkdir(exist_ok=True)
        if not (place / "arrays.npz").exists():
            (place / "arrays.npz").symlink_to(arrays.resolve())
    for module, *arguments in commands(args.folder, args.output):
        run(module, *arguments)


if __name__ == "__main__":
    main()
