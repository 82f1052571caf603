"""How often each label stands in the training data: the prior that is built into the scores.

``python -m training.priors build/model/arrays.npz src/mien/models/weights/mien.onnx`` writes both
heads' priors into the card of a file that has none; the network in it stays as it is. A release
records them itself.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from mien.data.votes import soft_targets
from mien.emotions import SEVEN
from mien.models.onnx import Model
from mien.runs.export import attach


def training_priors(arrays: dict[str, np.ndarray]) -> dict[str, tuple[float, ...]]:
    """Shares of the labels in the training rows, for each head.

    ``fer2013`` counts the labels; ``ferplus`` is the mean of the votes' distributions, each row
    weighted by the share of raters who saw one of the eight, as the loss weighs it.
    """
    rows = arrays["split"] == "train"
    counts = np.bincount(arrays["labels"][rows], minlength=len(SEVEN))
    target, weight = soft_targets(arrays["votes"][rows])
    shares = {
        "fer2013": counts / counts.sum(),
        "ferplus": (target * weight[:, None]).sum(axis=0) / weight.sum(),
    }
    return {head: tuple(round(float(s), 5) for s in share) for head, share in shares.items()}


def record(path: Path, priors: dict[str, tuple[float, ...]]) -> str:
    """Write priors into the card inside ``path`` and its SHA-256 beside it; returns the SHA-256."""
    card = Model(path).card
    heads = {name: replace(head, prior=priors[name]) for name, head in card.heads.items()}
    return attach(onnx.load(str(path)), replace(card, heads=heads), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arrays", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    args = parser.parse_args()
    with np.load(args.arrays) as file:
        arrays = {name: file[name] for name in ("split", "labels", "votes")}
    priors = training_priors(arrays)
    for path in args.models:
        print(f"{record(path, priors)}  {path.name}")


if __name__ == "__main__":
    main()
