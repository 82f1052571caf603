"""One training of a run: a network fitted to a fold's images, or taken up where it is finished."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from safetensors.torch import save_file

from mien.data.balance import Balance, class_weights, sample
from mien.files import whole_file, write_whole
from mien.metrics import accuracy, cross_entropy, fit_temperature, probabilities
from mien.models.torch import create
from mien.models.torch.registry import count
from mien.models.torch.spec import Spec
from mien.runs.folder import DONE, RECIPE, WEIGHTS, run_of, run_recipe
from mien.runs.model import load_weights
from mien.runs.read import read_facts, read_history
from mien.runs.recipe import Recipe
from mien.train.answers import predict
from mien.train.checkpoints import ALL
from mien.train.descend import Where, descend
from mien.train.embedding import penultimate
from mien.train.folds import Fold
from mien.train.loader import Rows, one_hot
from mien.train.module import Fit, freeze, not_finite
from mien.train.pixels import Images, pixels_of
from mien.train.processes import rank
from mien.train.svm import fit_svm, svm_layer
from mien.types import FloatArray, IntArray, ModelError

FACTS = ("temperature", "parameters", "epochs", "seconds")


@dataclass(frozen=True, eq=False)
class Trained:
    """A finished training: its network, its images by side, and what ``trained.json`` says."""

    module: Fit
    spec: Spec
    sets: dict[str, Images]
    facts: dict[str, Any]


def train_fold(
    recipe: Recipe,
    rows: Rows,
    fold: Fold,
    folder: Path,
    weights: str | Path | None,
    where: Where,
) -> Trained:
    """Train on one fold, or take up what an earlier call left in its folder.

    Weights and temperature are chosen on the validation images; test images are not read. Raises
    ModelError for starting weights that do not fit or are not finite, DivergedError where the
    training does not stay finite.
    """
    done = folder / DONE
    facts = read_facts(done, FACTS) if done.exists() else None
    module, spec = _module(recipe, rows, fold, weights, new=facts is None)
    if facts is not None:
        load_weights(module.net, folder / WEIGHTS)
        return Trained(module, spec, {}, facts)
    folder.mkdir(parents=True, exist_ok=True)
    sets = _sets(recipe, rows, fold, spec, folder)
    seen = {"train": fold.train, "test": fold.test} if where.curves else {}
    watched = {side: images_of(rows, i, spec, folder, f"all-{side}") for side, i in seen.items()}
    started = time.perf_counter()
    batch = recipe.training.batch_size // (where.devices * where.num_nodes)
    if recipe.training.strategy == "svm":
        state = _solved(module, spec, sets["train"], batch)
        seconds = time.perf_counter() - started
    else:
        state = descend(module, sets, folder, batch, where, watched)
        seconds = sum(float(row["seconds"]) for row in read_history(folder / "history.csv"))
    module.net.load_state_dict(state)
    held = predict(module, sets["val"], 4 * batch, where.device) if len(fold.val) else None
    facts = _validated(rows, fold, held) | {
        "parameters": count(module.net),
        "epochs": len(read_history(folder / "history.csv")),
        "seconds": round(seconds, 1),
        "weights": _origin(spec),
    }
    _keep(state, facts, folder)
    return Trained(module, spec, sets, facts)


def _module(
    recipe: Recipe, rows: Rows, fold: Fold, weights: str | Path | None, *, new: bool
) -> tuple[Fit, Spec]:
    """The network under training; starting weights are read for a ``new`` training only."""
    how, classes = recipe.training, len(recipe.data.labels)
    lightning.seed_everything(how.seed, verbose=False)
    net, spec = create(
        recipe.model.name,
        classes=classes,
        pretrained=recipe.model.pretrained and weights is None and new,
        weights=weights if new else None,
        **recipe.model.options,
    )
    if weights is not None and new and _other_labels(Path(weights), recipe):
        for name in spec.output_layers:  # as many classes, in another order
            for module in net.get_submodule(name).modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()
    if name := not_finite(net):
        raise ModelError(
            f"{weights or spec.repository or recipe.model.name}: expected finite starting weights, "
            f"got nan or infinity in {name!r}; give other weights"
        )
    if how.strategy == "svm":
        svm_layer(net, spec)  # refused before any image is read
    freeze(net, how, spec)
    net = net.to(memory_format=torch.channels_last)
    seen = fold.train
    if how.class_counts == "resampled":
        seen = seen[_balanced(recipe, rows, fold).rows]
    counts = np.bincount(rows.label[seen], minlength=classes)
    weighed = torch.as_tensor(class_weights(counts, how.class_weights), dtype=torch.float32)
    return Fit(net, recipe, spec.preprocess, weighed), spec


def _other_labels(weights: Path, recipe: Recipe) -> bool:
    """Whether weights are those of a run that has other classes, or the same in another order."""
    run = run_of(weights.parent)
    return (run / RECIPE).is_file() and run_recipe(run).data.labels != recipe.data.labels


def _sets(recipe: Recipe, rows: Rows, fold: Fold, spec: Spec, folder: Path) -> dict[str, Images]:
    """Images to train on, balanced as the recipe says, and images to validate on, where any."""
    sides = {"train": fold.train[_balanced(recipe, rows, fold).rows], "val": fold.val}
    return {
        side: images_of(rows, index, spec, folder, side)
        for side, index in sides.items()
        if len(index)
    }


def _balanced(recipe: Recipe, rows: Rows, fold: Fold) -> Balance:
    """Which training images an epoch has, as indices into the fold's."""
    labels = rows.label[fold.train]
    return sample(
        labels,
        ["train"] * len(labels),
        limit=recipe.data.under,
        factor=recipe.data.over,
        seed=recipe.training.seed,
    )


