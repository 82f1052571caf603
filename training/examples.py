"""One split of FER2013 as tensors, with votes, landmarks, and what teachers say of each crop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mien.data.votes import soft_targets

MEAN, STD = 0.5, 0.25  # of pixels in 0..1; kept in the model's card


@dataclass(frozen=True)
class Examples:
    """One split as tensors: N grey crops and what is known about each."""

    images: Tensor  # [N, 1, 48, 48] uint8
    labels: Tensor  # [N] int64, order of SEVEN
    votes: Tensor  # [N, 10] float32, order of mien.data.votes.VOTES
    ferplus: Tensor  # [N, 8] float32, soft targets
    weight: Tensor  # [N] float32, share of raters who saw one of the eight
    landmarks: Tensor  # [N, 24, 2] float32 in -1..1
    landmarks_ok: Tensor  # [N] bool
    in_training: Tensor  # [N] bool: the same pixels also stand in Training

    def __len__(self) -> int:
        return len(self.labels)


def read_examples(path: Path, split: str) -> Examples:
    """One split (train, val or test) of the arrays that ``training.prepare`` wrote."""
    with np.load(path) as arrays:
        rows = np.flatnonzero(arrays["split"] == split)
        side = arrays["images"].shape[1]
        target, weight = soft_targets(arrays["votes"][rows])
        return Examples(
            images=torch.from_numpy(arrays["images"][rows])[:, None],
            labels=torch.from_numpy(arrays["labels"][rows]),
            votes=torch.from_numpy(arrays["votes"][rows]),
            ferplus=torch.from_numpy(target).float(),
            weight=torch.from_numpy(weight).float(),
            landmarks=torch.from_numpy((arrays["landmarks"][rows] + 0.5) * (2 / side) - 1),
            landmarks_ok=torch.from_numpy(arrays["landmarks_ok"][rows]),
            in_training=torch.from_numpy(arrays["in_training"][rows]),
        )
