"""The recipe of the built-in model: dataclasses filled from a TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Network:
    stem: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    dropout: float


@dataclass(frozen=True)
class Training:
    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float
    weight_decay: float
    warmup_epochs: float
    ema_decay: float
    mixup: float
    label_smoothing: float
    ferplus_weight: float
    fer2013_weight: float
    landmark_weight: float
    seed: int


@dataclass(frozen=True)
class Augmentation:
    rotation: float
    scale: float
    shift: float
    contrast: float
    brightness: float
    erase: float
    erase_side: float


@dataclass(frozen=True)
class Recipe:
    network: Network
    training: Training
    augmentation: Augmentation

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; a missing or an unknown field is a TypeError that names it."""
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    network: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in content["network"].items()
    }
    return Recipe(
        Network(**network), Training(**content["training"]), Augmentation(**content["augmentation"])
    )
