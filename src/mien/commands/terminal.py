"""What every command shares: options, the two consoles, one-line errors, a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from mien.types import checked_seed

out, err = Console(), Console(stderr=True)
LONG = 8  # pieces of work from which a progress bar is worth its lines

Detector = Annotated[
    str, typer.Option(help="auto, blazeface, blazeface-near, yunet, haar, or none for face crops.")
]
ModelName = Annotated[
    str, typer.Option(help="mien, mien-int8, the path of an ONNX file, or the folder of a run.")
]
HeadName = Annotated[
    str | None, typer.Option(help="ferplus (crowd votes, the default) or fer2013.")
]
Contempt = Annotated[bool, typer.Option("--contempt", help="Answer with contempt as the eighth.")]


Seed = Annotated[
    int, typer.Option(callback=checked_seed, help="Of everything that is drawn by chance.")
]


def say(text: str) -> None:
    """One line on stdout, as it stands: names of files may hold brackets."""
    out.print(escape(text), soft_wrap=True, highlight=False)


def note(text: str) -> None:
    """One line on stderr, as it stands."""
    err.print(escape(text), soft_wrap=True, highlight=False)


def fail(text: str) -> None:
    """One line on stderr that begins with "error:"."""
    err.print(f"[red]error:[/red] {escape(text)}", soft_wrap=True, highlight=False)


def show(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> None:
    """A table on stdout whose cells are never cut: on a narrow terminal its lines run over."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(escape(name), justify="left" if name in left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(escape, row))
    needed = Console(width=1000).measure(table).maximum
    Console(width=max(out.width, needed)).print(table)


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[], None]]:
    """A bar on a terminal's stderr for long work; yields what advances it by one."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = total >= LONG and err.is_terminal
    with Progress(*columns, console=err, disable=not shown, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
