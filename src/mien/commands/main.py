"""The ``mien`` command: a thin skin over the Python interface."""

from __future__ import annotations

import inspect
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from mien import __version__
from mien.commands import atlas as averaging
from mien.commands import batch as batches
from mien.commands import explain as explaining
from mien.commands import judge as judging
from mien.commands import serve as web
from mien.commands import train as training
from mien.commands import video as videos
from mien.commands.data import app as data
from mien.commands.terminal import (
    Contempt,
    Detector,
    HeadName,
    ModelName,
    err,
    fail,
    note,
    out,
    progress,
    say,
)
from mien.types import InputError, MienError, Prediction

app = typer.Typer(
    name="mien",
    help="Recognise facial expressions in photos and show the evidence for each answer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models = typer.Typer(help="The models on this machine, and those that can be fetched.")
app.add_typer(models, name="models", no_args_is_help=True)
app.add_typer(data, name="data", no_args_is_help=True)
for _command in (training.train, training.recipes, training.compare, training.export):
    app.command()(_command)
app.command()(explaining.explain)
app.command()(judging.judge)
app.command()(averaging.atlas)
app.command()(videos.video)
app.command()(videos.webcam)
app.command()(batches.batch)
app.command()(web.serve)


class TableFormat(StrEnum):
    """How ``mien predict`` writes its rows."""

    table = "table"
    csv = "csv"
    jsonl = "jsonl"
    json = "json"
    parquet = "parquet"


Paths = Annotated[
    list[str],
    typer.Argument(help="Images, folders, quoted globs, or - for a list of paths on stdin."),
]


def _show_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Options that every command shares."""


def _listed(paths: list[str]) -> list[str]:
    """Arguments with ``-`` replaced by the lines of standard input."""
    lines: list[str] = []
    for path in paths:
        lines += [s for s in sys.stdin.read().splitlines() if s.strip()] if path == "-" else [path]
    if not lines:
        raise InputError("expected the path of an image, got an empty list")
    return lines


@app.command()
def predict(
    paths: Paths,
    format: Annotated[  # noqa: A002 - the option's name
        TableFormat | None,
        typer.Option("--format", "-f", help="Default: a table on a terminal, else CSV."),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None,
    detector: Detector = "auto",
    model: ModelName = "mien",
    head: HeadName = None,
    contempt: Contempt = False,
) -> None:
    """Find every face and say what it expresses: one row per face.

    An image without a face and an image that cannot be read have a row too; after the latter the
    exit code is 1, and all other images are done.
    """
    from mien.files import check_writable
    from mien.recognizer import load
    from mien.results.predictions import Predictions, file_format, require_parquet
    from mien.vision.find import find_images

    kind = format.value if format else None
    if output is None and kind == "parquet":
        raise InputError("parquet is not text: give an --output ending in .parquet")
    if output is not None:
        # what cannot be written fails before the work, not after it
        kind = file_format(output) if kind in (None, "table") else kind
        if kind == "parquet":
            require_parquet()
        check_writable(output)
    found = find_images(_listed(paths))
    recognizer = load(model, head=head, contempt=contempt, detector=detector)
    rows: list[Prediction] = []
    stopped = False
    with progress(len(found), "images") as advance:
        try:
            # small batches, so that an interrupt loses little
            named = ((str(path), path) for path in found)
            for part in recognizer.predict_many(named, batch=8):
                rows += part
                advance()
        except KeyboardInterrupt:
            stopped = True  # what is done is written all the same
    results = Predictions(tuple(rows), recognizer.labels)
    if output is not None:
        results.save(output, kind)
        done = f"{_count(len(results.faces), 'face')} in {_count(len(found), 'image')}"
        text = f"{done}, found by {recognizer.detector.name}: {output}"
        note(text)
    elif kind in (None, "table") and (kind or out.is_terminal):
        out.print(_table(results))
    else:
        sys.stdout.write(results.text(kind or "csv"))
    for row in results.errors:
        fail(str(row.error))
    if stopped:
        fail(f"stopped after {len(rows)} rows; they are written")
        raise typer.Exit(130)
    if results.errors:
        raise typer.Exit(1)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _table(results: Any) -> Table:
    from mien.results.predictions import brief

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("input", "face", "box", "expression", "score", "next"):
        right, fold = name in ("face", "score"), name in ("input", "next")
        table.add_column(name, justify="right" if right else "left", no_wrap=not fold)
    for row in results:
        if row.error or row.face_id is None:
            answer = "error" if row.error else "no face found"
            table.add_row(escape(row.input), "", "", answer, "", "")
            continue
        ranked = sorted(row.emotions.items(), key=lambda item: -item[1])
        box = ",".join(f"{v:.0f}" for v in row.box)
        others = ", ".join(f"{name} {brief(p)}" for name, p in ranked[1:3])
        table.add_row(
            escape(row.input),
            str(row.face_id),
            box,
            row.dominant_emotion,
            f"{row.score:.2f}",
            others,
        )
    return table


@models.command("list")
def list_models() -> None:
    """The built-in models, with what was measured, and the files that can be fetched."""
    from mien.fetch import fetched
    from mien.models.onnx import Model
    from mien.models.weights import BUILT_IN, locate
    from mien.vision import faces

    for name in BUILT_IN:
        path = locate(name)
        if not path.is_file():
            continue
        card = Model(path).card
        scores = card.metrics.get("PrivateTest", {})
        parts = [
            f"{key} {scores[key]['value']:.3f}"
            for key in ("ferplus accuracy, majority", "fer2013 accuracy")
            if key in scores
        ]
        out.print(f"[bold]{name}[/bold]  {path.stat().st_size / 1e6:.1f} MB  {card.summary}")
        out.print(f"  PrivateTest: {', '.join(parts) or 'not measured'}; {card.licence}")
    for name, remote in faces.remotes().items():
        where = fetched(remote)
        state = f"at {where}" if where else f"not here; run: mien models fetch {name}"
        out.print(f"[bold]{name}[/bold]  {remote.purpose}; {remote.licence}; {state}")


@models.command("fetch")
def fetch_model(name: Annotated[str, typer.Argument(help="yunet")]) -> None:
    """Fetch a model file once and check its SHA-256."""
    from mien.fetch import fetch
    from mien.registry import choose
    from mien.vision import faces

    known = faces.remotes()
    say(f"{name}: {fetch(known[choose('model to fetch', name, known)])}")


@models.command("card")
def show_card(
    name: Annotated[str, typer.Argument(help="A built-in name, a file, or a run.")] = "mien",
) -> None:
    """Print a model's card: data, protocol, scores, licence, intended use."""
    from mien.runs.open import open_model

    sys.stdout.write(open_model(name).card.to_json() + "\n")


def _flow(group: typer.Typer) -> None:
    """Let the terminal break the lines of help: typer keeps those of the source."""
    for command in group.registered_commands:
        text = inspect.cleandoc(command.help or getattr(command.callback, "__doc__", "") or "")
        command.help = "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            _flow(inner.typer_instance)


_flow(app)


def main() -> None:
    """Run the command; errors that Mien can explain are one line and no traceback."""
    if "--debug" in sys.argv[1:]:
        sys.argv = [arg for arg in sys.argv if arg != "--debug"]  # wherever it stands
        app()
        return
    try:
        app()
    except MienError as error:
        fail(str(error))
        sys.exit(2)
    except KeyboardInterrupt:
        err.print("stopped")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left: nothing more to say
        sys.exit(0)
    except Exception as error:
        fail(
            f"Mien failed unexpectedly ({type(error).__name__}: {error}); "
            "run again with --debug and report what it shows"
        )
        sys.exit(3)


if __name__ == "__main__":
    main()
