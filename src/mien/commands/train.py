"""``mien train``: a recipe, or its grid, trained, tested and reported."""

from __future__ import annotations

import json
import logging
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mien.commands.terminal import fail, note, out, say, show
from mien.extras import need
from mien.options import pairs
from mien.runs.catalogue import find_recipe
from mien.runs.recipe import Recipe, read_recipe
from mien.types import InputError
from mien.wording import counted

if TYPE_CHECKING:
    from mien.train.descend import Where
    from mien.train.search import Trial

CHANGES, GRID, MACHINE = "Changes to the recipe", "A grid of trainings", "Machine"

RecipeFile = Annotated[
    str, typer.Argument(help="A name that mien recipes lists, or a file of your own.")
]
Output = Annotated[Path, typer.Option("--output", "-o", help="The run's folder.")]
DataFile = Annotated[
    Path | None, typer.Option(help="Parquet file of mien data prepare; --smoke needs none.")
]
Smoke = Annotated[
    bool, typer.Option("--smoke", help="Two steps of a small network on a few drawn faces.")
]
Examples = Annotated[
    bool, typer.Option(help="Explain test images in the report, which then shows them.")
]
Curves = Annotated[
    bool,
    typer.Option(
        "--curves",
        help="Record accuracy on training and test images after each epoch, as some papers plot "
        "it; nothing is selected by it.",
    ),
]
Tensorboard = Annotated[bool, typer.Option("--tensorboard", help="Also write TensorBoard logs.")]
Weights = Annotated[
    Path | None,
    typer.Option(
        rich_help_panel=CHANGES,
        help="Pretrained weights from a file, or a run's folder, not from the hub.",
    ),
]
NoPretrained = Annotated[
    bool,
    typer.Option("--no-pretrained", rich_help_panel=CHANGES, help="Start from random weights."),
]
Protocol = Annotated[
    str | None,
    typer.Option(rich_help_panel=CHANGES, help="paper or honest; default: the recipe's."),
]
Epochs = Annotated[
    int | None,
    typer.Option(rich_help_panel=CHANGES, help="Number of epochs (default: the recipe's)."),
]
OwnSeed = Annotated[
    int | None, typer.Option(rich_help_panel=CHANGES, help="Random seed (default: the recipe's).")
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        rich_help_panel=CHANGES,
        help="Another value of the recipe, as training.strategy=head or model.options.size=48; "
        "may be given again.",
    ),
]
Precision = Annotated[str | None, typer.Option(rich_help_panel=CHANGES, help="32, bf16 or 16.")]
Grid = Annotated[
    bool,
    typer.Option(
        "--grid",
        rich_help_panel=GRID,
        help="Train every point of the recipe's grid; test the best.",
    ),
]
Sampler = Annotated[
    str,
    typer.Option(rich_help_panel=GRID, help="grid, random or tpe; the last two with --trials."),
]
Trials = Annotated[
    int | None, typer.Option(rich_help_panel=GRID, help="Maximum number of grid points.")
]
Device = Annotated[str, typer.Option(rich_help_panel=MACHINE, help="auto, cpu, cuda or mps.")]
Devices = Annotated[
    int, typer.Option(min=1, rich_help_panel=MACHINE, help="How many on this machine.")
]
Nodes = Annotated[int, typer.Option(min=1, rich_help_panel=MACHINE, help="How many machines.")]
Strategy = Annotated[str, typer.Option(rich_help_panel=MACHINE, help="Lightning's: auto, ddp, ...")]


