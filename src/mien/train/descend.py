"""One training by gradient descent in Lightning: checkpoints, history, early stopping."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import lightning
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import Logger
from lightning.pytorch.strategies import StrategyRegistry
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from mien.files import whole_file
from mien.registry import choose
from mien.runs.folder import WEIGHTS
from mien.runs.read import read_history, write_table
from mien.runs.recipe import Recipe, Training
from mien.train.answers import share_right
from mien.train.checkpoints import BEST, LAST, WholeFiles, best_weights, resumable
from mien.train.loader import EpochSampler
from mien.train.module import DivergedError, Fit
from mien.train.pixels import Images, Item
from mien.train.processes import rank
from mien.types import InputError, MissingExtraError

PRECISION: Final[dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}
DEVICES = {"auto": "auto", "cpu": "cpu", "cuda": "gpu", "mps": "mps"}


def known_strategy(name: str) -> str:
    """Lightning's name of a strategy; UnknownNameError for one that it does not have."""
    return choose("strategy", name, ["auto", *StrategyRegistry.available_strategies()])


def accelerator(device: str) -> str:
    """Lightning's name of a device; InputError where this machine has none of its kind."""
    name = DEVICES[choose("device", device, DEVICES)]
    absent = (name == "gpu" and not torch.cuda.is_available()) or (
        name == "mps" and not torch.backends.mps.is_available()
    )
    if absent:
        raise InputError(f"device {device!r}: this machine, or its torch, has none; take auto")
    return name


@dataclass(frozen=True)
class Where:
    """On what a run trains and what it shows; it does not change what is trained."""

    accelerator: str = "auto"  # as Lightning names it: auto, cpu, gpu, ...
    devices: int = 1  # how many, or which
    num_nodes: int = 1  # machines
    strategy: str = "auto"  # as Lightning names it: auto, ddp, ...
    progress: bool = False  # whether bars are drawn
    steps: int | None = None  # stop each epoch after so many batches (a smoke test)
    tensorboard: bool = False  # whether curves are written for TensorBoard, too
    curves: bool = False  # whether the accuracy on training and test images is noted by epoch
    #: called by the first process when the data and the folder are accepted
    on_begin: Callable[[], None] | None = None
    #: called after each epoch with its row of history.csv
    on_epoch: Callable[[Mapping[str, Any]], None] | None = None

    @property
    def first(self) -> bool:
        """Whether this process is the first of those that train together, which alone writes."""
        return rank() == 0

    @property
    def device(self) -> torch.device:
        """Where one process computes outside of the training loop."""
        if self.accelerator in ("auto", "gpu") and torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        if self.accelerator in ("auto", "mps") and torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("cpu")


