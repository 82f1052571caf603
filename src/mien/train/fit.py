"""Fit a recipe and leave a run folder: weights, curves, scores of every test image, a report."""

from __future__ import annotations

import csv
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    EMAWeightAveraging,
    ModelCheckpoint,
)
from lightning.pytorch.utilities import rank_zero_only
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from mien.data.balance import class_weights, sample
from mien.evaluate import Report, evaluate
from mien.metrics import fit_temperature, probabilities
from mien.models import create
from mien.models.base import Spec, count
from mien.models.svm import FeatureSVM, fit_svm
from mien.recipe import Recipe
from mien.report import write_report
from mien.runs import read_history
from mien.train.loader import (
    EpochSampler,
    Images,
    Rows,
    one_hot,
    read_pixels,
    select,
)
from mien.train.module import Fit, freeze
from mien.types import FloatArray, InputError, IntArray

HELD_OUT = 0.1  # share of the training images that become validation where a split has none
PRECISION = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


@dataclass(frozen=True)
class Where:
    """On what a run trains; it does not change what is trained."""

    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    progress: bool = False
    steps: int | None = None  # stop each epoch after so many batches (a smoke test)


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, its report, and what is needed to repeat it."""

    folder: Path
    report: Report
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """One training of a run: indices into the selected rows. Folds have several, others one."""

    name: str
    train: IntArray
    val: IntArray
    test: IntArray


def parts_of(rows: Rows, seed: int) -> list[Part]:
    """The trainings of a split: one, or one per fold.

    Where the split has no validation images, a tenth of the training images is held out, whole
    subjects where they are known, so that nothing is ever selected on the test images.
    """
    if all(isinstance(side, int) for side in rows.side):
        folds = np.array(rows.side, dtype=int)
        found = []
        for fold in np.unique(folds):
            train, val = _held_out(rows, np.flatnonzero(folds != fold), seed)
            found.append(Part(f"fold-{fold}", train, val, np.flatnonzero(folds == fold)))
        return found
    sides = np.array([str(side) for side in rows.side])
    train, val, test = (np.flatnonzero(sides == s) for s in ("train", "val", "test"))
    if not len(train) or not len(test):
        raise InputError(
            f"{rows.path}: expected training and test images in the split {rows.scheme!r}, got "
            f"{len(train)} and {len(test)}; choose another protocol"
        )
    if not len(val):
        train, val = _held_out(rows, train, seed)
    return [Part("", train, val, test)]


def _held_out(rows: Rows, train: IntArray, seed: int) -> tuple[IntArray, IntArray]:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    subjects = [rows.subject[i] for i in train]
    folds = round(1 / HELD_OUT)
    known = all(s is not None for s in subjects) and len(set(subjects)) >= folds
    kind = StratifiedGroupKFold if known else StratifiedKFold
    least = int(np.bincount(rows.label[train]).max())
    folds = min(folds, least)
    if folds < 2:
        raise InputError(f"{rows.path}: expected at least 2 training images, got {len(train)}")
    maker = kind(folds, shuffle=True, random_state=seed)
    kept, held = next(maker.split(train, rows.label[train], subjects if known else None))
    return train[kept], train[held]


class History(Callback):
    """Write ``history.csv`` after every epoch; a resumed run goes on where it stopped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._started = time.perf_counter()

    def on_train_epoch_start(self, *_: Any) -> None:
        """Start the epoch's clock."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """Append one row; every process takes part in the mean, the first one writes."""
        row: dict[str, Any] = {"epoch": trainer.current_epoch + 1}
        row["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        row["train_loss"] = module.epoch_loss()
        if not trainer.is_global_zero:
            return
        row |= {k: float(v) for k, v in trainer.callback_metrics.items()}
        row["seconds"] = round(time.perf_counter() - self._started, 2)
        rows = [r for r in read_history(self.path) if int(r["epoch"]) < row["epoch"]]
        with self.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            writer.writeheader()
            writer.writerows([*rows, row])


def fit(
    recipe: Recipe,
    data: str | Path,
    folder: str | Path,
    *,
    weights: str | Path | None = None,
    where: Where | None = None,
) -> Run:
    """Train a recipe on a Parquet file, test it once, and write the run folder.

    Parameters
    ----------
    data
        A file that ``mien data prepare`` wrote.
    folder
        Made where it is absent. A run that was stopped in it, with the same recipe, goes on
        from its last epoch to the same result.
    weights
        A local file of pretrained weights; else they come from the hub where the recipe wants any.

    Raises InputError for data that do not fit the recipe or a folder of another run.
    """
    where = where or Where()
    folder = Path(folder)
    _claim(folder, recipe)
    rows = select(recipe, Path(data))
    started = time.perf_counter()
    parts = parts_of(rows, recipe.training.seed)
    probability = np.zeros((len(rows.number), len(recipe.data.labels)))
    tested = np.concatenate([part.test for part in parts])
    spec = None
    for part in parts:
        place = folder / part.name if part.name else folder
        place.mkdir(exist_ok=True)
        probability[part.test], temperature, spec = _train(
            recipe, rows, part, place, weights, where
        )
    assert spec is not None  # a split has at least one part
    report = evaluate(
        rows.label[tested],
        probability[tested],
        recipe.data.labels,
        groups=[rows.group[i] for i in tested],
        seed=recipe.training.seed,
    )
    facts = {
        "recipe_hash": recipe.hash,
        "model": spec.name,
        "temperature": temperature,
        "parameters": _parameters(recipe),
        "split": rows.scheme,
        "protocol": recipe.data.protocol,
        "split_fingerprint": rows.fingerprint,
        "trainings": len(parts),
        "images": {s: len(getattr(parts[0], s)) for s in ("train", "val", "test")},
        "seconds": round(time.perf_counter() - started, 1),
        "seed": recipe.training.seed,
        "versions": {n: version(n) for n in ("mien", "torch", "lightning", "timm", "numpy")},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
    }
    if rank_zero_only.rank == 0:  # every process has the same report; one writes it
        _write_scores(folder / "scores.csv", rows, tested, probability, recipe.data.labels)
        write_report(folder, recipe, report, facts, read_history(folder / "history.csv"))
    return Run(folder, report, facts)


def _parameters(recipe: Recipe) -> int:
    with torch.device("meta"):
        net, _ = create(recipe.model.name, classes=len(recipe.data.labels), **recipe.model.options)
    return count(net)


def _claim(folder: Path, recipe: Recipe) -> None:
    """Make the folder this recipe's; InputError where it is another's."""
    folder.mkdir(parents=True, exist_ok=True)
    stated = folder / "recipe.toml"
    if stated.exists() and stated.read_text(encoding="utf-8") != recipe.to_toml():
        raise InputError(f"{folder}: holds the run of another recipe; give a new folder")
    stated.write_text(recipe.to_toml(), encoding="utf-8")


def _train(
    recipe: Recipe,
    rows: Rows,
    part: Part,
    folder: Path,
    weights: str | Path | None,
    where: Where,
) -> tuple[FloatArray, float, Spec]:
    """Train on one part: calibrated probabilities of its test images, temperature, spec.

    Weights and temperature are chosen on the validation images.
    """
    how, classes = recipe.training, len(recipe.data.labels)
    lightning.seed_everything(how.seed, verbose=False)
    net, spec = create(
        recipe.model.name, classes=classes, pretrained=recipe.model.pretrained and weights is None,
        weights=weights, **recipe.model.options,
    )  # fmt: skip
    freeze(net, how, spec)
    net = net.to(memory_format=torch.channels_last)
    targets = one_hot(rows.label, classes)
    labels = rows.label[part.train]
    weighed = class_weights(np.bincount(labels, minlength=classes), how.class_weights)
    balanced = sample(
        labels, ["train"] * len(labels), limit=recipe.data.under, factor=recipe.data.over,
        seed=how.seed,
    )  # fmt: skip
    train_rows = part.train[balanced.rows]
    sets = {
        side: Images(read_pixels(rows.path, rows.number[index], spec.preprocess), targets[index])
        for side, index in (("train", train_rows), ("val", part.val), ("test", part.test))
    }
    module = Fit(net, recipe, spec.preprocess, torch.as_tensor(weighed, dtype=torch.float32))
    batch = how.batch_size // (where.devices * where.num_nodes)
    if isinstance(net, FeatureSVM):
        best = _solved(net, module, sets["train"], rows.label[train_rows], batch, how.seed)
    else:
        best = _descended(module, sets, folder, batch, where)
    if rank_zero_only.rank == 0:
        save_file({k: v.contiguous() for k, v in best.items()}, folder / "weights.safetensors")
    net.load_state_dict(best)
    held = predict(module, sets["val"], 4 * batch)
    temperature = fit_temperature(held, targets[part.val], np.ones(len(held)))
    test = predict(module, sets["test"], 4 * batch)
    return probabilities(test, temperature), temperature, spec


def _solved(
    net: FeatureSVM, module: Fit, images: Images, labels: IntArray, batch: int, seed: int
) -> dict[str, torch.Tensor]:
    """State of a network whose last layer scikit-learn fits: no epochs, no validation."""
    starts = range(0, len(images), batch)
    fit_svm(
        net,
        ((module.normalise(images.pixels[i : i + batch]), labels[i : i + batch]) for i in starts),
        seed=seed,
    )
    return dict(net.state_dict())


def _descended(
    module: Fit, sets: dict[str, Images], folder: Path, batch: int, where: Where
) -> dict[str, torch.Tensor]:
    """State of the network after gradient descent, of the epoch best on validation."""
    how = module.recipe.training
    train = DataLoader(
        sets["train"], batch_size=batch, sampler=EpochSampler(len(sets["train"]), how.seed),
        drop_last=len(sets["train"]) > how.batch_size,
    )  # fmt: skip
    val = DataLoader(sets["val"], batch_size=4 * batch)
    best = ModelCheckpoint(folder, "best", monitor="val_accuracy", mode="max",
                           save_weights_only=True, enable_version_counter=False)  # fmt: skip
    last = ModelCheckpoint(folder, "last", every_n_epochs=1, save_on_train_epoch_end=True,
                           enable_version_counter=False)  # fmt: skip
    callbacks: list[Any] = [best, last, History(folder / "history.csv")]
    if how.patience:
        callbacks.append(EarlyStopping("val_loss", patience=how.patience))
    if how.ema:
        callbacks.append(EMAWeightAveraging(decay=how.ema))
    trainer = lightning.Trainer(
        accelerator=where.accelerator, devices=where.devices, num_nodes=where.num_nodes,
        strategy=where.strategy, precision=PRECISION[how.precision],
        max_epochs=how.epochs, gradient_clip_val=how.clip or None, callbacks=callbacks,
        logger=False, enable_progress_bar=where.progress, enable_model_summary=False,
        limit_train_batches=where.steps, limit_val_batches=where.steps, num_sanity_val_steps=0,
        default_root_dir=folder, log_every_n_steps=1,
    )  # fmt: skip
    resume = folder / "last.ckpt"
    trainer.fit(module, train, val, ckpt_path=str(resume) if resume.exists() else None)
    state = torch.load(folder / "best.ckpt", weights_only=True)["state_dict"]
    return {k.removeprefix("net."): v for k, v in state.items() if k.startswith("net.")}


@torch.no_grad()
def predict(module: Fit, images: Images, batch: int) -> FloatArray:
    """Logits ``[N, K]`` of images, in their order, in float32."""
    module.eval()
    parts = images.pixels.split(batch)
    logits = torch.cat([module(part.to(module.device)).float().cpu() for part in parts])
    return np.asarray(logits.numpy())


def _write_scores(
    path: Path, rows: Rows, tested: IntArray, probability: FloatArray, labels: tuple[str, ...]
) -> None:
    """One row per test image: its name, its label, and a column per expression."""

    def lines() -> Iterator[list[Any]]:
        for i in tested:
            yield [rows.names[i], labels[rows.label[i]], *np.round(probability[i], 6).tolist()]

    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["filepath", "label", *labels])
        writer.writerows(lines())