def images_of(rows: Rows, index: IntArray, spec: Spec, folder: Path, side: str) -> Images:
    """Some rows' images; too many for the memory are copied into the training's folder."""
    copy = folder / f"{side}-{rank()}.images"
    pixels = pixels_of(rows.path, rows.number[index], spec.preprocess, copy)
    return Images(pixels, one_hot(rows.label[index], spec.classes))


def remove_copies(folder: Path) -> None:
    """Remove the copies of encoded images that this process made for a training."""
    for path in folder.glob(f"*-{rank()}.images"):
        path.unlink()


def _solved(module: Fit, spec: Spec, images: Images, batch: int) -> dict[str, torch.Tensor]:
    """State of a network whose last layer scikit-learn fits: no epochs, no validation."""
    labels = images.targets.argmax(dim=1).numpy()
    batches = enumerate(images.batches(batch))
    fit_svm(
        module.net,
        spec,
        ((module.normalise(x), labels[i * batch : (i + 1) * batch]) for i, x in batches),
        seed=module.recipe.training.seed,
    )
    return dict(module.net.state_dict())


def _validated(rows: Rows, fold: Fold, logits: FloatArray | None) -> dict[str, Any]:
    """The temperature that fits the validation images, and how well they are answered.

    Without any, answers are not calibrated: the temperature is 1.
    """
    if logits is None:
        return {"temperature": 1.0, "val_images": 0}
    truth = rows.label[fold.val]
    targets = one_hot(truth, logits.shape[1])
    temperature = fit_temperature(logits, targets, np.ones(len(logits)))
    return {
        "temperature": temperature,
        "val_accuracy": accuracy(truth, logits.argmax(axis=1)),
        "val_nll": cross_entropy(targets, probabilities(logits, temperature)),
        "val_images": len(fold.val),
    }


def _origin(spec: Spec) -> str:
    """Where the starting weights came from."""
    loaded = spec.weights
    return "random" if loaded is None else f"{loaded}; sha256 {loaded.sha256[:16]}"


def _keep(state: dict[str, torch.Tensor], facts: dict[str, Any], folder: Path) -> None:
    """Write weights and facts, and only then remove what they were made from."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()  # every process has read the checkpoint
    if rank():
        return
    with whole_file(folder / WEIGHTS) as part:
        save_file({k: v.contiguous() for k, v in state.items()}, part)
    write_facts(folder, facts)
    for name in ALL:
        (folder / name).unlink(missing_ok=True)


def write_facts(folder: Path, facts: dict[str, Any]) -> None:
    """Write ``trained.json``."""
    write_whole(folder / DONE, json.dumps(facts, indent=1) + "\n")


def answer_fold(
    trained: Trained, rows: Rows, fold: Fold, folder: Path, where: Where
) -> tuple[FloatArray, FloatArray]:
    """Calibrated probabilities of a fold's test images and their penultimate features.

    Notes the accuracy on the training images, as they are, among the training's facts.
    """
    module, facts = trained.module, trained.facts
    batch = 4 * module.recipe.training.batch_size
    if "train_accuracy" not in facts:
        seen = trained.sets.get("train")
        data = module.recipe.data
        if seen is None or data.under < 1 or data.over > 1:  # an epoch's images are not all of them
            seen = images_of(rows, fold.train, trained.spec, folder, "all-train")
        truth = seen.targets.argmax(dim=1).numpy()
        facts["train_accuracy"] = accuracy(
            truth, predict(module, seen, batch, where.device).argmax(1)
        )
        if rank() == 0:
            write_facts(folder, facts)
    test = images_of(rows, fold.test, trained.spec, folder, "test")
    with penultimate(module.net, trained.spec) as features:
        logits = predict(module, test, batch, where.device)
    return probabilities(logits, facts["temperature"]), features.array
