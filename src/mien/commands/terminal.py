"""What every command shares: options, the two consoles, one-line messages, tables, progress."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from mien.types import checked_seed
from mien.wording import brief, counted, duration

if TYPE_CHECKING:
    from mien.recognizer import Recognizer

out, err = Console(), Console(stderr=True)
EVERY = 60.0  # seconds between lines about the progress where there is no terminal
FIRST = 15.0  # seconds until the first of them
LONG = 8  # pieces of work from which a progress bar is worth its lines

Detector = Annotated[
    str,
    typer.Option(
        help="auto (of a run: as its training images were cut), or {detectors}; none is for face "
        "crops."
    ),
]
ModelName = Annotated[
    str, typer.Option(help="{models}, the path of an ONNX file, or the folder of a run.")
]
HeadName = Annotated[
    str | None, typer.Option(help="The labels to answer with; of the built-in model {heads}.")
]
Contempt = Annotated[
    bool,
    typer.Option(
        "--contempt", help="Of the built-in model: answer with contempt as an eighth expression."
    ),
]
FEW_FACES = 50  # a prior that is estimated from fewer is mostly chance
_EXPECTED = "How often each expression is expected: even, ferplus or fer2013 (as in that training "
_OWN = "Default: the head's own; even for the head both."
PriorShares = Annotated[
    str | None,
    typer.Option("--prior", help=f"{_EXPECTED}data), or shares as happy=.4,sad=.1,... {_OWN}"),
]
#: Of the commands that answer many faces.
PriorOfMany = Annotated[
    str | None,
    typer.Option(
        "--prior",
        help=f"{_EXPECTED}data), shares as happy=.4,sad=.1,..., or estimate: from the answers for "
        f"many faces. {_OWN}",
    ),
]
Flip = Annotated[
    bool, typer.Option("--flip", help="Look at each face and its mirror image; twice the time.")
]
Measures = Annotated[
    bool,
    typer.Option(
        "--measures",
        help="Also the face's geometry, in degrees and eye distances; no action units: {measures}.",
    ),
]
Seed = Annotated[int, typer.Option(callback=checked_seed, help="Random seed.")]


def told_prior(prior: Mapping[str, float], faces: int | None = None) -> str:
    """A prior that was estimated, in a line; of few ``faces`` it says so.

    >>> told_prior({"happy": 0.75, "sad": 0.25}, 8)
    'estimated prior of 8 faces, too few to rely on: happy 0.75, sad 0.25'
    """
    few = f" of {counted(faces, 'face')}, too few to rely on" if faces and faces < FEW_FACES else ""
    return f"estimated prior{few}: " + ", ".join(f"{n} {brief(v)}" for n, v in prior.items())


def plain(text: str) -> str:
    r"""A text without control characters: names of files and cards must not steer a terminal.

    >>> plain("a\x1b[31m.jpg") == "a\ufffd[31m.jpg"
    True
    """
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


#: What commands share that explain the faces of a data set.
ModelArgument = Annotated[
    str, typer.Argument(help="A built-in name, an ONNX file or a run's folder.")
]
FacesFile = Annotated[Path, typer.Argument(help="A Parquet file that mien data wrote.")]
FaceCount = Annotated[int, typer.Option("-n", help="Number of faces, balanced over expressions.")]
SplitName = Annotated[str, typer.Option(help="Which split they come from.")]
CropDetector = Annotated[str, typer.Option(help="none where the images are crops.")]


def say(text: str) -> None:
    """One line on stdout, as it stands: names of files may hold brackets."""
    out.print(escape(plain(text)), soft_wrap=True, highlight=False)


def tell(markup: str) -> None:
    """A text with markup on stdout: a terminal breaks it between words, a file gets one line."""
    out.print(markup, soft_wrap=not out.is_terminal, highlight=False)


def note(text: str) -> None:
    """One line on stderr, as it stands."""
    err.print(escape(plain(text)), soft_wrap=True, highlight=False)


def warn(text: str) -> None:
    """One line on stderr that begins with "warning:"."""
    err.print(f"[yellow]warning:[/yellow] {escape(plain(text))}", soft_wrap=True, highlight=False)


def fail(text: str) -> None:
    """One line on stderr that begins with "error:"."""
    err.print(f"[red]error:[/red] {escape(plain(text))}", soft_wrap=True, highlight=False)


def show(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> None:
    """A table on stdout whose cells are never cut: on a narrow terminal its lines run over."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in header:
        table.add_column(escape(name), justify="left" if name in left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(escape(plain(cell)) for cell in row))
    needed = Console(width=1000).measure(table).maximum
    Console(width=max(out.width, needed)).print(table)


class Bar:
    """A progress bar: called, it advances by one; :meth:`show` says how far the work is.

    Where there is no terminal, a line soon after the start and then every minute says so, and
    how long the rest takes.
    """

    def __init__(self, progress: Progress, task: TaskID, lines: bool = True) -> None:
        self._progress = progress
        self._task = task
        self._lines = lines and not err.is_terminal
        self._earlier: int | None = None  # pieces that were done before this bar began
        self._started = time.monotonic()
        self._next = self._started + FIRST

    def __call__(self, total: int | None = None) -> None:
        """One piece more is done, of ``total`` where that is known by now."""
        self._progress.update(self._task, advance=1, total=total)
        self._line()

    def show(self, done: int, total: int | None = None, behind: str = "") -> None:
        """So many pieces are done; ``behind`` stands behind the bar."""
        if self._earlier is None:
            self._earlier = max(done - 1, 0)
        self._progress.update(self._task, completed=done, total=total, behind=behind)
        self._line()

    def _line(self) -> None:
        now = time.monotonic()
        if not self._lines or now < self._next:
            return
        self._next = now + EVERY
        task = self._progress.tasks[self._task]
        if task.total is not None and task.completed >= task.total:
            return
        of = "" if task.total is None else f" of {task.total:,.0f}"
        ahead = ""
        done = task.completed - (self._earlier or 0)
        if task.total and done > 0:
            left = (now - self._started) / done * (task.total - task.completed)
            ahead = f", about {duration(left)} left"
        behind = f" ({task.fields['behind']})" if task.fields["behind"] else ""
        note(f"{task.description}: {task.completed:,.0f}{of}{ahead}{behind}")


def tell_framing(recognizer: Recognizer, asked: str) -> None:
    """Say on stderr that a network of whole pictures is shown whole pictures."""
    framing = recognizer.model.card.framing
    if asked == "auto" and framing is not None and framing.crop == "none":
        note(
            f"{recognizer.model.card.name} was trained on {framing.words}: each picture is shown "
            "to it whole; --detector yunet finds the faces in photos"
        )


@contextmanager
def progress(total: int | None, what: str) -> Iterator[Bar]:
    """A bar on a terminal's stderr for long work, and for work whose length is not known yet."""
    columns = (
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[behind]}"),
    )
    long = total is None or total >= LONG
    shown = err.is_terminal and long
    with Progress(*columns, console=err, disable=not shown, transient=True) as bar:
        yield Bar(bar, bar.add_task(what, total=total, behind=""), lines=long)
