"""``mien evaluate``: how well models answer on labelled sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.commands.terminal import Seed, note, progress, show
from mien.types import InputError

if TYPE_CHECKING:
    from mien.judging.evaluation import Measured

What = Annotated[
    list[str],
    typer.Argument(
        metavar="MODEL... SET.parquet...",
        help="Models (built-in names, ONNX files, runs), which may carry options, as "
        "mien:head=ferplus,prior=even,flip=true; and sets: Parquet files of mien data.",
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write the table: .md, .csv or .json (all).")
]
Labels = Annotated[
    str, typer.Option(help="Only images of these: six, seven, eight, or happy,sad,...")
]
Among = Annotated[bool, typer.Option("--among", help="Choose each answer among --labels, too.")]
Split = Annotated[
    str, typer.Option(help="Only this split; default: test where a set has one, else all.")
]
Finder = Annotated[
    str, typer.Option("--detector", help="none where images are face crops; auto: end to end.")
]


def evaluate(
    what: What,
    output: Output = None,
    labels: Labels = "",
    among: Among = False,
    split: Split = "",
    detector: Finder = "none",
    seed: Seed = 0,
) -> None:
    """Measure models on labelled sets: accuracy, recall of each expression, calibration.

    With a detector, the largest face of each image is answered, and an image without one counts as
    a wrong answer. Accuracy has a 95 % bootstrap interval. Several models are set against the first
    by McNemar's exact test, with how many images the first alone and this one alone answer
    rightly. ECE is the calibration error of the set as it is, and as it would be if its
    expressions came as often as the model's prior says.
    """
    from mien.emotions import named_labels
    from mien.judging.evaluation import measure, table

    models = [text for text in what if not text.endswith(".parquet")]
    sets = [Path(text) for text in what if text.endswith(".parquet")]
    if not models or not sets:
        raise InputError(
            "expected one model or more and one Parquet file or more, as in: "
            "mien evaluate mien faces.parquet (mien data prepare makes such files)"
        )
    if among and not labels:
        raise InputError("--among answers with one of --labels; give them, as --labels six")
    _check(output)
    with progress(None, "images") as advance:
        found = measure(
            models,
            sets,
            labels=named_labels(labels),
            among=among,
            split=split,
            detector=detector,
            seed=seed,
            advance=advance,
        )
    header, rows = table(found)
    show(header, rows, left=("set", "model"))
    for m in found:
        if m.known:
            note(f"{m.data}, {m.model}: {m.known}")
        if m.left_out or m.unreadable:
            note(
                f"{m.data}, {m.model}: left out {m.left_out} images of other expressions and "
                f"{m.unreadable} that cannot be read"
            )
    if output is not None:
        _write(output, header, rows, found)


def _check(output: Path | None) -> None:
    """What cannot be written fails before the work."""
    from mien.files import check_writable

    if output is None:
        return
    if output.suffix not in (".md", ".csv", ".json"):
        raise InputError(f"{output}: expected a name ending in .md, .csv or .json; rename it")
    check_writable(output)


def _write(output: Path, header: list[str], rows: list[list[str]], found: list[Measured]) -> None:
    from mien.files import write_whole
    from mien.results.tables import markdown_table
    from mien.runs.read import write_table

    if output.suffix == ".csv":
        write_table(output, header, rows)
    elif output.suffix == ".md":
        write_whole(output, markdown_table(header, rows))
    else:
        write_whole(output, json.dumps([m.to_dict() for m in found], indent=1) + "\n")
