"""Fit a recipe and leave a run folder: weights, curves, scores of every test image, a report."""

from __future__ import annotations

import csv
import json
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
from lightning.pytorch.utilities import rank_zero_only
from safetensors.torch import load_file, save_file

from mien.data.balance import class_weights, sample
from mien.files import check_folder
from mien.metrics import accuracy, cross_entropy, fit_temperature, probabilities
from mien.models.torch import create
from mien.models.torch.networks.svm import FeatureSVM, fit_svm
from mien.models.torch.spec import Spec, count
from mien.runs.evaluate import Report, evaluate
from mien.runs.read import read_history
from mien.runs.recipe import Recipe
from mien.runs.report import Example, Points, write_report
from mien.train.descend import Where, descend
from mien.train.embedding import penultimate, project
from mien.train.loader import Rows, one_hot, select
from mien.train.module import Fit, freeze
from mien.train.parts import Part, parts_of
from mien.train.pixels import Images, pixels_of
from mien.types import FloatArray, InputError, IntArray

__all__ = ["Run", "Trained", "Where", "fit", "fit_part", "parts_of", "predict"]

DONE = "trained.json"  # in a training's folder once it is finished


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, its report, and what is needed to repeat it."""

    folder: Path
    report: Report
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished training: its network, its images by side, and what ``trained.json`` says."""

    module: Fit
    spec: Spec
    sets: dict[str, Images]
    facts: dict[str, Any]


