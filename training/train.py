"""Train the built-in model, or a teacher of it; resumable after a kill.

Run ``python -m training.train recipes/builtin/compact.toml build/model``. It reads ``arrays.npz``
there (and ``teachers.npz`` where the recipe has such targets) and writes ``history.csv``,
``last.pt`` (to resume) and ``best.pt`` (best on PublicTest). It computes on an accelerator where
torch sees one.

``--seconds`` gives a training a time instead of the recipe's epochs, for a machine that is lent for
so long: the learning rate follows the clock. Such a training says how many epochs it had, and is
not resumed.
"""

from __future__ import annotations

import argparse
import copy
import csv
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.answers import Ensemble, scores_of
from training.batches import Batches, loss_of
from training.examples import read_examples
from training.networks import best_device, build, freeze, open_teacher, placed
from training.recipe import Network, Recipe, Training, read_recipe


class Average:
    """Exponential moving average of a network's weights and buffers."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = copy.deepcopy(net).eval()
        self.decay = decay
        self.steps = 0
        pairs = [*zip(self.net.state_dict().values(), net.state_dict().values(), strict=True)]
        self._means = [mean for mean, _ in pairs if mean.dtype.is_floating_point]
        self._values = [value for mean, value in pairs if mean.dtype.is_floating_point]
        self._counts = [pair for pair in pairs if not pair[0].dtype.is_floating_point]

    @torch.no_grad()
    def update(self) -> None:
        """Move a step towards the network's weights, which are the tensors seen at the start."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self._means, self._values, 1 - decay)
        for mean, value in self._counts:
            mean.copy_(value)


def learning_rate(done: float, how: Training) -> float:
    """Linear warm-up, then half a cosine down to zero; ``done`` is the share of the training."""
    warmup = how.warmup_epochs / how.epochs
    if done < warmup:
        return how.learning_rate * max(done / warmup, 1e-3)
    progress = min((done - warmup) / (1 - warmup), 1.0)
    return how.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass
class Clock:
    """How much of a training is done, by its steps or, where it has so many seconds, by time."""

    steps: int
    seconds: float | None
    step: int = 0
    started: float = 0.0

    def done(self) -> float:
        """The share of the training that is done, 0..1."""
        if self.seconds is None:
            return self.step / self.steps
        if not self.step:  # the first step, which starts up the device, does not count
            self.started = time.perf_counter()
        return min((time.perf_counter() - self.started) / self.seconds, 1.0)


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


def has_bf16(precision: str, device: str = "cpu") -> bool:
    """Whether to compute in bf16: as asked, or where the processor has instructions for it."""
    if precision == "auto":
        cpu = torch.cpu
        return device != "cpu" or bool(
            cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported()
        )
    return {"bf16": True, "fp32": False}[precision]


