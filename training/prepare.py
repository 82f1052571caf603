"""Arrays for training the built-in model: FER2013 pixels, FER+ votes, landmarks from the mesh.

Run ``python -m training.prepare DATA.parquet build/model``; it writes ``arrays.npz`` there.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from mien.data.votes import COLUMNS
from mien.emotions import SEVEN
from mien.vision.faces.mesh import FaceMesh
from mien.vision.landmarks import eye_distance, mirror

MARGINS = (0.15, 0.25)  # the mesh sees each crop at two scales and mirrored: four readings
AGREEMENT = (
    0.10  # mean spread of the four readings above which a face is left out, in eye distances
)


def read_table(path: Path) -> dict[str, np.ndarray]:
    """Images ``[N, 48, 48] uint8``, labels, votes ``[N, 10]`` and splits of the Parquet file."""
    table = pq.read_table(path)
    images = np.stack(
        [np.asarray(Image.open(io.BytesIO(b)).convert("L")) for b in table["image"].to_pylist()]
    )
    labels = np.array([SEVEN.index(name) for name in table["label"].to_pylist()], dtype=np.int64)
    votes = np.stack([table[f"fp_{c}"].to_numpy(zero_copy_only=False) for c in COLUMNS], axis=1)
    votes = np.where(table["ferplus_ok"].to_numpy(zero_copy_only=False)[:, None], votes, 0)
    split = np.array(table["split"].to_pylist())
    hashes = np.array(table["pixel_sha1"].to_pylist())
    in_training = np.isin(hashes, hashes[split == "train"]) & (split != "train")
    return {
        "images": images,
        "labels": labels,
        "votes": votes.astype(np.float32),
        "split": split,
        "in_training": in_training,
    }


def teacher_landmarks(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean landmarks ``[N, 24, 2]`` over four readings, and where the readings agree ``[N]``."""
    mesh = FaceMesh()
    width = images.shape[2]
    points = np.zeros((len(images), 24, 2))
    good = np.zeros(len(images), dtype=bool)
    for i, grey in enumerate(images):
        rgb = np.repeat(grey[:, :, None], 3, axis=2)
        readings, scores = [], []
        for margin in MARGINS:
            straight, score = mesh(rgb, margin)
            mirrored, score_mirrored = mesh(np.ascontiguousarray(rgb[:, ::-1]), margin)
            readings += [straight, mirror(mirrored, width)]
            scores += [score, score_mirrored]
        mean = np.mean(readings, axis=0)
        spread = np.linalg.norm(np.asarray(readings) - mean, axis=-1).mean()
        points[i] = mean
        unit = float(eye_distance(mean))
        good[i] = min(scores) > 0.5 and unit > 8 and spread / unit < AGREEMENT
    return points.astype(np.float32), good


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("output", type=Path)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    arrays = read_table(args.data)
    arrays["landmarks"], arrays["landmarks_ok"] = teacher_landmarks(arrays["images"])
    np.savez(args.output / "arrays.npz", allow_pickle=False, **arrays)
    ok = arrays["landmarks_ok"]
    print(f"{len(ok)} images, landmarks agree on {ok.sum()} ({ok.mean():.1%})")


if __name__ == "__main__":
    main()
