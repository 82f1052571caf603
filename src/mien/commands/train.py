"""``mien train``, ``mien recipes``, ``mien compare``: thin skins over recipes and runs."""

from __future__ import annotations

import csv
import logging
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from mien.commands.terminal import out, say, show
from mien.runs.recipe import Recipe, read_recipe
from mien.types import InputError, MissingExtraError


def _need_torch() -> None:
    try:
        import lightning  # noqa: F401 - only whether it is there
    except ImportError as error:
        raise MissingExtraError(
            "training needs torch and lightning, which are not installed; "
            "run: pip install 'mien[train]'"
        ) from error


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe, such as recipes/gimefive/....toml.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The run's folder.")],
    data: Annotated[
        Path | None, typer.Option(help="Parquet file of mien data prepare; --smoke needs none.")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="paper or honest; default: the recipe's.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Pretrained weights from a file, not from the hub.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Other than the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Other than the recipe's.")] = None,
    precision: Annotated[str | None, typer.Option(help="32, bf16 or 16.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="How many on this machine.")] = 1,
    num_nodes: Annotated[int, typer.Option(min=1, help="How many machines.")] = 1,
    strategy: Annotated[str, typer.Option(help="Lightning's: auto, ddp, ...")] = "auto",
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Two steps of a small network on a few drawn faces.")
    ] = False,
    grid: Annotated[
        bool, typer.Option("--grid", help="Train every point of the recipe's grid; test the best.")
    ] = False,
    sampler: Annotated[
        str, typer.Option(help="Of a grid: grid, random or tpe; the last two with --trials.")
    ] = "grid",
    trials: Annotated[int | None, typer.Option(help="At most so many points of a grid.")] = None,
    examples: Annotated[
        bool, typer.Option(help="Explain test images in the report, which then shows them.")
    ] = True,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard's files, too.")
    ] = False,
) -> None:
    """Train a recipe, test it once, and put our number beside the paper's.

    A stopped run in the same folder goes on from its last epoch to the same result, and a
    stopped grid from its last trial.
    """
    _need_torch()
    chosen = read_recipe(recipe)
    if data is None and not smoke:
        raise InputError(
            f"expected --data with images of {', '.join(chosen.data.sets)}; make the file with "
            "mien data prepare, or try --smoke"
        )
    if chosen.grid and not grid:
        raise InputError(
            f"{recipe}: is a grid of {chosen.points:,} trainings; give --grid, "
            "and --sampler random --trials N for some of them"
        )
    changes: dict[str, Any] = {"epochs": epochs, "seed": seed, "precision": precision}
    chosen = chosen.change(
        training={k: v for k, v in changes.items() if v is not None},
        data={} if protocol is None else {"protocol": protocol},
    )
    from mien.train import smoke as small
    from mien.train.descend import Where, accelerator, known_strategy

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    where = Where(
        accelerator(device),
        devices,
        num_nodes,
        known_strategy(strategy),
        progress=out.is_terminal,
        steps=small.STEPS if smoke else None,
        tensorboard=tensorboard,
    )
    said = small.said(chosen, small.shrink(chosen)) if smoke else ""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # Lightning's advice on loaders and folders
        if smoke:
            chosen, data = small.shrink(chosen), small.draw(Path(folder))
            weights = None
            trials = trials or small.TRIALS
        assert data is not None  # checked above
        how: dict[str, Any] = {"weights": weights, "where": where, "examples": examples}
        if grid:
            _search(chosen, data, output, sampler=sampler, trials=trials, said=said, **how)
            return
        from mien.train.fit import fit

        run = fit(chosen, data, output, **how)
    if int(os.environ.get("LOCAL_RANK", "0")):
        return  # one process of several speaks
    from mien.runs.report import headline

    say(said or headline(chosen, run.report))
    say(f"report: {run.folder / 'report.html'}")


def _search(recipe: Recipe, data: Path, folder: Path, *, said: str, **how: Any) -> None:
    """Run a grid, telling each trial, and write its table and its picture."""
    from mien.runs.report import headline
    from mien.train.search import Trial, search
    from mien.train.summary import short, table, write_summary, written

    began = time.perf_counter()
    told = 0

    def tell(trial: Trial, done: int, wanted: int) -> None:
        nonlocal told
        told += 1
        left = (time.perf_counter() - began) / told * (wanted - done)
        what = f"failed: {trial.error}"
        if trial.accuracy is not None:
            what = f"validation {trial.accuracy:.2%}"
        values = ", ".join(f"{short(k)} {written(v)}" for k, v in trial.point.items())
        ahead = f"; about {left / 60:.0f} min left" if left > 30 else ""
        say(f"{done} of {wanted}: {what} ({values}){ahead}")

    found = search(recipe, data, folder, tell=tell, **how)
    write_summary(found)
    header, rows = table(found)
    show(header, [[cell.partition(": ")[0] for cell in row] for row in rows[:10]])
    say(said or headline(recipe.at(found.best.point), found.run.report))
    say(
        f"all trials: {folder / 'search.md'}; the best one's report: "
        f"{found.best.folder / 'report.html'}"
    )


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="ONNX file to write.")],
    int8: Annotated[bool, typer.Option("--int8", help="Quantise; needs --data.")] = False,
    data: Annotated[Path | None, typer.Option(help="The run's Parquet file.")] = None,
) -> None:
    """Write a run as ONNX with its card, for mien predict --model FILE."""
    _need_torch()
    from mien.runs.export import export as write

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        written = write(run, output, int8=int8, data=data)
    out.print(escape(f"model: {written}"), soft_wrap=True, highlight=False)


def recipes(
    folder: Annotated[Path, typer.Argument(help="Where to look.")] = Path("recipes"),
) -> None:
    """List the recipes: the paper's cell that each repeats, and its printed number."""
    rows = []
    for path, recipe in _recipes(folder):
        printed = recipe.about.expected
        grid = f" ({recipe.points:,} trainings: --grid)" if recipe.grid else ""
        rows.append(
            [
                str(path),
                recipe.about.table + grid,
                "" if printed is None else f"{printed:.2%}",
                recipe.model.name,
                ", ".join(recipe.data.sets),
            ]
        )
    show(
        ("recipe", "repeats", "printed", "model", "data"),
        rows,
        left=("recipe", "repeats", "model", "data"),
    )


def _recipes(folder: Path) -> list[tuple[Path, Recipe]]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the one that holds the recipes")
    paths = [p for p in sorted(folder.rglob("*.toml")) if p.parent.name != "builtin"]
    if not paths:
        raise InputError(f"{folder}: expected recipes (*.toml), found none")
    return [(path, read_recipe(path)) for path in paths]


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the table: .md or .csv.")
    ] = None,
) -> None:
    """Put runs side by side as the papers do; each against the first by McNemar's exact test.

    The test needs the same test images; runs on others say so instead.
    """
    from mien.runs.compare import comparison

    if output is not None and output.suffix not in (".md", ".csv"):
        raise InputError(f"{output}: expected a name ending in .md or .csv; rename the output")
    header, rows = comparison(runs)
    show(header, rows, left=("run", "model", "data"))
    if output is None:
        return
    with output.open("w", newline="", encoding="utf-8") as file:
        if output.suffix == ".csv":
            csv.writer(file).writerows([header, *rows])
        else:
            lines = [header, ["---"] * len(header), *rows]
            file.writelines("| " + " | ".join(line) + " |\n" for line in lines)
