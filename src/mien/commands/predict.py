"""``mien predict``: one row per face of any number of images."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from mien.commands.terminal import (
    Contempt,
    Detector,
    Flip,
    HeadName,
    Measures,
    ModelName,
    PriorOfMany,
    err,
    fail,
    note,
    out,
    plain,
    progress,
    tell_framing,
    told_prior,
    warn,
)
from mien.types import InputError, Prediction
from mien.wording import brief, counted

if TYPE_CHECKING:
    from mien.recognizer import Recognizer
    from mien.results.predictions import Predictions


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
Format = Annotated[
    TableFormat | None,
    typer.Option("--format", "-f", help="Default: a table on a terminal, else CSV."),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")]


def _listed(paths: list[str]) -> list[str]:
    """Arguments with ``-`` replaced by the lines of standard input."""
    lines: list[str] = []
    for path in paths:
        lines += [s for s in sys.stdin.read().splitlines() if s.strip()] if path == "-" else [path]
    if not lines:
        raise InputError("expected the path of an image, got an empty list")
    return lines


def _answered(recognizer: Recognizer, paths: Sequence[Path]) -> tuple[list[Prediction], bool]:
    """Rows of the images up to an interrupt, and whether there was one."""
    rows: list[Prediction] = []
    with progress(len(paths), "images") as advance:
        try:
            # a bar moves with each image, and an interrupt loses little
            batch = 1 if err.is_terminal else 8
            named = ((str(path), path) for path in paths)
            for part in recognizer.predict_many(named, batch=batch):
                rows += part
                advance()
        except KeyboardInterrupt:
            return rows, True  # what is done is still written
    return rows, False


def predict(
    paths: Paths,
    format: Format = None,  # noqa: A002 - the option's name
    output: Output = None,
    detector: Detector = "auto",
    model: ModelName = "mien",
    head: HeadName = None,
    contempt: Contempt = False,
    prior: PriorOfMany = None,
    flip: Flip = False,
    measures: Measures = False,
) -> None:
    """Find every face and say what it expresses: one row per face.

    An image without a face and an image that cannot be read have a row too; after the latter the
    exit code is 1, and all other images are done. With --prior estimate, the prior of all these
    faces is estimated from their answers, once they are all there.
    """
    from mien.loading import load
    from mien.priors import ESTIMATE
    from mien.results.predictions import Predictions
    from mien.vision.find import find_images

    kind = _kind(format, output)
    found = find_images(_listed(paths))
    stated = None if prior == ESTIMATE else prior
    how: dict[str, Any] = {"head": head, "contempt": contempt, "flip": flip, "measures": measures}
    recognizer = load(model, prior=stated, detector=detector, **how)
    tell_framing(recognizer, detector)
    rows, stopped = _answered(recognizer, found)
    results = Predictions(tuple(rows), recognizer.labels, recognizer.prior, recognizer.measured)
    if prior == ESTIMATE and results.faces:
        results = results.under(ESTIMATE)
        note(told_prior(results.prior or {}, len(results.faces)))
    if stopped and output is not None:
        # a file of the name that was asked for is whole, and an older one stays
        output = output.with_name(f"{output.stem}.partial{output.suffix}")
    if rows or not stopped:
        _write(results, kind, output)
    if output is not None and not stopped:
        done = f"{counted(len(results.faces), 'face')} in {counted(len(found), 'image')}"
        by = recognizer.detector.name
        note(f"{done}, {'each a crop' if by == 'none' else f'found by {by}'}: {output}")
    for row in results.errors:
        fail(str(row.error))
    for text in results.cautions:
        warn(text)
    if stopped:
        where = f"; what was done is in {output}" if rows and output is not None else ""
        fail(f"stopped after {counted(len({row.input for row in rows}), 'image')}{where}")
        raise typer.Exit(130)
    if results.errors:
        raise typer.Exit(1)


def _kind(asked: TableFormat | None, output: Path | None) -> str | None:
    """The format to write; what cannot be written fails before the work, not after it."""
    from mien.files import check_writable
    from mien.results.predictions import file_format, require_parquet

    kind = asked.value if asked else None
    if output is None:
        if kind == "parquet":
            raise InputError("parquet is not text: give an --output ending in .parquet")
        return kind
    kind = file_format(output) if kind in (None, "table") else kind
    if kind == "parquet":
        require_parquet()
    check_writable(output)
    return kind


def _write(results: Predictions, kind: str | None, output: Path | None) -> None:
    """The rows into a file, as a table, or as text for another program."""
    if output is not None:
        results.save(output, kind)
    elif kind in (None, "table") and (kind or out.is_terminal):
        out.print(_table(results))
    else:
        sys.stdout.write(results.text(kind or "csv"))


def _table(results: Predictions) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("input", "face", "box", "expression", "score", "next"):
        right, fold = name in ("face", "score"), name in ("input", "next")
        table.add_column(name, justify="right" if right else "left", no_wrap=not fold)
    for row in results:
        if row.error or row.face_id is None:
            answer = "error" if row.error else "no face found"
            table.add_row(escape(plain(row.input)), "", "", answer, "", "")
            continue
        ranked = sorted(row.emotions.items(), key=lambda item: -item[1])
        box = ",".join(f"{v:.0f}" for v in row.box or ())
        others = ", ".join(f"{name} {brief(p)}" for name, p in ranked[1:3] if p >= 0.01)
        name = escape(plain(row.input))
        score = "" if row.score is None else brief(row.score)
        table.add_row(name, str(row.face_id), box, row.dominant_emotion, score, others)
    return table