def train(
    recipe: RecipeFile,
    output: Output,
    data: DataFile = None,
    smoke: Smoke = False,
    examples: Examples = True,
    curves: Curves = False,
    tensorboard: Tensorboard = False,
    weights: Weights = None,
    no_pretrained: NoPretrained = False,
    protocol: Protocol = None,
    epochs: Epochs = None,
    seed: OwnSeed = None,
    precision: Precision = None,
    set_: Sets = None,
    grid: Grid = False,
    sampler: Sampler = "grid",
    trials: Trials = None,
    device: Device = "auto",
    devices: Devices = 1,
    num_nodes: Nodes = 1,
    strategy: Strategy = "auto",
) -> None:
    """Train a recipe, test it once, and compare the result with the paper's.

    A run that was stopped goes on from its last epoch when the same command is run again, and a
    grid from its last trial, to the same result.
    """
    for package in ("torch", "lightning"):
        need(package, "train", "training")
    if not grid and (sampler != "grid" or trials is not None):
        raise InputError("--sampler and --trials are of a grid: give --grid, or leave them out")
    if smoke and (data is not None or weights is not None):
        raise InputError("--smoke draws its own faces and weights: leave out --data and --weights")
    chosen = _chosen(find_recipe(recipe), data, smoke=smoke, grid=grid)
    if no_pretrained and weights is not None:
        raise InputError("expected --weights or --no-pretrained, got both; choose one")
    training = {"epochs": epochs, "seed": seed, "precision": precision}
    chosen = _changed(_reset(chosen, set_ or ()), training, protocol, no_pretrained)
    where = replace(
        _where(device, devices, num_nodes, strategy), tensorboard=tensorboard, curves=curves
    )
    if not (grid or smoke or out.is_terminal):
        where = replace(where, on_epoch=partial(_epoch, chosen.training.epochs))
    plan = _plan(chosen, where, smoke=smoke, grid=grid, trials=trials)
    where = replace(where, on_begin=partial(note, plan))
    how: dict[str, Any] = {"weights": weights, "examples": examples}
    if grid:
        how |= {"sampler": sampler, "trials": trials}
    work = _search if grid else _train
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Lightning's advice on loaders and folders
            if smoke:
                _smoke(work, chosen, output, where, **how)
            elif data is not None:
                work(chosen, data, output, where, **how)
    except KeyboardInterrupt:
        fail(f"stopped; run the same command to go on in {output}")
        raise typer.Exit(130) from None


def _plan(
    recipe: Recipe, where: Where, *, smoke: bool, grid: bool, trials: int | None = None
) -> str:
    """What is about to be done, before the first second of it."""
    if smoke:
        return f"{recipe.about.title}: a smoke run of two steps on drawn faces"
    points = min(trials or recipe.points, recipe.points)
    what = f"a grid of {points:,} trainings" if grid else "a training"
    cost = f"; the recipe says: {recipe.about.cost.rstrip('.')}" if recipe.about.cost else ""
    if recipe.training.strategy == "svm":
        return f"{recipe.about.title}: {what} without epochs, an SVM on frozen features{cost}"
    return (
        f"{recipe.about.title}: {what} of {counted(recipe.training.epochs, 'epoch')} at most, on "
        f"{where.accelerator}{cost}. After the first epoch it says how long the others take"
    )


def _chosen(path: Path, data: Path | None, *, smoke: bool, grid: bool) -> Recipe:
    """The recipe; InputError where it cannot be trained as it was asked for."""
    chosen = read_recipe(path)
    if data is None and not smoke:
        raise InputError(
            f"expected --data with images of {', '.join(chosen.data.sets)}; make the file with "
            "mien data prepare, or try --smoke"
        )
    if chosen.grid and not grid:
        raise InputError(
            f"{path}: is a grid of {chosen.points:,} trainings; give --grid, "
            "and --sampler random --trials N for some of them"
        )
    return chosen


def _changed(
    recipe: Recipe, training: dict[str, Any], protocol: str | None, no_pretrained: bool
) -> Recipe:
    """The recipe with what the command line changes; fewer epochs are marked as such."""
    whole = recipe.training.epochs
    changed = recipe.change(
        training={k: v for k, v in training.items() if v is not None},
        data={} if protocol is None else {"protocol": protocol},
        model={"pretrained": False} if no_pretrained else {},
    )
    epochs = changed.training.epochs
    short = {"shortened": f"{epochs} of {whole} epochs"} if epochs < whole else {}
    return changed.change(about=short)


