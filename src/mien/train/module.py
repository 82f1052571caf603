"""The training step in Lightning: losses, optimisers, schedules and strategies of a recipe."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Self

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn

from mien.data.augment import Augmenter
from mien.data.augmentation import Augmentation, preset
from mien.models.torch.spec import Spec
from mien.runs.losses import LOSSES, soften
from mien.runs.recipe import Recipe, Training
from mien.types import InputError, MienError
from mien.vision.geometry import Preprocess


def rate(step: int, steps_per_epoch: int, how: Training) -> float:
    """Factor of the learning rate at a step: warm-up, then the schedule (plateau: warm-up only).

    >>> how = Training(epochs=10, schedule="cosine", warmup_epochs=1, warmup_multiplier=10)
    >>> [round(rate(s, 100, how), 3) for s in (0, 100, 550, 999)]
    [0.1, 1.0, 0.5, 0.0]
    """
    warmup = how.warmup_epochs * steps_per_epoch
    if step < warmup:
        low = 1 / how.warmup_multiplier
        return low + (1 - low) * step / warmup
    progress = (step - warmup) / max(how.epochs * steps_per_epoch - warmup, 1)
    if how.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * min(progress, 1)))
    if how.schedule == "linear":
        return max(1 - progress, 0.0)
    if how.schedule == "step":
        epoch = step // steps_per_epoch
        return float(how.schedule_factor ** (epoch // how.schedule_epochs))
    return 1.0


def freeze(net: nn.Module, how: Training, spec: Spec) -> None:
    """Leave gradients to what the strategy trains: all, the classifier, or it and last stages.

    With ``partial``, what is defined after the last stage, such as a transformer's last norm,
    learns too. Raises InputError where the network has no such parts.
    """
    if how.strategy == "full":
        return
    kept = [*spec.output_layers, *spec.classifier, *spec.added]
    if how.strategy == "partial":
        if len(spec.stages) < how.blocks:
            raise InputError(
                f"expected a network of at least {how.blocks} stages for strategy 'partial', "
                f"got the {len(spec.stages)} of {spec.name}"
            )
        kept += spec.stages[len(spec.stages) - how.blocks :]
        kept += _after(net, spec.stages[-1])
    found = False
    for name, parameter in net.named_parameters():
        learns = any(name == prefix or name.startswith(prefix + ".") for prefix in kept)
        parameter.requires_grad_(learns)
        found |= learns
    if not found:
        raise InputError(f"{spec.name}: expected a head to train, found none; use strategy 'full'")


def _after(net: nn.Module, stage: str) -> list[str]:
    """Names of the parameters that a network defines after one of its stages."""
    names = [name for name, _ in net.named_parameters()]
    last = max((i for i, n in enumerate(names) if n.startswith(stage + ".")), default=len(names))
    return names[last + 1 :]


def optimizer_of(net: nn.Module, how: Training) -> torch.optim.Optimizer:
    """SGD, Adam or AdamW over what learns."""
    learning = [p for p in net.parameters() if p.requires_grad]
    if how.optimizer == "sgd":
        return torch.optim.SGD(
            learning,
            lr=how.learning_rate,
            momentum=how.momentum,
            nesterov=how.nesterov,
            weight_decay=how.weight_decay,
        )
    kind = torch.optim.AdamW if how.optimizer == "adamw" else torch.optim.Adam
    return kind(learning, lr=how.learning_rate, weight_decay=how.weight_decay)


class DivergedError(MienError, ArithmeticError):
    """A training whose loss or weights are no longer finite."""


def not_finite(net: nn.Module) -> str:
    """The first parameter or buffer with a value that is nan or infinite; nothing if none has.

    >>> not_finite(nn.Linear(2, 2))
    ''
    """
    for name, value in net.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            return name
    return ""


def frozen(net: nn.Module) -> list[nn.Module]:
    """Modules that have parameters and learn none of them."""
    return [
        module
        for module in net.modules()
        if any(True for _ in module.parameters())
        and not any(p.requires_grad for p in module.parameters())
    ]


class Fit(lightning.LightningModule):
    """A network under training: pixels in 0..255 in, logits out."""

    weights: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, recipe: Recipe, how: Preprocess, weights: Tensor) -> None:
        super().__init__()
        self.net = net
        self.recipe = recipe
        self._frozen = frozen(net)
        self._checks: list[Tensor] = []
        change = preset(recipe.data.augmentation)
        if recipe.training.mixup > 0:
            change = replace(change, mixup=recipe.training.mixup)
        # without a seed of its own it follows torch's, which every step sets
        self.augment = None if change == Augmentation() else Augmenter(change)
        self.loss = LOSSES.get(recipe.training.loss)
        self.register_buffer("weights", weights, persistent=False)
        self.register_buffer("mean", torch.tensor(how.mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(how.std).view(-1, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits ``[N, K]`` of pixels ``[N, C, h, w]`` in 0..255."""
        x = self.normalise(pixels).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.net(x)
        return logits

    def normalise(self, pixels: Tensor) -> Tensor:
        """Pixels in 0..255 as the network was made for."""
        return (pixels.float() / 255 - self.mean) / self.std

    def train(self, mode: bool = True) -> Self:
        """Set the mode; what learns nothing stays as it answers, its statistics included."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def on_train_epoch_start(self) -> None:
        """Start a new mean for the epoch."""
        self.losses: list[Tensor] = []

    def epoch_loss(self) -> float:
        """Mean training loss of the epoch so far, over all processes.

        Kept here and not by Lightning's log, whose means a resumed run would mix up.
        """
        mean = torch.stack(self.losses).mean()
        return self._mean(mean)

    def _mean(self, value: Tensor) -> float:
        """The mean over all processes."""
        return float(self.trainer.strategy.reduce(value, reduce_op="mean"))

    def on_validation_epoch_start(self) -> None:
        """End a training whose epoch left anything that is not finite, before it is validated."""
        self._checks = []
        self._check()

    def on_train_epoch_end(self) -> None:
        """The same where nothing is validated, before the epoch is kept."""
        if not self.trainer.val_dataloaders:
            self._check()

    def _check(self) -> None:
        if not math.isfinite(self.epoch_loss()):
            raise DivergedError(
                f"the training loss of epoch {self.current_epoch + 1} is not finite"
            )
        if name := not_finite(self.net):
            raise DivergedError(
                f"the weights {name!r} are no longer finite in epoch {self.current_epoch + 1}"
            )

    def on_validation_epoch_end(self) -> None:
        """The same for what the weights answer."""
        if not math.isfinite(self._mean(torch.stack(self._checks).mean())):
            raise DivergedError(
                f"the validation loss of epoch {self.current_epoch + 1} is not finite"
            )

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Augment, mix, and compare with the targets."""
        how = self.recipe.training
        pixels, targets = batch
        images = pixels.float()
        targets = soften(targets, how.label_smoothing)
        if self.augment is not None:
            images, targets = self.augment.mix(self.augment(images), targets)
        loss = self.loss(self(images).float(), targets, self.weights, how)
        self.losses.append(loss.detach())
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Loss and accuracy on images that no gradient sees."""
        pixels, targets = batch
        logits = self(pixels).float()
        loss = self.loss(logits, targets, self.weights, self.recipe.training)
        self._checks.append(loss.detach())
        right = (logits.argmax(1) == targets.argmax(1)).float().mean()
        for name, value in (("val_loss", loss), ("val_accuracy", right)):
            self.log(name, value, prog_bar=True, batch_size=len(pixels), sync_dist=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The recipe's optimiser and schedule; plateau watches the validation loss."""
        how = self.recipe.training
        optimizer = optimizer_of(self.net, how)
        if how.schedule == "plateau":
            plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimizer, factor=how.schedule_factor, patience=how.schedule_epochs
            )
            return {
                "optimizer": optimizer,
                "lr_scheduler": {"scheduler": plateau, "monitor": "val_loss"},
            }
        steps = max(int(self.trainer.estimated_stepping_batches) // how.epochs, 1)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: rate(s, steps, how))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:  # noqa: ARG002 - Lightning's
        """Seed the step, so that a resumed run repeats it; warm up beside a plateau schedule."""
        how = self.recipe.training
        step = [how.seed, self.current_epoch, batch_idx, self.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(step).generate_state(1, np.uint64)[0]))
        if how.schedule == "plateau" and how.warmup_epochs > 0:
            steps = max(int(self.trainer.num_training_batches), 1)
            # the step after the last of the warm-up sets the full rate
            if self.global_step <= how.warmup_epochs * steps:
                for group in self.trainer.optimizers[0].param_groups:
                    group["lr"] = how.learning_rate * rate(self.global_step, steps, how)
