"""Train the built-in model on the CPU (bf16, channels-last), resumable after a kill.

Run ``python -m training.train recipes/builtin/compact.toml build/model``. It reads ``arrays.npz``
there and writes ``history.csv``, ``last.pt`` (to resume) and ``best.pt`` (best on PublicTest).
"""

from __future__ import annotations

import argparse
import copy
import csv
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.data.votes import majority, soft_targets
from mien.models.torch.networks.compact import CompactNet, CompactOutput
from training.augment import augment
from training.recipe import Recipe, Training, read_recipe

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


def soft_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    losses = -(target * F.log_softmax(logits, dim=1)).sum(dim=1)
    return (losses * weight).sum() / weight.sum().clamp(min=1)


def loss_of(
    output: CompactOutput, targets: dict[str, Tensor], how: Training
) -> tuple[Tensor, dict[str, float]]:
    ferplus = soft_cross_entropy(output.ferplus.float(), targets["ferplus"], targets["weight"])
    fer2013 = soft_cross_entropy(
        output.fer2013.float(), targets["fer2013"], torch.ones(len(targets["fer2013"]))
    )
    distance = (output.landmarks.float() - targets["landmarks"]).abs().mean(dim=(1, 2))
    seen = targets["landmarks_ok"]
    landmarks = (distance * seen).sum() / seen.sum().clamp(min=1)
    total = (
        how.ferplus_weight * ferplus
        + how.fer2013_weight * fer2013
        + how.landmark_weight * landmarks
    )
    parts = {"ferplus": ferplus.item(), "fer2013": fer2013.item(), "landmarks": landmarks.item()}
    return total, parts


