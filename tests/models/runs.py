"""Small networks as models, and a finished run's folder, without training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from mien.emotions import SEVEN
from mien.models.torch import create
from mien.models.torch.model import TorchModel
from mien.models.torch.registry import shrunk
from mien.runs.recipe import About, Data, Network, Recipe


def tiny_model(name: str, seed: int = 0) -> TorchModel:
    """A small network of a registered kind, with random weights that a seed decides."""
    torch.manual_seed(seed)
    net, spec = create(name, classes=len(SEVEN), **shrunk(name))
    return TorchModel(net.eval(), spec, SEVEN)


def write_run(folder: Path, name: str = "gimefive-15") -> Any:
    """A folder such as training leaves, with the network that is in it."""
    folder.mkdir(parents=True, exist_ok=True)
    model = tiny_model(name)
    options = {k: list(v) if isinstance(v, tuple) else v for k, v in shrunk(name).items()}
    recipe = Recipe(
        About("a small run", "none"),
        Data(("synthetic",), labels=SEVEN, protocol="official"),
        Network(name, options=options),
    )
    (folder / "recipe.toml").write_text(recipe.to_toml(), encoding="utf-8")
    save_file(model.net.state_dict(), folder / "weights.safetensors")
    facts = {"temperature": 1.5, "split": "official", "versions": {"torch": torch.__version__}}
    report = {"about": {}, "facts": facts, "test": {"accuracy": 0.5}}
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    return model.net
