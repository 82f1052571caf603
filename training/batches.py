"""Augmented batches with their targets, and the loss against them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mien.models.torch.networks.compact import CompactOutput
from training.augment import alignments, augment
from training.examples import MEAN, STD, Examples
from training.recipe import Recipe, Training


def soft_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    losses = -(target * F.log_softmax(logits, dim=1)).sum(dim=1)
    return (losses * weight).sum() / weight.sum().clamp(min=1)


def loss_of(
    output: CompactOutput, targets: dict[str, Tensor], how: Training
) -> tuple[Tensor, Tensor]:
    """The sum that training lessens, and its parts ``[3]``: both heads' and the landmarks'."""
    ferplus = soft_cross_entropy(output.ferplus.float(), targets["ferplus"], targets["weight"])
    fer2013 = soft_cross_entropy(
        output.fer2013.float(), targets["fer2013"], torch.ones_like(targets["weight"])
    )
    distance = (output.landmarks.float() - targets["landmarks"]).abs().mean(dim=(1, 2))
    seen = targets["landmarks_ok"]
    landmarks = (distance * seen).sum() / seen.sum().clamp(min=1)
    total = (
        how.ferplus_weight * ferplus
        + how.fer2013_weight * fer2013
        + how.landmark_weight * landmarks
    )
    return total, torch.stack([ferplus, fer2013, landmarks]).detach()


def targets_of(data: Examples, how: Training, folder: Path) -> tuple[Tensor, Tensor]:
    """Targets ``[N, 8]`` and ``[N, 7]``: votes and smoothed labels, and the teachers' answers.

    Distillation as in Hinton et al. 2015 (arXiv:1503.02531), at temperature 1.
    """
    smooth = how.label_smoothing
    ferplus, fer2013 = data.ferplus, F.one_hot(data.labels, 7) * (1 - smooth) + smooth / 7
    if how.teachers > 0:
        with np.load(folder / "teachers.npz") as said:
            ferplus = torch.lerp(ferplus, torch.from_numpy(said["ferplus"]), how.teachers)
            fer2013 = torch.lerp(fer2013, torch.from_numpy(said["fer2013"]), how.teachers)
    return ferplus, fer2013


class Batches:
    """Augmented, mixed-up batches of a split (mixup: Zhang et al. 2018, arXiv:1710.09412).

    The split stands on ``device``, and batches are made there.
    """

    def __init__(
        self, data: Examples, recipe: Recipe, folder: Path, device: torch.device | str = "cpu"
    ) -> None:
        self.recipe = recipe
        ferplus, fer2013 = targets_of(data, recipe.training, folder)
        self.ferplus, self.fer2013 = ferplus.to(device), fer2013.to(device)
        self.images, self.landmarks = data.images.to(device), data.landmarks.to(device)
        self.weight, self.landmarks_ok = data.weight.to(device), data.landmarks_ok.to(device)
        self.aligned: Tensor | None = None
        if recipe.augmentation.align > 0:
            template = data.landmarks[data.landmarks_ok].mean(dim=0)
            self.aligned = alignments(data.landmarks, data.landmarks_ok, template).to(device)

    def __len__(self) -> int:
        return len(self.images)

    def make(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Normalised pixels ``[n, 1, 48, 48]`` and targets of the rows ``[n]``."""
        how, device = self.recipe.training, generator.device
        images, points = augment(
            self.images[rows].float() / 255,
            self.landmarks[rows],
            self.recipe.augmentation,
            generator,
            None if self.aligned is None else self.aligned[rows],
        )
        weight = self.weight[rows]
        part = torch.ones(len(rows), device=device)
        if how.mixup > 0:
            seed = int(torch.randint(2**31, (1,), generator=generator, device=device))
            beta = np.random.default_rng(seed).beta(how.mixup, how.mixup, len(rows))
            part = torch.from_numpy(np.maximum(beta, 1 - beta)).float().to(device)
        other = torch.randperm(len(rows), generator=generator, device=device)

        def mix(values: Tensor) -> Tensor:
            own = part.view(-1, *[1] * (values.dim() - 1))
            return values * own + values[other] * (1 - own)

        mixed_weight = mix(weight)
        ferplus = mix(self.ferplus[rows] * weight[:, None])
        targets = {
            "ferplus": ferplus / mixed_weight.clamp(min=1e-6)[:, None],
            "weight": mixed_weight,
            "fer2013": mix(self.fer2013[rows]),
            "landmarks": points,
            "landmarks_ok": (self.landmarks_ok[rows] & (part > 0.9)).float(),
        }
        return (mix(images) - MEAN) / STD, targets
