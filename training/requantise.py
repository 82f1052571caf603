"""Make the int8 variant of a shipped file anew, with its own temperatures and scores.

``python -m training.requantise recipes/builtin/compact.toml build/model src/mien/models/weights``
reads ``mien.onnx`` there and writes ``mien-int8.onnx``; the recipe says how calibration crops vary.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from mien.models.onnx import Model
from mien.runs.export import attach, quantise
from training.combine import combine, separate
from training.export import HEADS
from training.recipe import read_recipe
from training.release import LARGEST_LOSS, calibrated, calibration_crops, largest_loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("weights", type=Path)
    args = parser.parse_args()
    with np.load(args.folder / "arrays.npz") as file:
        arrays = {name: file[name] for name in file.files}
    source, raw = args.weights / "mien.onnx", args.folder / "int8.onnx"
    whole = Model(source).card
    quantise(source, raw, calibration_crops(arrays, read_recipe(args.recipe)), HEADS)
    target = args.folder / "mien-int8.onnx"
    graph = onnx.load(str(raw))
    versions = {
        **whole.versions,
        "onnx": onnx.__version__,
        "numpy": np.__version__,
        "onnxruntime": onnxruntime.__version__,
    }
    card = replace(separate(whole), name="mien-int8", versions=versions)
    card = calibrated(card, graph, target, arrays, final=True)
    lost = largest_loss(whole.metrics, card.metrics)
    print(json.dumps({"loses on PublicTest": round(lost, 4), **card.metrics}, indent=1))
    if lost > LARGEST_LOSS:
        raise SystemExit(f"not written: int8 may lose {LARGEST_LOSS} and loses {lost:.4f}")
    written = args.weights / target.name
    attach(graph, card, written)
    print(combine(written, arrays, final=True))


if __name__ == "__main__":
    main()
