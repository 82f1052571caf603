"""A finished run as a model: its card, and its network in torch with the layers open.

A run of folds is the mean of their networks, for new photos; ``RUN/fold-2`` is one of them. Its own
images are answered by the fold that did not train on them: see :mod:`mien.judging.sampling`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from mien.models.card import Card, Head
from mien.models.onnx import built_in_template
from mien.models.torch import Spec, create
from mien.models.torch.model import TorchModel, open_head
from mien.registry import choose
from mien.runs.folder import DONE, RECIPE, WEIGHTS, is_fold, run_of, run_recipe, weights_of
from mien.runs.read import read_facts, read_run
from mien.runs.recipe import Recipe, mark
from mien.types import InputError, ModelError
from mien.vision.framing import Framing

DEVICES = ("auto", "cpu", "cuda")
Opened = tuple[nn.Module, Spec, Card]


def load_run(folder: str | Path, *, head: str | None = None, device: str = "auto") -> TorchModel:
    """The model of a finished run; ``device`` auto (a GPU where there is one), cpu or cuda.

    Of a run of folds, the mean of its networks; a fold's own folder is that fold. Raises
    InputError for a folder without a finished run.
    """
    folder = Path(folder)
    net, spec, card = open_run(folder)
    digest = hashlib.sha256()
    for place in weights_of(folder):
        digest.update(place.read_bytes())
    net.eval().to(_device(device))
    return TorchModel(net, spec, card=card, head=head, sha256=digest.hexdigest())


def open_run(folder: Path) -> Opened:
    """Network, spec and card of a finished run, of one of its folds, or of the mean of all.

    Raises InputError for a folder without a finished run, or whose recipe and report are not of
    one run; ModelError for weights that cannot be read.
    """
    run = run_of(folder)
    report = read_run(run)
    recipe = run_recipe(run)
    if report["facts"].get("recipe_hash", recipe.hash) != recipe.hash:
        raise InputError(
            f"{run / RECIPE}: expected the recipe that report.json names, got another or a part "
            "of it; copy the run again, or train it in a new folder"
        )
    places = weights_of(folder)
    opened = [open_training(place.parent, recipe, report) for place in places]
    return opened[0] if len(opened) == 1 else mean_of(opened)


def open_training(folder: Path, recipe: Recipe, report: dict[str, Any]) -> Opened:
    """Network, spec and card of one training: of a run, or of one of its folds."""
    net, spec = create(recipe.model.name, classes=len(recipe.data.labels), **recipe.model.options)
    load_weights(net, folder / WEIGHTS)
    facts = report["facts"]
    if (folder / DONE).is_file():  # a fold's temperature is its own
        own = read_facts(folder / DONE, ("temperature",))
        facts = {**facts, "temperature": own["temperature"]}
    card = run_card(recipe, spec, {**report, "facts": facts}, net)
    if is_fold(folder):
        protocol = f"{card.protocol}; {folder.name} of {facts.get('trainings', 'several')}"
        card = replace(card, protocol=protocol)
    return net, spec, card


class MeanOfFolds(nn.Module):
    """The mean of several networks' logits, each divided by its own temperature."""

    def __init__(self, nets: Sequence[nn.Module], temperatures: Sequence[float]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)
        self.shares = [1 / (len(nets) * t) for t in temperatures]

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[N, K]``."""
        parts = [share * net(x) for net, share in zip(self.nets, self.shares, strict=True)]
        return torch.stack(parts).sum(dim=0)


def mean_of(opened: Sequence[Opened]) -> Opened:
    """One model of the networks of all folds, which has seen every image of the run.

    Explanations of it by hiding parts, and Grad-CAM over the layers of all networks, are the means
    of the folds' own, since the logits are. It has no map or attention of its own.
    """
    nets, specs, cards = zip(*opened, strict=True)
    first, head = cards[0], cards[0].heads["expression"]
    net = MeanOfFolds(nets, [card.heads["expression"].temperature for card in cards])
    spec = replace(
        specs[0],
        layers=tuple(
            replace(layer, name=f"nets.{i}.{layer.name}")
            for i, spec in enumerate(specs)
            for layer in spec.layers
        ),
        output_layers=tuple(f"nets.{i}.{n}" for i, s in enumerate(specs) for n in s.output_layers),
        stages=(),
        classifier=(),
        class_map=None,
        attention=(),
        added=(),
        counts={},
    )
    card = replace(
        first,
        summary=f"{first.summary}; the mean of the logits of {len(nets)} folds",
        heads={"expression": Head(labels=head.labels, logits="logits")},
        protocol=f"{first.protocol.partition('; fold-')[0]}; the mean of {len(nets)} folds",
        metrics={"test, each image by the fold that did not train on it": first.metrics["test"]},
    )
    return net, spec, card


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
        template=built_in_template(),
        licence="that of its training data and pretrained weights; see data",
        data=str(report["facts"].get("sets", ", ".join(recipe.data.sets))),
        protocol=f"{recipe.data.protocol}: {report['facts']['split']}",
        intended_use="Perceived expression in a face crop, not a feeling.",
        metrics={"test": report["test"]},
        recipe=recipe.to_dict(),
        recipe_hash=recipe.hash,
        versions=report["facts"]["versions"],
        framing=Framing(**report["facts"]["framing"]) if "framing" in report["facts"] else None,
    )


def _device(name: str) -> torch.device:
    there = torch.cuda.is_available()
    if choose("device", name, DEVICES) == "cuda" and not there:
        raise InputError("expected a GPU for the device 'cuda', found none; take 'cpu' or 'auto'")
    return torch.device("cuda" if there and name != "cpu" else "cpu")
