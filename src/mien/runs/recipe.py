"""Recipe: one experiment as data, read from TOML, checked, hashed, and written back resolved."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from mien.emotions import EIGHT, SEVEN
from mien.registry import choose
from mien.runs.fields import between, typed
from mien.runs.losses import LOSSES
from mien.runs.toml import flat, read_toml, table
from mien.types import InputError, UnknownNameError

T = TypeVar("T")
PROTOCOLS: Final = ("paper", "honest", "official")
STRATEGIES: Final = ("full", "head", "partial", "svm")
OPTIMIZERS: Final = ("sgd", "adam", "adamw")
SCHEDULES: Final = ("constant", "step", "cosine", "linear", "plateau")
CLASS_WEIGHTS: Final = ("none", "balanced", "effective")
PRECISIONS: Final = ("32", "bf16", "16")
METRICS: Final = ("accuracy", "macro_f1")
VALIDATIONS: Final = ("tenth", "last")
CLASS_COUNTS: Final = ("resampled", "all")


#: What only a run's recipe may say.
MARKS: Final = ("shortened", "changed")
#: Fields that came after the first hashes, and the values by which they say nothing.
LATER: Final = (
    ("data", "scheme", ""),
    ("data", "validation", "tenth"),
    ("training", "class_counts", "resampled"),
)


@dataclass(frozen=True)
class About:
    """Which published number an experiment repeats."""

    title: str  # what the experiment is, in a line
    paper: str  # citation: authors, year, where
    table: str = ""  # table and cell, such as "Table 2, FER2013, 15 layers"
    metric: str = "accuracy"  # accuracy or macro_f1: what the printed number is
    expected: float | None = None  # the printed number, in 0..1; None where the paper gives none
    protocol: str = ""  # the paper's own, in words
    cost: str = ""  # what it takes, in words
    notes: str = ""  # errata, and choices where the paper is silent
    shortened: str = ""  # how a run trains less than the experiment; no printed number beside it
    changed: str = ""  # what a run has otherwise than the recipe's file, in words

    def __post_init__(self) -> None:
        choose("metric", self.metric, METRICS)
        if self.expected is not None:
            between("about.expected", self.expected, 0, 1)


@dataclass(frozen=True)
class Data:
    """What the network sees: sets, classes, split, balance, augmentation."""

    sets: tuple[str, ...]  # names of mien.data; the Parquet must hold these
    labels: tuple[str, ...] = SEVEN  # the classes, in the order of the outputs
    protocol: str = "paper"  # the split of the paper, the honest one, or the owners' (official)
    split_seed: int = 0  # of splits that are drawn
    folds: int = 0  # of the paper, where its cross-validation is not the set's usual split
    scheme: str = ""  # likewise: a name of mien.data.split, where it is another one
    augmentation: str = "none"  # a preset of mien.data.augmentation
    under: float = 1.0  # majority classes are cut to this share of the largest (1: none)
    over: float = 1.0  # minority classes are repeated up to this factor (1: none)
    #: where a split has no validation images: a tenth of the training images is held out and the
    #: best epoch counts, or all are trained on and the last epoch counts
    validation: str = "tenth"

    def __post_init__(self) -> None:
        choose("protocol", self.protocol, PROTOCOLS)
        choose("validation", self.validation, VALIDATIONS)
        for name in self.labels:
            choose("expression", name, EIGHT)
        if not self.sets:
            raise InputError("data.sets: expected at least one data set, got none")
        if len(set(self.labels)) != len(self.labels) or len(self.labels) < 2:
            raise InputError(f"data.labels: expected two or more different, got {self.labels}")
        if self.folds == 1 or not 0 <= self.folds <= 1000:
            raise InputError(f"data.folds: expected 0 (none) or 2 to 1000, got {self.folds}")
        if self.folds and self.scheme:
            raise InputError(f"data.scheme: expected none beside folds, got {self.scheme!r}")
        between("data.under", self.under, 0.05, 1)
        between("data.over", self.over, 1, 10)


@dataclass(frozen=True)
class Network:
    """Which model, from which weights."""

    name: str  # a name of mien.models
    pretrained: bool = False  # whether it starts from published weights
    options: dict[str, Any] = field(default_factory=dict)  # what the network's builder takes


@dataclass(frozen=True)
class Training:
    """How the network is fitted; every random step follows from ``seed``."""

    epochs: int = 30  # passes over the training images
    batch_size: int = 32  # images a step
    optimizer: str = "adamw"  # sgd, adam or adamw
    learning_rate: float = 1e-4  # the largest of the schedule
    momentum: float = 0.9  # sgd only
    nesterov: bool = False  # sgd only
    weight_decay: float = 0.0  # 0: none
    strategy: str = "full"  # head: a frozen backbone; partial: last blocks; svm: on frozen features
    blocks: int = 0  # how many, for partial
    loss: str = "cross-entropy"  # a registered loss
    class_weights: str = "none"  # balanced, or by the effective number (Cui et al. 2019)
    class_counts: str = "resampled"  # what they are counted on: the balanced images, or all
    focal_gamma: float = 2.0  # of the focal loss
    focal_alpha: float = 1.0  # of the focal loss
    label_smoothing: float = 0.0  # 0: none
    mixup: float = 0.0  # alpha of the Beta distribution; 0: off
    schedule: str = "constant"  # constant, step, cosine, linear or plateau
    schedule_factor: float = 0.1  # of step and plateau
    schedule_epochs: int = 5  # of step: every so many; of plateau: patience
    warmup_epochs: float = 0.0  # linear, from learning_rate / warmup_multiplier
    warmup_multiplier: float = 10.0  # see warmup_epochs
    patience: int = 0  # early stopping on the validation loss; 0: off
    ema: float = 0.0  # decay of the weights' moving average; 0: off
    clip: float = 0.0  # largest gradient norm; 0: off
    precision: str = "32"  # 32, bf16 or 16 bits
    seed: int = 0

    def __post_init__(self) -> None:
        choose("strategy", self.strategy, STRATEGIES)
        choose("loss", self.loss, LOSSES.names())
        choose("optimizer", self.optimizer, OPTIMIZERS)
        choose("schedule", self.schedule, SCHEDULES)
        choose("class_weights", self.class_weights, CLASS_WEIGHTS)
        choose("class_counts", self.class_counts, CLASS_COUNTS)
        choose("precision", self.precision, PRECISIONS)
        between("training.seed", self.seed, 0, 2**32 - 1)
        between("training.epochs", self.epochs, 1, 10_000)
        between("training.batch_size", self.batch_size, 1, 65_536)
        between("training.learning_rate", self.learning_rate, 1e-9, 100)
        between("training.momentum", self.momentum, 0, 0.9999)
        between("training.weight_decay", self.weight_decay, 0, 10)
        between("training.blocks", self.blocks, 0, 1000)
        between("training.focal_gamma", self.focal_gamma, 0, 20)
        between("training.focal_alpha", self.focal_alpha, 1e-6, 100)
        between("training.label_smoothing", self.label_smoothing, 0, 0.9)
        between("training.mixup", self.mixup, 0, 10)
        between("training.schedule_factor", self.schedule_factor, 1e-6, 1)
        between("training.schedule_epochs", self.schedule_epochs, 1, 10_000)
        between("training.warmup_epochs", self.warmup_epochs, 0, self.epochs)
        between("training.patience", self.patience, 0, 10_000)
        between("training.clip", self.clip, 0, 1e6)
        between("training.ema", self.ema, 0, 0.99999)
        between("training.warmup_multiplier", self.warmup_multiplier, 1, 1e6)
        if self.strategy == "partial" and self.blocks < 1:
            raise InputError("training.blocks: expected 1 or more with strategy 'partial', got 0")


@dataclass(frozen=True)
class Recipe:
    """One experiment; defaults live here, a file states what the paper changes."""

    about: About  # which experiment it is; changes nothing
    data: Data  # what the network sees
    model: Network  # which network
    training: Training = field(default_factory=Training)  # how it is fitted
    #: what ``mien train --grid`` varies: "section.field" or "model.options.name" -> values
    grid: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.data.validation == "last":
            self._check_last()
        for name, values in self.grid.items():
            if not isinstance(values, list) or not values:
                raise InputError(f"grid.{name}: expected a list of values, got {values!r}")
            if len({json.dumps(value) for value in values}) < len(values):
                raise InputError(f"grid.{name}: expected different values, got {values!r}")
            for value in values:
                self.at({name: value})

    def _check_last(self) -> None:
        """InputError for what validation images decide where there are none."""
        how = self.training
        for what, wanted in (
            ("schedule = 'plateau'", how.schedule == "plateau"),
            ("patience", how.patience > 0),
            ("a [grid]", bool(self.grid)),
        ):
            if wanted:
                raise InputError(
                    f"data.validation: expected 'tenth' beside {what}, which validation images "
                    "decide, got 'last'"
                )

    def to_dict(self) -> dict[str, Any]:
        """Nested plain values."""
        fields = asdict(self)
        for name in MARKS:  # no fields of every recipe
            if not fields["about"][name]:
                del fields["about"][name]
        return fields

    def to_toml(self) -> str:
        """The recipe with every default resolved, as TOML that :func:`read_recipe` reads."""
        parts = []
        for section, values in self.to_dict().items():
            if section == "grid":
                quoted = {json.dumps(k): v for k, v in values.items()}
                parts += [table(section, quoted)] if values else []
                continue
            tables = {k: v for k, v in values.items() if isinstance(v, dict)}
            plain = {k: v for k, v in values.items() if k not in tables and v is not None}
            parts.append(table(section, plain))
            parts += [table(f"{section}.{k}", v) for k, v in tables.items() if v]
        return "\n".join(parts)

    @property
    def hash(self) -> str:
        """SHA-256 of what decides the result: all but ``about``."""
        content = {k: v for k, v in self.to_dict().items() if k != "about"}
        # fields that came later are left out while they say nothing, so that hashes stay
        content = {k: v for k, v in content.items() if k != "grid" or v}
        for section, name, silent in LATER:
            if content[section][name] == silent:
                content[section] = {k: v for k, v in content[section].items() if k != name}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def change(self, **changes: Mapping[str, Any]) -> Recipe:
        """A copy with some fields of some sections changed and checked again.

        >>> recipe = Recipe(About("t", "p"), Data(("fer2013",)), Network("gimefive-15"))
        >>> recipe.change(training={"epochs": 3}).training.epochs
        3
        """
        kinds = {f.name: getattr(self, f.name) for f in fields(self)}
        for section, values in changes.items():
            part = kinds[choose("section", section, kinds)]
            is_grid = section == "grid"
            kinds[section] = dict(values) if is_grid else _changed(section, part, values)
        return Recipe(**kinds)

    def at(self, point: Mapping[str, Any]) -> Recipe:
        """The recipe at one point of a grid, checked, and without a grid itself.

        ``point`` takes dotted names to values. Raises UnknownNameError for a name that does not
        exist, InputError for a value that does not fit.

        >>> recipe = Recipe(About("t", "p"), Data(("fer2013",)), Network("gimefive-15"))
        >>> recipe.at({"training.epochs": 3, "model.options.linear": 1}).model.options
        {'linear': 1}
        """
        changes: dict[str, dict[str, Any]] = {}
        for name, value in point.items():
            section, _, rest = name.partition(".")
            choose("section of [grid]", section, ("data", "model", "training"))
            values = changes.setdefault(section, {})
            if section == "model" and rest.startswith("options."):
                options = values.setdefault("options", dict(self.model.options))
                options[rest.removeprefix("options.")] = value
            else:
                values[rest] = value
        return replace(self, grid={}).change(**changes)

    @property
    def points(self) -> int:
        """How many trainings the whole grid is; 1 where there is none."""
        return math.prod(len(values) for values in self.grid.values())


def mark(recipe: Recipe, text: str) -> str:
    """A text about a run of the recipe, marked where the run is not the whole experiment.

    >>> recipe = Recipe(About("t", "p"), Data(("fer2013",)), Network("gimefive-15"))
    >>> mark(recipe, "Accuracy 20 %")
    'Accuracy 20 %'
    >>> mark(recipe.change(about={"shortened": "2 of 30 epochs"}), "Accuracy 20 %")
    'SHORTENED (2 of 30 epochs): Accuracy 20 %'
    """
    short = recipe.about.shortened
    return f"SHORTENED ({short}): {text}" if short else text


def _changed(section: str, part: T, values: Mapping[str, Any]) -> T:
    known = [f.name for f in fields(part)]  # type: ignore[arg-type]  # every section is a dataclass
    for name in values:
        choose(f"field of [{section}]", name, known)
    checked = {k: typed(f"{section}.{k}", type(part), k, v) for k, v in values.items()}
    return replace(part, **checked)  # type: ignore[type-var]  # likewise


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe from TOML.

    Parameters
    ----------
    path
        A TOML file.

    Raises InputError for a file that is absent or no TOML, for a missing field and for a value
    out of its range, UnknownNameError for a field or a name that does not exist; each names the
    file and the field.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such recipe; see: mien recipes")
    content = read_toml(path)
    try:
        return _recipe(content)
    except (InputError, UnknownNameError) as error:
        raise type(error)(f"{path}: {error}") from error


def _recipe(content: Mapping[str, Any]) -> Recipe:
    kinds: dict[str, type] = {"about": About, "data": Data, "model": Network, "training": Training}
    parts: dict[str, Any] = {}
    for section in content:
        choose("section", section, [*kinds, "grid"])
    for section, kind in kinds.items():
        values = content.get(section, {})
        for name in values:
            choose(f"field of [{section}]", name, [f.name for f in fields(kind)])
        missing = [
            f.name
            for f in fields(kind)
            if f.default is MISSING and f.default_factory is MISSING and f.name not in values
        ]
        if missing:
            raise InputError(f"[{section}]: expected the field {missing[0]!r}; add it")
        checked = {k: typed(f"{section}.{k}", kind, k, v) for k, v in values.items()}
        parts[section] = kind(**checked)
    grid = content.get("grid", {})
    if not isinstance(grid, dict):
        raise InputError(f"grid: expected a table of lists, got {grid!r}")
    parts["grid"] = dict(flat(grid))
    return Recipe(**parts)
