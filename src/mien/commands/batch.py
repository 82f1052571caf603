"""``mien batch``: a thin skin over a job."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from mien.commands.terminal import Contempt, Detector, HeadName, err, fail, out, say
from mien.types import InputError


def batch(
    source: Annotated[
        list[str],
        typer.Argument(
            help="Folders, quoted globs, lists of paths (.txt), Parquet of images or paths, "
            "videos; paths or URLs such as s3://bucket/photos."
        ),
    ],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder or URL for the rows.")],
    address: Annotated[
        str | None, typer.Option(help="Of a Ray cluster, or auto; default: this machine.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes of one core each; default: all cores.")
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="auto (mien-int8 where the processor is fast at it), or a model."),
    ] = "auto",
    head: HeadName = None,
    contempt: Contempt = False,
    detector: Detector = "auto",
    column: Annotated[
        str | None, typer.Option(help="Parquet column of images or paths, if it has another name.")
    ] = None,
    fps: Annotated[float, typer.Option(help="Frames per second to look at in videos.")] = 1.0,
    unit: Annotated[int, typer.Option(help="Images of one work unit and Parquet file.")] = 256,
    full: Annotated[
        bool, typer.Option("--full", help="Decode large JPEGs at their full size.")
    ] = False,
) -> None:
    """Score any number of images on one machine or a Ray cluster, into Parquet.

    Run it again after any end, and it goes on: nothing is done twice, nothing is lost.
    """
    from mien.batch.job import score
    from mien.batch.settings import JobSettings, fastest_model
    from mien.vision import faces

    if workers is not None and workers < 1:
        raise InputError(f"workers: expected at least 1, got {workers}")
    settings = JobSettings(
        source=tuple(source),
        model=fastest_model() if model == "auto" else model,
        head=head,
        contempt=contempt,
        detector=faces.create(detector).name,  # the same one on every machine, and in every run
        column=column,
        fps=fps,
        unit=unit,
        full=full,
    )
    columns = (
        TextColumn("units"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rate]}"),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal, transient=True) as bar:
        task = bar.add_task("units", total=None, rate="")

        def show(summary: Any) -> None:
            bar.update(
                task,
                total=summary.units,
                completed=summary.done,
                rate=f"{summary.rate:.0f} images/s",
            )

        summary = score(settings, output, address=address, workers=workers, progress=show)
    out.print(_table(summary))
    say(f"rows: {summary.output}")
    if summary.stopped:
        fail(f"stopped after {summary.done} of {summary.units} units; run it again to go on")
        raise typer.Exit(130)
    if summary.errors:
        raise typer.Exit(1)


def _table(summary: Any) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    looked = summary.images + sum(summary.errors.values())
    table.add_row("images", f"{looked:,}", "")
    table.add_row("faces", f"{summary.faces:,}", "")
    table.add_row("without a face", f"{summary.empty:,}", "")
    for kind, count in summary.errors.items():
        table.add_row("errors", f"{count:,}", escape(kind))
    if summary.earlier:
        table.add_row("done before", f"{summary.earlier:,}", f"of {summary.units:,} units")
    if summary.workers:
        table.add_row(
            "images per second",
            f"{summary.rate:,.1f}",
            f"{summary.seconds:.1f} s, {summary.workers} workers",
        )
    return table
