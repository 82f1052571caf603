"""Fit a recipe: train each fold, test each once, and put the answers together as a run."""

from __future__ import annotations

import gc
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mien.files import check_folder
from mien.runs.evaluate import Report, evaluate
from mien.runs.folder import WEIGHTS, claimed
from mien.runs.recipe import Recipe
from mien.runs.sides import Side, write_sides
from mien.train.descend import Where
from mien.train.folds import Fold, folds_of
from mien.train.loader import Rows, select
from mien.train.processes import rank
from mien.train.training import answer_fold, remove_copies, train_fold
from mien.types import FloatArray, IntArray

__all__ = ["Run", "Where", "fit"]


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run: what was trained, what was answered, and how good that is.

    ``probability`` is ``[rows, K]``, of the test images alone, each answered by the training that
    has it as a test image; ``features`` ``[n, features]`` are what the network makes of the images
    ``tested`` before its last layer. The networks of folds have no features in common: theirs are
    the logarithms of the probabilities.
    """

    folder: Path  # where it is
    recipe: Recipe  # what was trained
    rows: Rows  # the images that were selected
    folds: tuple[Fold, ...]  # which of them were on which side
    probability: FloatArray = field(repr=False)
    features: FloatArray = field(repr=False)
    report: Report  # how well the test images were answered
    facts: dict[str, Any]  # seed, versions, times, fingerprints

    @property
    def tested(self) -> IntArray:
        """The test images of all folds, as indices into ``rows``."""
        return np.concatenate([fold.test for fold in self.folds])


def fit(
    recipe: Recipe,
    data: str | Path,
    folder: str | Path,
    *,
    weights: str | Path | None = None,
    where: Where | None = None,
) -> Run:
    """Train a recipe on a Parquet file and test it once.

    The folder then holds weights and curves; :func:`mien.train.report.write` adds scores and
    report.

    Parameters
    ----------
    recipe
        What to train.
    where
        Devices, and how much is said meanwhile.
    data
        A file that ``mien data prepare`` wrote.
    folder
        Made where it is absent. A run that was stopped in it, with the same recipe, goes on
        from its last epoch to the same result.
    weights
        A local file of pretrained weights, or the folder of a run or a fold; else they come from
        the hub where the recipe wants any. The last layer of other classes starts anew.

    Raises InputError for data that do not fit the recipe, for the folder of another run and for
    one that another training writes to; ModelError for weights that do not fit; DivergedError for
    a training that does not stay finite.
    """
    where, folder = where or Where(), Path(folder)
    if weights is not None and Path(weights).is_dir():
        weights = Path(weights) / WEIGHTS
    recipe = marked(recipe, where)
    check_folder(folder)
    rows = select(recipe, Path(data))
    folds = folds_of(rows, recipe.training.seed, recipe.data.validation)
    probability = np.zeros((len(rows.number), len(recipe.data.labels)))
    done: list[dict[str, Any]] = []
    features: FloatArray = np.zeros((0, 0))
    started = time.perf_counter()
    with held(folder, recipe, rows):
        if where.first:
            _begin(folder, rows, folds, where)
        for fold in folds:
            answers, features, facts = _answered(recipe, rows, fold, folder, weights, where)
            probability[fold.test] = answers
            done.append(facts)
            if len(folds) > 1:
                gc.collect()  # a trainer is a circle, and its optimizer large
    if len(folds) > 1:
        tested = np.concatenate([fold.test for fold in folds])
        features = np.log(np.maximum(probability[tested], 1e-6))
    report = _report(recipe, rows, folds, probability)
    said = _facts(recipe, rows, folds, done, time.perf_counter() - started, where)
    return Run(folder, recipe, rows, tuple(folds), probability, features, report, said)


def _answered(
    recipe: Recipe,
    rows: Rows,
    fold: Fold,
    folder: Path,
    weights: str | Path | None,
    where: Where,
) -> tuple[FloatArray, FloatArray, dict[str, Any]]:
    """Probabilities and features of a fold's test images by its own network, and its facts."""
    place = folder / fold.name
    try:
        trained = train_fold(recipe, rows, fold, place, weights, where)
        probability, features = answer_fold(trained, rows, fold, place, where)
    finally:
        remove_copies(place)
    return probability, features, trained.facts | {"model": trained.spec.name}


