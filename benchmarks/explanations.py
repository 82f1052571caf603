"""DnCShap beside SHAP's partition explainer: time at equal passes, agreement with exact values.

Run ``python -m benchmarks.explanations FER2013.parquet``, or without a file on drawn faces; it
writes ``explanations.json`` beside this file. Every time is a median over faces, both methods in
one run, in turn.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from mien.data import synthetic
from mien.explainers.designs import dncshap_design, exact_design, tree_grid
from mien.explainers.masks import baseline_pixels, evaluate_coalitions
from mien.explainers.method import Case
from mien.explainers.surrogates import Game, partition_values
from mien.judging.measures import rank_correlation
from mien.judging.sampling import sample_faces
from mien.loading import load
from mien.types import FloatArray

HERE = Path(__file__).parent


def case_of(recognizer: Any, face: Any) -> Case:
    """The question why the answer was given."""
    direction = np.zeros(len(recognizer.model.labels))
    direction[recognizer.model.labels.index(face.prediction.dominant_emotion)] = 1
    return Case(recognizer.model, face.crop.pixels, np.zeros((1, 1), int), direction, "mean")


def dncshap(case: Case, levels: int) -> tuple[FloatArray, int]:
    """Values of DnCShap with both contexts, and its forward passes."""
    design = dncshap_design(levels)
    baseline = baseline_pixels(case.pixels, "mean")
    players = tree_grid(levels, case.pixels.shape[1])
    scores = evaluate_coalitions(case.score, case.pixels, baseline, players, design.coalitions)
    return design.solve(scores[:, 0]), len(scores)


def shap(case: Case, levels: int, evaluations: int) -> tuple[FloatArray, int]:
    """Values of shap's partition explainer on the same tree, and its forward passes."""
    game = Game(case, tree_grid(levels, case.pixels.shape[1]))
    return partition_values(game, evaluations), game.evaluations


def timed(work: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def speed(cases: list[Case]) -> dict[str, Any]:
    """Seconds of 64 parts: DnCShap, SHAP at as many passes, SHAP in full."""
    dncshap(cases[0], 6), shap(cases[0], 6, 252)  # warm up
    rows: dict[str, list[tuple[float, int]]] = {
        "dncshap": [],
        "shap, as many": [],
        "shap, full": [],
    }
    for case in cases:
        for name, work in (
            ("dncshap", lambda c=case: dncshap(c, 6)),
            ("shap, as many", lambda c=case: shap(c, 6, 252)),
            ("shap, full", lambda c=case: shap(c, 6, 10**6)),
        ):
            (_, passes), seconds = timed(work)
            rows[name].append((seconds, passes))
    found: dict[str, Any] = {
        name: {
            "seconds": float(np.median([s for s, _ in row])),
            "passes": float(np.mean([p for _, p in row])),
        }
        for name, row in rows.items()
    }
    own = np.array([s for s, _ in rows["dncshap"]])
    for name in ("shap, as many", "shap, full"):
        ratios = np.array([s for s, _ in rows[name]]) / own
        found[name]["times slower than dncshap"] = float(np.median(ratios))
    return found


def agreement(cases: list[Case]) -> dict[str, Any]:
    """Spearman's correlation with exact Shapley values of 16 parts (65,536 passes a face)."""
    exact = exact_design(16)
    found: dict[str, list[float]] = {}
    for case in cases:
        players = tree_grid(4, case.pixels.shape[1])
        baseline = baseline_pixels(case.pixels, "mean")
        scores = evaluate_coalitions(case.score, case.pixels, baseline, players, exact.coalitions)
        truth = exact.solve(scores[:, 0])
        found.setdefault("dncshap", []).append(rank_correlation(dncshap(case, 4)[0], truth))
        for evaluations in (60, 100, 172):
            values, _ = shap(case, 4, evaluations)
            name = f"shap, {evaluations} passes"
            found.setdefault(name, []).append(rank_correlation(values, truth))
    return {name: float(np.mean(values)) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "data", type=Path, nargs="?", help="a Parquet file; without one, drawn faces"
    )
    parser.add_argument("--faces", type=int, default=21)
    parser.add_argument("--exact", type=int, default=3)
    given = parser.parse_args()
    recognizer = load(detector="none")
    with tempfile.TemporaryDirectory() as folder:
        data = given.data or Path(folder) / "drawn.parquet"
        if given.data is None:
            synthetic.write(data, 700)
        faces = sample_faces(data, recognizer, n=given.faces)
    cases = [case_of(recognizer, face) for face in faces]
    results = {
        "model": recognizer.model.identity,
        "data": data.stem,
        "faces": len(cases),
        "exact faces": given.exact,
        "speed, 64 parts": speed(cases),
        "agreement, 16 parts": agreement(cases[: given.exact]),
    }
    (HERE / "explanations.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
