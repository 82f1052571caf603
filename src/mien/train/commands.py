"""``mien train``, ``mien recipes``, ``mien compare``: thin skins over recipes and runs."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mien.emotions import SEVEN
from mien.recipe import Recipe, read_recipe
from mien.types import InputError, MissingExtraError

out = Console()


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
    devices: Annotated[int, typer.Option(help="How many on this machine.")] = 1,
    num_nodes: Annotated[int, typer.Option(help="How many machines.")] = 1,
    strategy: Annotated[str, typer.Option(help="Lightning's: auto, ddp, ...")] = "auto",
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Two steps on a few drawn faces only.")
    ] = False,
) -> None:
    """Train a recipe, test it once, and put our number beside the paper's.

    A stopped run in the same folder goes on from its last epoch to the same result.
    """
    _need_torch()
    chosen = read_recipe(recipe)
    if data is None and not smoke:
        raise InputError(
            f"expected --data with images of {', '.join(chosen.data.sets)}; make the file with "
            "mien data prepare, or try --smoke"
        )
    changes: dict[str, Any] = {"epochs": epochs, "seed": seed, "precision": precision}
    if smoke:
        changes |= {"epochs": 1, "warmup_epochs": 0.0}
    chosen = chosen.change(
        training={k: v for k, v in changes.items() if v is not None},
        data={} if protocol is None else {"protocol": protocol},
    )
    from mien.report import headline
    from mien.train.fit import Where, fit

    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    where = Where(
        "gpu" if device == "cuda" else device, devices, num_nodes, strategy,
        progress=out.is_terminal, steps=2 if smoke else None,
    )  # fmt: skip
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # Lightning's advice on loaders and folders
        if data is None:
            chosen, data = _drawn(chosen, Path(folder))
        run = fit(chosen, data, output, weights=weights, where=where)
    if int(os.environ.get("LOCAL_RANK", "0")):
        return  # one process of several speaks
    text = "trained, tested and reported: the numbers of a smoke run mean nothing"
    text = text if smoke else headline(chosen, run.report)
    out.print(escape(text), soft_wrap=True, highlight=False)
    out.print(escape(f"report: {run.folder / 'report.html'}"), soft_wrap=True, highlight=False)


def _drawn(recipe: Recipe, folder: Path) -> tuple[Recipe, Path]:
    """The recipe on a few drawn faces, small and without pretrained weights, and their file."""
    from mien.data import synthetic

    path = folder / "drawn.parquet"
    synthetic.write(path, 140, people=20, size=64)
    labels = [name for name in recipe.data.labels if name in SEVEN]  # contempt is not drawn
    changed = recipe.change(
        data={"sets": ["synthetic"], "protocol": "official", "labels": labels},
        model={"pretrained": False},
        training={"batch_size": 4},
    )
    return changed, path


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="ONNX file to write.")],
    int8: Annotated[bool, typer.Option("--int8", help="Quantise; needs --data.")] = False,
    data: Annotated[Path | None, typer.Option(help="The run's Parquet file.")] = None,
) -> None:
    """Write a run as ONNX with its card, for mien predict --model FILE."""
    _need_torch()
    from mien.train.export import export as write

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        written = write(run, output, int8=int8, data=data)
    out.print(escape(f"model: {written}"), soft_wrap=True, highlight=False)


def recipes(
    folder: Annotated[Path, typer.Argument(help="Where to look.")] = Path("recipes"),
) -> None:
    """List the recipes: the paper's cell that each repeats, and its printed number."""
    found = _recipes(folder)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("recipe", "repeats", "printed", "model", "data"):
        table.add_column(name, overflow="fold", no_wrap=name != "repeats")
    for path, recipe in found:
        printed = recipe.about.expected
        table.add_row(
            escape(str(path)), escape(recipe.about.table),
            "" if printed is None else f"{printed:.2%}", recipe.model.name,
            ", ".join(recipe.data.sets),
        )  # fmt: skip
    out.print(table)


def _recipes(folder: Path) -> list[tuple[Path, Recipe]]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the one that holds the recipes")
    paths = [p for p in sorted(folder.rglob("*.toml")) if p.parent.name != "builtin"]
    if not paths:
        raise InputError(f"{folder}: expected recipes (*.toml), found none")
    return [(path, read_recipe(path)) for path in paths]


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs.")],
) -> None:
    """Put runs side by side; each is compared with the first by McNemar's exact test.

    The test needs the same test images; runs on others say so instead.
    """
    from mien.evaluate import compare as compare_answers
    from mien.runs import read_run, read_scores

    found = [(folder, read_run(folder), read_scores(folder)) for folder in runs]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("run", "model", "parameters", "seconds", "accuracy", "printed", "against first"):
        table.add_column(name)
    first = found[0][2]
    for number, (folder, report, scores) in enumerate(found):
        facts, test, about = report["facts"], report["test"], report["about"]
        accuracy = test["accuracy"]
        versus = ""
        if number:
            if scores.names != first.names or scores.labels != first.labels:
                versus = "other images"
            else:
                result = compare_answers(first.truth, first.answer, scores.answer)
                versus = f"p {result.p_value:.3g} ({result.only_first} to {result.only_second})"
        printed = "" if about["expected"] is None else f"{about['expected']:.1%}"
        table.add_row(
            escape(str(folder)), facts["model"], f"{facts['parameters']:,}",
            f"{facts['seconds']:,.0f}",
            f"{accuracy['value']:.1%} ({accuracy['low']:.1%} to {accuracy['high']:.1%})",
            printed, versus,
        )  # fmt: skip
    out.print(table)
