"""The recipe of the built-in model or of a teacher: dataclasses filled from a TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Network:
    """The built-in model's network, ``mien.models.torch.networks.compact.CompactNet``."""

    stem: int
    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    dropout: float
    started: tuple[int, ...] = ()  # the blocks of the network it starts from, where they are fewer


@dataclass(frozen=True)
class Lite:
    """A teacher, ``training.teacher.Lite``."""

    size: int
    frozen: int
    dropout: float
    variant: int = 0  # of EfficientNet-Lite: 0, 1 or 2


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
    optimizer: str = "sgd"  # or adamw, which takes no momentum
    start: str = ""  # the recipe whose weights it starts from, by --start; else from scratch
    frozen: int = 0  # layers of the trunk, from its start, that keep the weights they start with
    teachers: float = 0.0  # share of the targets: what teachers said of the crop as it stands
    live: float = 0.0  # share of the targets: what teachers say of the changed crop, asked anew
    precision: str = "auto"  # bf16, fp32, or by what the processor has instructions for


@dataclass(frozen=True)
class Augmentation:
    rotation: float
    scale: float
    shift: float
    contrast: float
    brightness: float
    erase: float
    erase_side: float
    align: float = 0.0  # share of the crops aligned by their landmarks first
    gamma: float = 0.0  # the exponent is between 1 / (1 + gamma) and 1 + gamma
    slope: float = 0.0  # of light from one side, relative at the edge
    photo: float = 0.0  # chance of each of: focus, size, noise, JPEG


@dataclass(frozen=True)
class Recipe:
    network: Network | Lite
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
    kind = Lite if "frozen" in network else Network
    return Recipe(
        kind(**network), Training(**content["training"]), Augmentation(**content["augmentation"])
    )