def _reset(recipe: Recipe, texts: Sequence[str]) -> Recipe:
    """The recipe with other values; in the grid of a search, they stand outside of it."""
    if not texts:
        return recipe
    given = {name: _value(text) for name, text in pairs(texts).items()}
    changed = recipe.at(given).change(grid=recipe.grid)
    words = ", ".join(f"{name} = {_value(text)}" for name, text in pairs(texts).items())
    return changed.change(about={"changed": words})


def _value(text: str) -> Any:
    """A value as TOML and JSON write it; what is neither is a text.

    >>> _value("0.1"), _value("true"), _value("head")
    (0.1, True, 'head')
    """
    try:
        return json.loads(text)
    except ValueError:
        return text


def _where(device: str, devices: int, num_nodes: int, strategy: str) -> Where:
    from mien.train.descend import Where, accelerator, known_strategy

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    return Where(
        accelerator(device),
        devices,
        num_nodes,
        known_strategy(strategy),
        progress=out.is_terminal,
    )


def _epoch(epochs: int, row: Mapping[str, Any]) -> None:
    """One line on stderr for an epoch, and how long the others will take at most."""
    left = row["seconds"] * (epochs - row["epoch"])
    held = f"validation {row['val_accuracy']:.2%}, " if "val_accuracy" in row else ""
    ahead = f"; at most {left / 60:.0f} min left" if left > 30 else ""
    note(
        f"epoch {row['epoch']} of {epochs}: training loss {row['train_loss']:.4g}, {held}"
        f"{row['seconds']:.1f} s{ahead}"
    )


def _smoke(work: Any, recipe: Recipe, output: Path, where: Where, **how: Any) -> None:
    """The same work on a small network and a few drawn faces."""
    from mien.train import smoke

    how["weights"] = None
    if "trials" in how:
        how["trials"] = how["trials"] or smoke.TRIALS
    with tempfile.TemporaryDirectory() as folder:
        data = smoke.draw(Path(folder))
        work(smoke.shrink(recipe), data, output, replace(where, steps=smoke.STEPS), **how)


def _train(
    recipe: Recipe,
    data: Path,
    folder: Path,
    where: Where,
    *,
    weights: Path | None,
    examples: bool,
) -> None:
    """Train, test and report one recipe."""
    from mien.runs.report import headline
    from mien.train import report
    from mien.train.fit import fit

    run = fit(recipe, data, folder, weights=weights, where=where)
    page = report.write(run, examples=examples)
    if where.first:  # one process of several speaks
        say(headline(run.recipe, run.report))
        say(f"report: {page}")


def _search(
    recipe: Recipe,
    data: Path,
    folder: Path,
    where: Where,
    *,
    weights: Path | None,
    examples: bool,
    sampler: str,
    trials: int | None,
) -> None:
    """Run a grid, report each trial, and write its table, its picture and the best one's report."""
    from mien.runs.report import headline
    from mien.train import report
    from mien.train.search import search
    from mien.train.summary import table, write_summary

    found = search(
        recipe,
        data,
        folder,
        sampler=sampler,
        trials=trials,
        weights=weights,
        where=where,
        on_trial=_Reporter(),
    )
    page = report.write(found.run, examples=examples)
    write_summary(found)
    header, rows = table(found)
    show(header, [[cell.partition(": ")[0] for cell in row] for row in rows[:10]])
    say(headline(found.run.recipe, found.run.report))
    say(f"all trials: {folder / 'search.md'}; the best one's report: {page}")


class _Reporter:
    """Says how each trial went, and how long the rest will take."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.count = 0

    def __call__(self, trial: Trial, done: int, wanted: int) -> None:
        from mien.train.summary import short, written

        self.count += 1
        left = (time.perf_counter() - self.began) / self.count * (wanted - done)
        what = f"failed: {trial.error}"
        if trial.accuracy is not None:
            what = f"validation {trial.accuracy:.2%}"
        values = ", ".join(f"{short(k)} {written(v)}" for k, v in trial.point.items())
        ahead = f"; about {left / 60:.0f} min left" if left > 30 else ""
        say(f"{done} of {wanted}: {what} ({values}){ahead}")
