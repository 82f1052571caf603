"""How models do on sets that they never saw: for the end of a training, once per candidate.

``python -m training.outside --crops rafdb_six.parquet --photos jaffe.parquet MODEL.onnx ...``
prints accuracy / mean recall for each head and for both added, each less its log prior (Saerens
et al. 2002, doi:10.1162/089976602753284446). ``--crops`` are resized to the network's input as
they stand; in ``--photos`` the detector finds the face. Only a set's own labels can be answered.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

import mien
from mien.emotions import SEVEN
from mien.metrics import recall
from mien.models.card import Card
from mien.models.onnx import Model
from mien.types import FloatArray, ImageArray, IntArray

WAYS = ("fer2013", "ferplus", "ferplus, even", "fer2013, even", "both, even")


def read_set(path: Path) -> tuple[list[ImageArray], IntArray]:
    """Images as RGB and labels by :data:`SEVEN` of a set's test rows, without contempt."""
    rows = pq.read_table(path).to_pylist()
    splits = {row["split"] for row in rows}
    kept = [
        row
        for row in rows
        if row["label"] in SEVEN and (row["split"] == "test" or "test" not in splits)
    ]
    images = [np.asarray(Image.open(io.BytesIO(row["image"])).convert("RGB")) for row in kept]
    return images, np.array([SEVEN.index(row["label"]) for row in kept])


def log_scores(card: Card, logits: dict[str, FloatArray]) -> dict[str, FloatArray]:
    """Log scores ``[N, 7]`` by each of :data:`WAYS`; contempt is left out."""
    scores = {}
    for name in ("fer2013", "ferplus"):
        head = card.heads[name]
        scaled = logits[name] / head.temperature
        log_p = scaled - np.log(np.exp(scaled - scaled.max(1, keepdims=True)).sum(1, keepdims=True))
        scores[name] = log_p[:, :7]
        scores[f"{name}, even"] = (log_p - np.log(head.prior))[:, :7]
    scores["both, even"] = scores["fer2013, even"] + scores["ferplus, even"]
    return scores


def logits_of(path: Path, images: list[ImageArray], *, photos: bool) -> dict[str, FloatArray]:
    """Logits ``[N, K]`` of both heads; zeros for a photo in which no face is found."""
    found: dict[str, FloatArray] = {}
    for name in ("fer2013", "ferplus"):
        if photos:
            recognizer = mien.load(model=str(path), head=name)
            empty = np.zeros(len(recognizer.model.labels))
            parts = [recognizer.crops(image)[:1] for image in images]
            found[name] = np.stack([np.asarray(c[0].logits) if c else empty for c in parts])
        else:
            model = Model(path, head=name)
            found[name] = model.logits(np.stack([model.pixels(image) for image in images]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--crops", type=Path, nargs="*", default=[])
    parser.add_argument("--photos", type=Path, nargs="*", default=[])
    args = parser.parse_args()
    for path in (*args.crops, *args.photos):
        images, truth = read_set(path)
        present = np.unique(truth)
        for model in args.models:
            logits = logits_of(model, images, photos=path in args.photos)
            cells = []
            for way, scores in log_scores(Model(model).card, logits).items():
                guess = present[scores[:, present].argmax(axis=1)]
                recalls = recall(truth, guess, len(SEVEN))[present]
                cells.append(f"{way} {(guess == truth).mean():.3f}/{recalls.mean():.3f}")
            print(f"{path.stem} {len(truth)}  {model}  " + "  ".join(cells), flush=True)


if __name__ == "__main__":
    main()