def fit(
    recipe: Recipe,
    data: str | Path,
    folder: str | Path,
    *,
    weights: str | Path | None = None,
    where: Where | None = None,
    examples: bool = False,
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
    examples
        Explain a right and a wrong answer of each class in the report, with the images themselves.

    Raises InputError for data that do not fit the recipe or a folder of another run.
    """
    where = where or Where()
    folder = Path(folder)
    check_folder(folder)
    rows = select(recipe, Path(data))
    claim(folder, recipe, rows)
    started = time.perf_counter()
    parts = parts_of(rows, recipe.training.seed)
    probability = np.zeros((len(rows.number), len(recipe.data.labels)))
    tested = np.concatenate([part.test for part in parts])
    done: list[dict[str, Any]] = []
    points: Points | None = None
    first: Trained | None = None
    for part in parts:
        place = folder / part.name if part.name else folder
        try:
            trained = fit_part(recipe, rows, part, place, weights, where)
            probability[part.test], features = _test(trained, rows, part, place, where)
        finally:
            forget_copies(place)
        done.append(trained.facts)
        if first is None:  # the networks of other folds have features of their own
            first = trained
            points = project(rows, part, probability.argmax(axis=1), features, recipe)
    assert first is not None  # a split has at least one part
    report = evaluate(
        rows.label[tested],
        probability[tested],
        recipe.data.labels,
        groups=[rows.group[i] for i in tested],
        seed=recipe.training.seed,
    )
    facts = _facts(recipe, rows, parts, done, first.spec, time.perf_counter() - started)
    if rank_zero_only.rank == 0:  # every process has the same report; one writes it
        shown: list[Example] = []
        if examples:
            from mien.train.examples import explained

            shown = explained(recipe, first, rows, parts[0], probability, report, facts)
        _write_scores(folder / "scores.csv", rows, tested, probability, recipe.data.labels)
        history = [
            {"training": part.name, **row}
            for part in parts
            for row in read_history(folder / part.name / "history.csv")
        ]
        write_report(folder, recipe, report, facts, history, points=points, examples=shown)
    return Run(folder, report, facts)


def fit_part(
    recipe: Recipe,
    rows: Rows,
    part: Part,
    folder: Path,
    weights: str | Path | None,
    where: Where,
) -> Trained:
    """Train on one part, or take up what an earlier call left in its folder.

    Weights and temperature are chosen on the validation images; test images are not read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    how, classes = recipe.training, len(recipe.data.labels)
    finished = (folder / DONE).exists()
    lightning.seed_everything(how.seed, verbose=False)
    net, spec = create(
        recipe.model.name,
        classes=classes,
        pretrained=recipe.model.pretrained and weights is None and not finished,
        weights=None if finished else weights,
        **recipe.model.options,
    )
    freeze(net, how, spec)
    net = net.to(memory_format=torch.channels_last)
    targets = one_hot(rows.label, classes)
    labels = rows.label[part.train]
    weighed = class_weights(np.bincount(labels, minlength=classes), how.class_weights)
    module = Fit(net, recipe, spec.preprocess, torch.as_tensor(weighed, dtype=torch.float32))
    if finished:
        net.load_state_dict(load_file(folder / "weights.safetensors"))
        facts = json.loads((folder / DONE).read_text(encoding="utf-8"))
        return Trained(module, spec, {}, facts)
    balanced = sample(
        labels,
        ["train"] * len(labels),
        limit=recipe.data.under,
        factor=recipe.data.over,
        seed=how.seed,
    )
    train_rows = part.train[balanced.rows]
    sets = {
        side: _images(rows, index, targets, spec, folder, side)
        for side, index in (("train", train_rows), ("val", part.val))
    }
    started = time.perf_counter()
    batch = how.batch_size // (where.devices * where.num_nodes)
    if isinstance(net, FeatureSVM):
        best = _solved(net, module, sets["train"], rows.label[train_rows], batch, how.seed)
        seconds = time.perf_counter() - started
    else:
        best = descend(module, sets, folder, batch, where)
        seconds = sum(float(row["seconds"]) for row in read_history(folder / "history.csv"))
    net.load_state_dict(best)
    held = predict(module, sets["val"], 4 * batch, where)
    temperature = fit_temperature(held, targets[part.val], np.ones(len(held)))
    facts = {
        "temperature": temperature,
        "val_accuracy": accuracy(rows.label[part.val], held.argmax(axis=1)),
        "val_nll": cross_entropy(targets[part.val], probabilities(held, temperature)),
        "val_images": len(part.val),
        "parameters": count(net),
        "epochs": len(read_history(folder / "history.csv")),
        "seconds": round(seconds, 1),
    }
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()  # every process has read the checkpoint
    if rank_zero_only.rank == 0:
        save_file({k: v.contiguous() for k, v in best.items()}, folder / "weights.safetensors")
        (folder / DONE).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        for name in ("best.ckpt", "last.ckpt"):
            (folder / name).unlink(missing_ok=True)
    return Trained(module, spec, sets, facts)


def _images(
    rows: Rows, index: IntArray, targets: FloatArray, spec: Spec, folder: Path, side: str
) -> Images:
    copy = folder / f"{side}-{rank_zero_only.rank}.images"
    return Images(pixels_of(rows.path, rows.number[index], spec.preprocess, copy), targets[index])


def forget_copies(folder: Path) -> None:
    """Remove the copies of encoded images that this process made for a training."""
    for path in folder.glob(f"*-{rank_zero_only.rank}.images"):
        path.unlink()


def _solved(
    net: FeatureSVM, module: Fit, images: Images, labels: IntArray, batch: int, seed: int
) -> dict[str, torch.Tensor]:
    """State of a network whose last layer scikit-learn fits: no epochs, no validation."""
    batches = enumerate(images.batches(batch))
    fit_svm(
        net,
        ((module.normalise(x), labels[i * batch : (i + 1) * batch]) for i, x in batches),
        seed=seed,
    )
    return dict(net.state_dict())


def _test(
    trained: Trained, rows: Rows, part: Part, folder: Path, where: Where
) -> tuple[FloatArray, FloatArray]:
    """Calibrated probabilities of a part's test images and their penultimate features.

    Notes the accuracy on the training images, as they are, among the training's facts.
    """
    module, facts = trained.module, trained.facts
    targets = one_hot(rows.label, trained.spec.classes)
    batch = 4 * module.recipe.training.batch_size
    if "train_accuracy" not in facts:
        seen = trained.sets.get("train") or _images(
            rows, part.train, targets, trained.spec, folder, "train"
        )
        truth = seen.targets.argmax(dim=1).numpy()
        facts["train_accuracy"] = accuracy(truth, predict(module, seen, batch, where).argmax(1))
        if rank_zero_only.rank == 0:
            (folder / DONE).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    test = _images(rows, part.test, targets, trained.spec, folder, "test")
    with penultimate(module.net, trained.spec) as features:
        logits = predict(module, test, batch, where)
    return probabilities(logits, facts["temperature"]), features.array


@torch.no_grad()
def predict(module: Fit, images: Images, batch: int, where: Where | None = None) -> FloatArray:
    """Logits ``[N, K]`` of images, in their order, in float32."""
    module.to((where or Where("cpu")).device).eval()
    logits = [module(part.to(module.device)).float().cpu() for part in images.batches(batch)]
    return np.asarray(torch.cat(logits).numpy())


def _facts(
    recipe: Recipe,
    rows: Rows,
    parts: list[Part],
    done: list[dict[str, Any]],
    spec: Spec,
    seconds: float,
) -> dict[str, Any]:
    """What the report says of a run beside its scores; folds are averaged by their images."""

    def mean(name: str, sizes: list[int]) -> float:
        return float(np.average([d[name] for d in done], weights=sizes))

    return {
        "recipe_hash": recipe.hash,
        "model": spec.name,
        "temperature": done[-1]["temperature"],
        "parameters": done[0]["parameters"],
        "train_accuracy": mean("train_accuracy", [len(part.train) for part in parts]),
        "val_accuracy": mean("val_accuracy", [len(part.val) for part in parts]),
        "epochs": sum(d["epochs"] for d in done),
        "training_seconds": round(sum(d["seconds"] for d in done), 1),
        "split": rows.scheme,
        "protocol": recipe.data.protocol,
        "split_fingerprint": rows.fingerprint,
        "trainings": len(parts),
        "images": {s: len(getattr(parts[0], s)) for s in ("train", "val", "test")},
        "seconds": round(seconds, 1),
        "seed": recipe.training.seed,
        "versions": {n: version(n) for n in ("mien", "torch", "lightning", "timm", "numpy")},
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
    }


IMAGES = "# images and split: "  # the first line of a run's recipe.toml


def claim(folder: Path, recipe: Recipe, rows: Rows) -> None:
    """Make the folder that of this recipe on these images; InputError where it is another's.

    Weights of one split must not be tested on another: its test images may have trained them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stated, text = folder / "recipe.toml", recipe.to_toml()
    line = f"{IMAGES}{rows.fingerprint}\n"
    if stated.exists():
        found = stated.read_text(encoding="utf-8")
        if found.startswith(IMAGES) and not found.startswith(line):
            raise InputError(f"{folder}: holds a run on other images; give a new folder")
        if found.removeprefix(line) != text:
            raise InputError(f"{folder}: holds the run of another recipe; give a new folder")
    stated.write_text(line + text, encoding="utf-8")


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
