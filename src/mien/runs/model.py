"""A finished run as a model: its card, and its network in torch with the layers open."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from mien.models.card import Card
from mien.models.onnx import Model
from mien.models.torch import Spec, create
from mien.models.torch.model import TorchModel, open_head
from mien.models.weights import locate
from mien.registry import choose
from mien.runs.folder import DONE, RECIPE, WEIGHTS, run_recipe
from mien.runs.read import read_run
from mien.runs.recipe import Recipe, mark
from mien.types import InputError, ModelError

DEVICES = ("auto", "cpu", "cuda")


def load_run(folder: str | Path, *, head: str | None = None, device: str = "auto") -> TorchModel:
    """The model of a finished run; ``device`` auto (a GPU where there is one), cpu or cuda.

    Raises InputError for a folder without a finished run, or with one per fold.
    """
    folder = Path(folder)
    net, spec, card = open_run(folder)
    digest = hashlib.sha256(weights_of(folder).read_bytes()).hexdigest()
    net.eval().to(_device(device))
    return TorchModel(net, spec, card=card, head=head, sha256=digest)


def open_run(folder: Path) -> tuple[nn.Module, Spec, Card]:
    """Network, spec and card of a finished run.

    Raises InputError for a folder without a finished run, with one per fold, or whose recipe and
    report are not of one run; ModelError for weights that cannot be read.
    """
    report = read_run(folder)
    place = weights_of(folder)
    recipe = run_recipe(folder)
    if report["facts"].get("recipe_hash", recipe.hash) != recipe.hash:
        raise InputError(
            f"{folder / RECIPE}: expected the recipe that report.json names, got another or a part "
            "of it; copy the run again, or train it in a new folder"
        )
    net, spec = create(recipe.model.name, classes=len(recipe.data.labels), **recipe.model.options)
    load_weights(net, place)
    return net, spec, run_card(recipe, spec, report, net)


def load_weights(net: nn.Module, path: Path) -> None:
    """Copy a run's weights into its network; ModelError where they are damaged or another's."""
    try:
        net.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError, OSError, ValueError) as error:
        why = str(error).splitlines()[0][:120] if str(error) else "it is empty"
        raise ModelError(
            f"{path}: expected the weights of this run, but they cannot be read ({why}); copy the "
            f"run again, or delete the {DONE} beside it and train it again"
        ) from error


def weights_of(run: Path) -> Path:
    """The weights of a run; InputError where it has none of its own."""
    place = run / WEIGHTS
    if not place.is_file():
        raise InputError(f"{place}: no such file; a run of several folds has one per fold folder")
    return place


def run_card(recipe: Recipe, spec: Spec, report: dict[str, Any], net: nn.Module) -> Card:
    """What a run says of its network, as the model's card."""
    return Card(
        name=recipe.model.name,
        summary=mark(recipe, recipe.about.title),
        preprocess=spec.preprocess,
        heads={
            "expression": open_head(net, spec, recipe.data.labels, report["facts"]["temperature"])
        },
        default_head="expression",
        # faces are aligned as for the built-in model, on whose crops the mean landmarks rest
        template=Model(locate("mien")).card.template,
        licence="that of its training data and pretrained weights; see data",
        data=", ".join(recipe.data.sets),
        protocol=f"{recipe.data.protocol}: {report['facts']['split']}",
        intended_use="Perceived expression in a face crop, not a feeling.",
        metrics={"test": report["test"]},
        recipe=recipe.to_dict(),
        recipe_hash=recipe.hash,
        versions=report["facts"]["versions"],
    )


def _device(name: str) -> torch.device:
    there = torch.cuda.is_available()
    if choose("device", name, DEVICES) == "cuda" and not there:
        raise InputError("expected a GPU for the device 'cuda', found none; take 'cpu' or 'auto'")
    return torch.device("cuda" if there and name != "cpu" else "cpu")
