"""Train the built-in model, or a teacher of it, on the CPU; resumable after a kill.

Run ``python -m training.train recipes/builtin/compact.toml build/model``. It reads ``arrays.npz``
there (and ``teachers.npz`` where the recipe has teachers) and writes ``history.csv``, ``last.pt``
(to resume) and ``best.pt`` (best on PublicTest).
"""

from __future__ import annotations

import argparse
import copy
import csv
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mien.data.votes import majority
from mien.models.torch.networks.compact import CompactNet, ResidualBlock
from training.batches import Batches, loss_of
from training.examples import MEAN, STD, Examples, read_examples
from training.recipe import Lite0, Recipe, Training, read_recipe
from training.shipped import load_file

CALIBRATION = 512  # crops whose statistics the shipped network's normalisation is unfolded with


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
    right = (out["fer2013"].argmax(1) == data.labels).double()
    recalls = [right[data.labels == c].mean().item() for c in set(data.labels.tolist())]
    return {
        "fer2013": right.mean().item(),
        "fer2013_recall": float(np.mean(recalls)),
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


def build(recipe: Recipe, data: Examples, start: Path | None = None) -> nn.Module:
    """The recipe's network with the weights that training starts from.

    ``start`` is the ``best.pt`` of another run, or a shipped file.
    """
    how = recipe.network
    if isinstance(how, Lite0):
        from training.teacher import Lite0 as Teacher  # which needs timm

        teacher = Teacher(how.size, how.frozen, how.dropout)
        teacher.start()
        return teacher
    net = CompactNet(how.stem, how.widths, how.blocks, how.dropout)
    net.template.copy_(data.landmarks[data.landmarks_ok].mean(dim=0))
    if start is None:
        return net
    small = CompactNet(how.stem, how.widths, how.started or how.blocks, how.dropout)
    if start.suffix == ".onnx":
        load_file(small, (data.images[:CALIBRATION].float() / 255 - MEAN) / STD, start)
    else:
        small.load_state_dict(torch.load(start, weights_only=True))
    grow(small, net)
    return net


@torch.no_grad()
def grow(small: CompactNet, net: CompactNet) -> None:
    """Make ``net`` compute what ``small`` does, which has fewer residual blocks in its stages.

    A block more begins as the identity: the scale of its last normalisation is zero
    (Goyal et al. 2017, arXiv:1706.02677, section 5.1), and what comes in is not negative.
    """
    own = {n: m for n, m in small.named_children() if n != "trunk"}
    for name, module in own.items():
        net.get_submodule(name).load_state_dict(module.state_dict())
    net.template.copy_(small.template)
    layers = list(small.trunk)
    for layer in net.trunk:
        if layers and type(layers[0]) is type(layer):
            layer.load_state_dict(layers.pop(0).state_dict())
        elif isinstance(layer, ResidualBlock):
            layer.norm.weight.zero_()
        else:
            break
    if layers:
        raise ValueError(f"expected a network with no fewer blocks, {len(layers)} layers are left")


def freeze(net: nn.Module, count: int) -> list[nn.Module]:
    """The first ``count`` layers of the trunk, to be kept in evaluation, without gradients."""
    if not count or not isinstance(net, CompactNet):
        return []
    kept = list(net.trunk[:count])
    for layer in kept:
        layer.requires_grad_(False)
    return kept


def optimizer_of(net: nn.Module, how: Training) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, or AdamW; no decay of biases and normalisation."""
    free = [p for p in net.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in free if p.dim() > 1], "weight_decay": how.weight_decay},
        {"params": [p for p in free if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if how.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=how.learning_rate)
    return torch.optim.SGD(groups, lr=how.learning_rate, momentum=how.momentum, nesterov=True)


def has_bf16(precision: str) -> bool:
    """Whether to compute in bf16: as asked, or where the processor has instructions for it."""
    if precision == "auto":
        cpu = torch.cpu
        return bool(cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported())
    return {"bf16": True, "fp32": False}[precision]


def train(recipe: Recipe, folder: Path, start: Path | None = None) -> None:
    """Train by the recipe in a folder that holds the arrays, or go on where the last run ended."""
    how = recipe.training
    if bool(how.start) != (start is not None):
        raise SystemExit(f"start: the recipe says {how.start or 'from scratch'!r}, got {start}")
    torch.manual_seed(how.seed)
    data = read_examples(folder / "arrays.npz", "train")
    public = read_examples(folder / "arrays.npz", "val")
    batches = Batches(data, recipe, folder)
    net = build(recipe, data, start).to(memory_format=torch.channels_last)
    kept = freeze(net, how.frozen)
    optimizer = optimizer_of(net, how)
    halved = has_bf16(how.precision)
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
        for layer in kept:
            layer.eval()
        sums = {"ferplus": 0.0, "fer2013": 0.0, "landmarks": 0.0}
        for i in range(steps_per_epoch):
            rate = learning_rate(epoch * steps_per_epoch + i, steps_per_epoch, how)
            for group in optimizer.param_groups:
                group["lr"] = rate
            rows = order[i * how.batch_size : (i + 1) * how.batch_size]
            images, targets = batches.make(rows, generator)
            with torch.autocast("cpu", torch.bfloat16, enabled=halved):
                output = net(images.to(memory_format=torch.channels_last))
            loss, parts = loss_of(output, targets, how)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimizer.step()
            average.update(net)
            sums = {k: sums[k] + v for k, v in parts.items()}
            if i % 50 == 49:
                done = time.perf_counter() - started
                print(f"  {i + 1}/{steps_per_epoch}  {done:.0f} s  {loss.item():.3f}", flush=True)
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
    parser.add_argument("--start", type=Path, help="best.pt of another run, or a shipped .onnx")
    parser.add_argument("--seed", type=int, help="another seed than the recipe's")
    args = parser.parse_args()
    recipe = read_recipe(args.recipe)
    if args.seed is not None:
        recipe = replace(recipe, training=replace(recipe.training, seed=args.seed))
    train(recipe, args.folder, args.start)


if __name__ == "__main__":
    main()