def _begin(folder: Path, rows: Rows, folds: Sequence[Fold], where: Where) -> None:
    """Write down which images the run has, and say that it begins."""
    write_sides(folder, _sides(rows, folds))
    if where.on_begin is not None:
        where.on_begin()


def _sides(rows: Rows, folds: Sequence[Fold]) -> list[Side]:
    """On which side each image of a run is; of folds, which one tests it."""
    named: dict[int, str] = {}
    for fold in folds:
        if fold.name:
            named |= dict.fromkeys(fold.test.tolist(), fold.name)
            continue
        for side in ("train", "val", "test"):
            named |= dict.fromkeys(getattr(fold, side).tolist(), side)
    return [Side(rows.names[i], rows.pixels[i], named[i]) for i in sorted(named)]


def marked(recipe: Recipe, where: Where) -> Recipe:
    """The recipe, which says so where its epochs are cut off."""
    if where.steps is None or recipe.about.shortened:
        return recipe
    return recipe.change(about={"shortened": f"{where.steps} steps per epoch"})


@contextmanager
def held(folder: Path, recipe: Recipe, rows: Rows) -> Iterator[None]:
    """Hold the folder for this run; of the processes of one training the first one does so."""
    first = rank() == 0
    with claimed(folder, recipe, rows.fingerprint) if first else nullcontext():
        yield


def _report(recipe: Recipe, rows: Rows, folds: Sequence[Fold], probability: FloatArray) -> Report:
    """How well the test images of all folds were answered."""
    tested = np.concatenate([fold.test for fold in folds])
    return evaluate(
        rows.label[tested],
        probability[tested],
        recipe.data.labels,
        groups=[rows.group[i] for i in tested],
        seed=recipe.training.seed,
    )


def _machine(device: torch.device) -> str:
    """What computed: the processor's kind and threads, and the accelerator's name."""
    kind = f"{platform.machine()}, {torch.get_num_threads()} threads"
    if device.type == "cuda":
        return f"{kind}, {torch.cuda.get_device_name(device)}"
    return kind if device.type == "cpu" else f"{kind}, {device.type}"


def _facts(
    recipe: Recipe,
    rows: Rows,
    folds: Sequence[Fold],
    each: list[dict[str, Any]],
    seconds: float,
    where: Where,
) -> dict[str, Any]:
    """What the report says of a run beside its scores; folds are averaged by their images."""

    def mean(side: str) -> dict[str, float]:
        sizes = [len(getattr(fold, side)) for fold in folds]
        if not all(sizes):  # nothing was held out for validation
            return {}
        name = f"{side}_accuracy"
        return {name: float(np.average([facts[name] for facts in each], weights=sizes))}

    shortened = {"shortened": recipe.about.shortened} if recipe.about.shortened else {}
    return {
        **shortened,
        "recipe_hash": recipe.hash,
        "model": each[0]["model"],
        "temperature": each[-1]["temperature"],
        "precision": recipe.training.precision,
        "starting_weights": each[0].get("weights", "not recorded"),
        "parameters": each[0]["parameters"],
        **mean("train"),
        **mean("val"),
        "epochs": sum(facts["epochs"] for facts in each),
        "training_seconds": round(sum(facts["seconds"] for facts in each), 1),
        "sets": ", ".join(rows.sets),
        "pictures": rows.framing.words,
        "framing": asdict(rows.framing),
        "split": rows.scheme,
        "protocol": recipe.data.protocol,
        "split_fingerprint": rows.fingerprint,
        "trainings": len(folds),
        "images": {s: len(getattr(folds[0], s)) for s in ("train", "val", "test")},
        "seconds": round(seconds, 1),
        "seed": recipe.training.seed,
        "versions": {n: version(n) for n in ("mien", "torch", "lightning", "timm", "numpy")},
        "machine": _machine(where.device),
    }