class History(Callback):
    """Write ``history.csv`` after every epoch; a resumed run goes on where it stopped."""

    def __init__(self, path: Path, where: Where, watched: Mapping[str, Images], batch: int) -> None:
        self.path = path
        self.on_epoch = where.on_epoch
        self.watched = watched
        self.batch = batch
        self._started = time.perf_counter()

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start the epoch's clock."""
        self._started = time.perf_counter()

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, module: lightning.LightningModule
    ) -> None:
        """Append one row; every process takes part in the mean, the first one writes."""
        row: dict[str, Any] = {"epoch": trainer.current_epoch + 1}
        row["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        assert isinstance(module, Fit)  # the only module that is trained here
        row["train_loss"] = module.epoch_loss()
        if not trainer.is_global_zero:
            return
        if trainer.logger is not None:  # validation is logged by Lightning itself
            chosen = {k: row[k] for k in ("train_loss", "learning_rate")}
            trainer.logger.log_metrics(chosen, step=trainer.global_step)
        row |= {k: float(v) for k, v in trainer.callback_metrics.items()}
        row["seconds"] = round(time.perf_counter() - self._started, 2)
        for side, images in self.watched.items():  # to look at: nothing is chosen by it
            row[f"{side}_accuracy"] = share_right(module, images, self.batch)
        rows = [r for r in read_history(self.path) if int(r["epoch"]) < row["epoch"]]
        rows.append(row)
        # all of them: curves may have been asked for, or left out, when the training went on
        names = list(dict.fromkeys(name for r in rows for name in r))
        write_table(self.path, names, [[r.get(name, "") for name in names] for r in rows])
        if self.on_epoch is not None:
            self.on_epoch(row)


def descend(
    module: Fit,
    sets: dict[str, Images],
    folder: Path,
    batch: int,
    where: Where,
    watched: Mapping[str, Images],
) -> dict[str, torch.Tensor]:
    """State of the network after gradient descent, of the epoch best on validation.

    ``sets`` has the images ``train`` and, unless the last epoch counts, ``val``; of the ``watched``
    ones the history notes the accuracy, and nothing is chosen by them. What a stopped training
    left in ``folder`` is taken up. Raises DivergedError at the first epoch that is not finite, and
    leaves the best weights before it in ``weights.safetensors``.
    """
    resume = resumable(folder, module.net)
    history = History(folder / "history.csv", where, watched, 4 * batch)
    trainer = _trainer(module.recipe, folder, where, history)
    train, val = _loaders(module.recipe.training, sets, batch)
    module.train()
    try:
        trainer.fit(module, train, val, ckpt_path=resume and str(resume))
    except SystemExit as error:
        if trainer.interrupted:  # Lightning's answer to Control-C
            raise KeyboardInterrupt from error
        raise
    except DivergedError as error:
        raise DivergedError(f"{error}; {_kept(folder)}") from error
    finally:
        module.trainer = None  # it holds the module, and the optimizer's state
    return best_weights(folder)


def _kept(folder: Path) -> str:
    """What a training that diverged leaves, and what to change."""
    advice = "take a lower learning rate, or a longer warm-up"
    if not (folder / BEST).exists():
        return f"no epoch before it has weights to keep; {advice}"
    if rank() == 0:
        with whole_file(folder / WEIGHTS) as part:
            save_file({k: v.contiguous() for k, v in best_weights(folder).items()}, part)
    return f"the best weights before it are kept in {folder / WEIGHTS}; {advice}"


def _loaders(
    how: Training, sets: dict[str, Images], batch: int
) -> tuple[DataLoader[Item], DataLoader[Item] | None]:
    """Batches to train on, in the order of their epoch, and to validate on, where any."""
    workers = sets["train"].pixels.workers
    train = DataLoader(
        sets["train"],
        batch_size=batch,
        sampler=EpochSampler(len(sets["train"]), how.seed),
        drop_last=len(sets["train"]) > how.batch_size,
        num_workers=workers,
        persistent_workers=bool(workers),
    )
    if "val" not in sets:
        return train, None
    val = DataLoader(sets["val"], batch_size=4 * batch, num_workers=sets["val"].pixels.workers)
    return train, val


def _trainer(recipe: Recipe, folder: Path, where: Where, history: History) -> lightning.Trainer:
    how = recipe.training
    best = ModelCheckpoint(
        folder,
        BEST.removesuffix(".ckpt"),
        # without, each epoch counts for the best so far: in the end the last one does
        monitor=None if recipe.data.validation == "last" else "val_accuracy",
        mode="max",
        save_weights_only=True,
        save_on_train_epoch_end=recipe.data.validation == "last" or None,
        enable_version_counter=False,
    )
    last = ModelCheckpoint(
        folder,
        LAST.removesuffix(".ckpt"),
        every_n_epochs=1,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    callbacks: list[Callback] = [best, last, history]
    if how.patience:
        callbacks.append(EarlyStopping("val_loss", patience=how.patience))
    if how.ema:
        callbacks.append(EMAWeightAveraging(decay=how.ema))
    return lightning.Trainer(
        accelerator=where.accelerator,
        devices=where.devices,
        num_nodes=where.num_nodes,
        strategy=where.strategy,
        precision=PRECISION[how.precision],
        max_epochs=how.epochs,
        gradient_clip_val=how.clip or None,
        callbacks=callbacks,
        plugins=[WholeFiles()],
        logger=_tensorboard(folder) if where.tensorboard else False,
        enable_progress_bar=where.progress,
        enable_model_summary=False,
        limit_train_batches=where.steps,
        limit_val_batches=where.steps,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        log_every_n_steps=1,
    )


def _tensorboard(folder: Path) -> Logger:
    from lightning.pytorch.loggers import TensorBoardLogger

    try:
        return TensorBoardLogger(folder, name="tensorboard", version="")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "--tensorboard needs tensorboard or tensorboardX, which are not installed; "
            "run: pip install tensorboard"
        ) from error