class Run:
    """One training in a folder: its network, its optimiser, and what it did so far."""

    def __init__(
        self, recipe: Recipe, folder: Path, start: Path | None, teachers: Sequence[str]
    ) -> None:
        how = recipe.training
        torch.manual_seed(how.seed)
        self.recipe, self.folder = recipe, folder
        self.device = best_device()
        self.halved = has_bf16(how.precision, self.device.type)
        data = read_examples(folder / "arrays.npz", "train")
        self.public = read_examples(folder / "arrays.npz", "val")
        self.batches = Batches(data, recipe, folder, self.device)
        self.net = placed(build(recipe, data, start), self.device)
        # trying every algorithm pays for few shapes: the many of a Lite take longer than an epoch
        torch.backends.cudnn.benchmark = isinstance(recipe.network, Network) and not teachers
        self.kept = freeze(self.net, how.frozen)
        self.optimizer = optimizer_of(self.net, how)
        self.average = Average(self.net, how.ema_decay)
        nets = [open_teacher(text, data) for text in teachers]
        self.teachers = Ensemble(nets, self.public, self.device, self.halved) if nets else None
        self.history: list[dict[str, Any]] = []

    def resume(self) -> None:
        """Go on where the last run in this folder ended, if there was one."""
        last = self.folder / "last.pt"
        if not last.exists():
            return
        state = torch.load(last, weights_only=True, map_location=self.device)
        self.net.load_state_dict(state["net"])
        self.average.net.load_state_dict(state["average"])
        self.average.steps = state["steps"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.history = state["history"]

    def step(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """One step of the optimiser; returns the losses ``[3]`` of the heads and landmarks."""
        images, targets = self.batches.make(rows, generator)
        images = images.to(memory_format=torch.channels_last)
        how = self.recipe.training
        if self.teachers is not None:
            for head, said in self.teachers(images).items():
                targets[head] = torch.lerp(targets[head], said, how.live)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.halved):
            output = self.net(images)
        loss, parts = loss_of(output, targets, how)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimizer.step()
        self.average.update()
        return parts

    def epoch(self, clock: Clock) -> dict[str, Any]:
        """Train for one epoch, or until the time is up; returns its mean losses."""
        how, number = self.recipe.training, len(self.history)
        seed = how.seed * 100_003 + number
        generator = torch.Generator(self.device).manual_seed(seed)
        torch.manual_seed(seed)  # dropout
        order = torch.randperm(len(self.batches), generator=generator, device=self.device)
        self.net.train()
        for layer in self.kept:
            layer.eval()
        sums, steps = torch.zeros(3, device=self.device), 0
        for rows in torch.split(order, how.batch_size):
            done = clock.done()
            if len(rows) < how.batch_size or done >= 1:
                break
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(done, how)
            sums += self.step(rows, generator)
            clock.step += 1
            steps += 1
        means = dict(zip(("ferplus", "fer2013", "landmarks"), sums.tolist(), strict=True))
        return {f"loss_{name}": value / max(steps, 1) for name, value in means.items()}

    def keep(self, row: dict[str, Any]) -> None:
        """Note an epoch, and keep the weights: the best on PublicTest, and those to resume from."""
        self.history.append(row)
        selected = [h["public_fer2013"] + h["public_ferplus"] for h in self.history]
        if selected[-1] == max(selected):
            torch.save(self.average.net.state_dict(), self.folder / "best.pt")
        checkpoint = {
            "net": self.net.state_dict(),
            "average": self.average.net.state_dict(),
            "steps": self.average.steps,
            "optimizer": self.optimizer.state_dict(),
            "history": self.history,
        }
        part = self.folder / "last.new"
        torch.save(checkpoint, part)
        part.replace(self.folder / "last.pt")
        with (self.folder / "history.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
            writer.writerows(self.history)


def train(
    recipe: Recipe,
    folder: Path,
    start: Path | None = None,
    teachers: Sequence[str] = (),
    seconds: float | None = None,
) -> None:
    """Train by the recipe in a folder that holds the arrays, or go on where the last run ended."""
    how = recipe.training
    if bool(how.start) != (start is not None):
        raise SystemExit(f"start: the recipe says {how.start or 'from scratch'!r}, got {start}")
    if bool(how.live) != bool(teachers):
        raise SystemExit(f"teachers: the recipe asks them for {how.live}, got {len(teachers)}")
    run = Run(recipe, folder, start, teachers)
    if seconds is None:
        run.resume()
    per_epoch = len(run.batches) // how.batch_size
    clock = Clock(how.epochs * per_epoch, seconds, step=len(run.history) * per_epoch)
    while clock.done() < 1:
        started = time.perf_counter()
        row: dict[str, Any] = {"epoch": len(run.history) + 1}
        row |= run.epoch(clock)
        row["done"] = clock.done()
        row |= {f"public_{k}": v for k, v in scores_of(run.average.net, run.public).items()}
        row["seconds"] = time.perf_counter() - started
        run.keep(row)
        print("  ".join(f"{k} {v:.4g}" for k, v in row.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--start", type=Path, help="best.pt of another run, or a shipped .onnx")
    parser.add_argument("--seed", type=int, help="another seed than the recipe's")
    parser.add_argument("--seconds", type=float, help="train for so long, whatever the epochs")
    parser.add_argument(
        "--teacher", action="append", default=[], help="RECIPE=WEIGHTS, asked for every crop"
    )
    args = parser.parse_args()
    recipe = read_recipe(args.recipe)
    if args.seed is not None:
        recipe = replace(recipe, training=replace(recipe.training, seed=args.seed))
    train(recipe, args.folder, args.start, args.teacher, args.seconds)


if __name__ == "__main__":
    main()
