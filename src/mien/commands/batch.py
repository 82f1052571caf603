"""``mien batch``: any number of images, on one machine or a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mien.commands.terminal import (
    Contempt,
    Detector,
    Flip,
    HeadName,
    Measures,
    PriorOfMany,
    fail,
    out,
    plain,
    progress,
    say,
    told_prior,
)
from mien.types import InputError
from mien.wording import counted

if TYPE_CHECKING:
    from mien.batch.job import Summary

Sources = Annotated[
    list[str],
    typer.Argument(
        help="Folders, quoted globs, lists of paths (.txt), Parquet of images or paths, "
        "videos; paths or URLs such as s3://bucket/photos."
    ),
]
Output = Annotated[str, typer.Option("--output", "-o", help="Folder or URL for the rows.")]
Address = Annotated[
    str | None, typer.Option(help="Address of a Ray cluster, or auto; default: this machine.")
]
Workers = Annotated[
    int | None, typer.Option(help="Processes of one core each; default: all cores.")
]
FastModel = Annotated[
    str, typer.Option(help="auto (mien-int8 where the processor is fast at it), or a model.")
]
Column = Annotated[
    str | None, typer.Option(help="Parquet column of images or paths, if it has another name.")
]
PerSecond = Annotated[float, typer.Option(help="Frames per second to look at in videos.")]
Unit = Annotated[int, typer.Option(help="Images of one work unit and Parquet file.")]
Full = Annotated[bool, typer.Option("--full", help="Decode large JPEGs at their full size.")]


def batch(
    source: Sources,
    output: Output,
    address: Address = None,
    workers: Workers = None,
    model: FastModel = "auto",
    head: HeadName = None,
    contempt: Contempt = False,
    prior: PriorOfMany = None,
    flip: Flip = False,
    detector: Detector = "auto",
    column: Column = None,
    fps: PerSecond = 1.0,
    unit: Unit = 256,
    full: Full = False,
    measures: Measures = False,
) -> None:
    """Score any number of images on one machine or a Ray cluster, into Parquet.

    A job that was stopped goes on when the same command is run again: nothing is done twice, and
    nothing is lost.
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
        prior=prior,
        flip=flip,
        detector=faces.create(detector).name,  # the same one on every machine, and in every run
        column=column,
        fps=fps,
        unit=unit,
        full=full,
        measures=measures,
    )
    with progress(None, "units") as bar:

        def show(summary: Summary) -> None:
            bar.show(summary.done, summary.units, f"{summary.rate:.0f} images/s")

        summary = score(settings, output, address=address, workers=workers, progress=show)
    out.print(_table(summary))
    if summary.prior is not None:
        say(told_prior(summary.prior, summary.faces))
    say(f"rows: {summary.output}")
    if summary.stopped:
        fail(f"stopped after {summary.done} of {summary.units} units; run it again to go on")
        raise typer.Exit(130)
    if summary.errors:
        raise typer.Exit(1)


def _table(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    inputs = summary.images + sum(summary.errors.values())
    table.add_row("images", f"{inputs:,}", "")
    table.add_row("faces", f"{summary.faces:,}", "")
    table.add_row("without a face", f"{summary.empty:,}", "")
    for kind, count in summary.errors.items():
        table.add_row("errors", f"{count:,}", escape(plain(kind)))
    if summary.earlier:
        table.add_row("done before", f"{summary.earlier:,}", f"of {summary.units:,} units")
    if summary.workers:
        table.add_row(
            "images per second",
            f"{summary.rate:,.1f}",
            f"{summary.seconds:.1f} s, {counted(summary.workers, 'worker')}",
        )
    return table