def make_batch(
    data: Examples, rows: Tensor, recipe: Recipe, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """One augmented, mixed-up batch (mixup: Zhang et al. 2018, arXiv:1710.09412)."""
    how = recipe.training
    images, points = augment(
        data.images[rows].float() / 255, data.landmarks[rows], recipe.augmentation, generator
    )
    ferplus, weight = data.ferplus[rows], data.weight[rows]
    smooth = how.label_smoothing
    fer2013 = F.one_hot(data.labels[rows], 7) * (1 - smooth) + smooth / 7
    seed = int(torch.randint(2**31, (1,), generator=generator))
    beta = np.random.default_rng(seed).beta(how.mixup, how.mixup, len(rows))
    share = torch.from_numpy(np.maximum(beta, 1 - beta)).float()
    other = torch.randperm(len(rows), generator=generator)

    def mix(values: Tensor, share: Tensor = share) -> Tensor:
        part = share.view(-1, *[1] * (values.dim() - 1))
        return values * part + values[other] * (1 - part)

    mixed_weight = mix(weight)
    targets = {
        "ferplus": mix(ferplus * weight[:, None]) / mixed_weight.clamp(min=1e-6)[:, None],
        "weight": mixed_weight,
        "fer2013": mix(fer2013),
        "landmarks": points,
        "landmarks_ok": (data.landmarks_ok[rows] & (share > 0.9)).float(),
    }
    return (mix(images) - MEAN) / STD, targets


@torch.no_grad()
def outputs_of(
    net: nn.Module, images: Tensor, flip: bool = False, batch: int = 256
) -> dict[str, Tensor]:
    """float32 outputs for uint8 crops; with ``flip`` the logits are means over the mirror image."""
    net.eval()
    results: dict[str, list[Tensor]] = {"ferplus": [], "fer2013": [], "landmarks": []}
    for chunk in torch.split(images, batch):
        x = ((chunk.float() / 255 - MEAN) / STD).to(memory_format=torch.channels_last)
        output = net(x)
        mirrored = net(x.flip(3)) if flip else output
        results["ferplus"].append((output.ferplus + mirrored.ferplus) / 2)
        results["fer2013"].append((output.fer2013 + mirrored.fer2013) / 2)
        results["landmarks"].append(output.landmarks)
    return {name: torch.cat(parts) for name, parts in results.items()}


def scores_of(net: nn.Module, data: Examples) -> dict[str, float]:
    """Accuracy of both heads and the landmark error in per cent of the eye distance."""
    out = outputs_of(net, data.images)
    label, kept = majority(data.votes.numpy())
    gap = (out["landmarks"] - data.landmarks).norm(dim=2).mean(dim=1)
    eyes = (data.landmarks[:, 6:8].mean(dim=1) - data.landmarks[:, 8:10].mean(dim=1)).norm(dim=1)
    return {
        "fer2013": (out["fer2013"].argmax(1) == data.labels).float().mean().item(),
        "ferplus": float((out["ferplus"].argmax(1).numpy() == label)[kept].mean()),
        "landmark_error": (100 * gap / eyes)[data.landmarks_ok].mean().item(),
    }


class Average:
    """Exponential moving average of a network's weights and buffers."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = copy.deepcopy(net).eval()
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for mean, value in zip(
            self.net.state_dict().values(), net.state_dict().values(), strict=True
        ):
            if mean.dtype.is_floating_point:
                mean.lerp_(value, 1 - decay)
            else:
                mean.copy_(value)


def learning_rate(step: int, steps_per_epoch: int, how: Training) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    warmup = how.warmup_epochs * steps_per_epoch
    if step < warmup:
        return how.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / (how.epochs * steps_per_epoch - warmup)
    return how.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def train(recipe: Recipe, folder: Path) -> None:
    how = recipe.training
    torch.manual_seed(how.seed)
    data = read_examples(folder / "arrays.npz", "train")
    public = read_examples(folder / "arrays.npz", "val")
    net = CompactNet(**recipe.to_dict()["network"])
    net.template.copy_(data.landmarks[data.landmarks_ok].mean(dim=0))
    net = net.to(memory_format=torch.channels_last)
    decayed = [p for p in net.parameters() if p.dim() > 1]
    plain = [p for p in net.parameters() if p.dim() <= 1]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": how.weight_decay},
        {"params": plain},
    ]
    optimizer = torch.optim.SGD(
        groups,
        lr=how.learning_rate,
        momentum=how.momentum,
        nesterov=True,
    )
    average = Average(net, how.ema_decay)
    history: list[dict[str, Any]] = []
    last = folder / "last.pt"
    if last.exists():
        state = torch.load(last, weights_only=True)
        net.load_state_dict(state["net"])
        average.net.load_state_dict(state["average"])
        average.steps = state["steps"]
        optimizer.load_state_dict(state["optimizer"])
        history = state["history"]
    steps_per_epoch = len(data) // how.batch_size
    for epoch in range(len(history), how.epochs):
        started = time.perf_counter()
        generator = torch.Generator().manual_seed(how.seed * 100_003 + epoch)
        torch.manual_seed(how.seed * 100_003 + epoch)  # dropout
        order = torch.randperm(len(data), generator=generator)
        net.train()
        sums = {"ferplus": 0.0, "fer2013": 0.0, "landmarks": 0.0}
        for i in range(steps_per_epoch):
            rate = learning_rate(epoch * steps_per_epoch + i, steps_per_epoch, how)
            for group in optimizer.param_groups:
                group["lr"] = rate
            rows = order[i * how.batch_size : (i + 1) * how.batch_size]
            images, targets = make_batch(data, rows, recipe, generator)
            with torch.autocast("cpu", torch.bfloat16):
                output = net(images.to(memory_format=torch.channels_last))
            loss, parts = loss_of(output, targets, how)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
            average.update(net)
            sums = {k: sums[k] + v for k, v in parts.items()}
        row: dict[str, Any] = {"epoch": epoch + 1}
        row |= {f"loss_{k}": v / steps_per_epoch for k, v in sums.items()}
        row |= {f"public_{k}": v for k, v in scores_of(average.net, public).items()}
        row["seconds"] = time.perf_counter() - started
        history.append(row)
        selected = [h["public_fer2013"] + h["public_ferplus"] for h in history]
        if selected[-1] == max(selected):
            torch.save(average.net.state_dict(), folder / "best.pt")
        checkpoint = {
            "net": net.state_dict(),
            "average": average.net.state_dict(),
            "steps": average.steps,
            "optimizer": optimizer.state_dict(),
            "history": history,
        }
        torch.save(checkpoint, last.with_suffix(".new"))
        last.with_suffix(".new").replace(last)
        with (folder / "history.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
            writer.writerows(history)
        print("  ".join(f"{k} {v:.4g}" for k, v in row.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    train(read_recipe(args.recipe), args.folder)


if __name__ == "__main__":
    main()
