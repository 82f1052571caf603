"""``mien explain``: a thin skin over :meth:`mien.Recognizer.explain`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from mien.commands.terminal import (
    Bar,
    Contempt,
    Detector,
    Flip,
    HeadName,
    ModelName,
    PriorShares,
    Seed,
    fail,
    note,
    out,
    plain,
    progress,
    say,
    tell,
    tell_framing,
)
from mien.types import InputError
from mien.wording import counted

if TYPE_CHECKING:
    from mien.results.evidence import Query
    from mien.results.explanation import Explanation, Explanations


class PictureKind(StrEnum):
    """How ``mien explain`` writes its sheets."""

    png = "png"
    svg = "svg"
    pdf = "pdf"


Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        "-m",
        help=(
            "regions (the default); several side by side; or all that the model allows, of "
            "{methods}. A method's options may follow it: dncshap:levels=4,contexts=owen."
        ),
    ),
]
Target = Annotated[str | None, typer.Option(help="The expression to explain; default: the answer.")]
Against = Annotated[str | None, typer.Option(help="Explain the target's lead over this one.")]
OneFace = Annotated[int | None, typer.Option(help="Only this face, counted from 0, left to right.")]
Baseline = Annotated[
    str | None,
    typer.Option(help="What hides a part: mean (the default), or another of {baselines}."),
]
MethodOptions = Annotated[
    list[str] | None,
    typer.Option(help="Option of the method, as key=value; may be given again."),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        help="Picture to write (.png, .svg, .pdf), or a folder for all: sheets/. Default: "
        "PHOTO.mien.png beside each photo.",
    ),
]
TableFile = Annotated[
    Path | None,
    typer.Option(
        help="Table to write, a row per face, a column per region: .csv, .parquet, .json. "
        "Default: table.csv in the folder of several photos' sheets."
    ),
]
Kind = Annotated[
    PictureKind | None,
    typer.Option("--format", "-f", help="Of sheets in folders: png (the default), svg or pdf."),
]
Scale = Annotated[
    float, typer.Option(help="Of a PNG: times as many pixels, 96 to the inch at 1; 3 for print.")
]
Landmarks = Annotated[bool, typer.Option(help="Draw the 24 landmarks on each face.")]
Photos = Annotated[list[str], typer.Argument(help="Images, folders or quoted globs.")]


def explain(
    paths: Photos,
    method: Methods = None,
    target: Target = None,
    against: Against = None,
    face: OneFace = None,
    baseline: Baseline = None,
    option: MethodOptions = None,
    output: Output = None,
    table: TableFile = None,
    format: Kind = None,  # noqa: A002 - the option's name
    scale: Scale = 1.0,
    landmarks: Landmarks = False,
    detector: Detector = "auto",
    model: ModelName = "mien",
    head: HeadName = None,
    contempt: Contempt = False,
    prior: PriorShares = None,
    flip: Flip = False,
    seed: Seed = 0,
) -> None:
    """Say what each face expresses and which parts of it made the answer so.

    Writes PHOTO.mien.png and PHOTO.mien.json beside each photo, or where --output says. With
    several methods, the picture shows them side by side. Of many photos, one that shows no face
    or cannot be read is a line; all others are done, and the exit code is 1.
    """
    from mien.commands.sheet_places import sheet_places, table_place
    from mien.emotions import label
    from mien.loading import load
    from mien.vision.find import find_images

    asked, photos = _methods(method or ["regions"], option or []), find_images(paths)
    many = len(photos) > 1
    pictures = sheet_places(photos, output, format.value if format else None)
    table = table_place(table, output, many=many)
    if not 0 < scale <= 20:
        raise InputError(f"scale: expected above 0 and up to 20, got {scale:g}")
    how: dict[str, Any] = {"head": head, "contempt": contempt, "prior": prior, "flip": flip}
    recognizer = load(model, detector=detector, **how)
    tell_framing(recognizer, detector)
    if many:  # once, and not for each of them
        for name in (target, against):
            label(name or "happy", recognizer.model.labels)
    question: dict[str, Any] = {"target": target, "against": against, "baseline": baseline}
    question |= {"face": face, "method": asked, "seed": seed}

    def one(photo: Path) -> Explanations:
        if many:
            return recognizer.explain(photo, **question, on_error="collect")
        with progress(None, "explanations") as bar:
            return recognizer.explain(photo, **question, on_query=partial(_next, bar))

    rows, errors, stopped = _work(pictures, one, {"scale": scale, "landmarks": landmarks})
    _end(rows, errors, pictures, table)
    if stopped:
        fail(f"stopped after {len(rows)} rows; what was done is written")
        raise typer.Exit(130)
    if errors:
        raise typer.Exit(1)


def _end(
    rows: Sequence[dict[str, Any]], errors: int, pictures: Mapping[Path, Path], table: Path | None
) -> None:
    """Write the table, and sum up where there were many photos."""
    if table is not None:
        from mien.results.evidence_rows import save_evidence

        say(f"table: {save_evidence(rows, table)}")
    if len(pictures) > 1:
        _sum_up(rows, errors, pictures)


def _next(bar: Bar, query: Query, done: int, total: int) -> None:
    """Say what is explained now; of several, how many there are, before the first begins."""
    if total > 1 and not done:
        note(f"{total} explanations, one after the other; the first is by {query.method}")
    if total > 1:
        bar.show(done, total, query.method)


def _work(
    pictures: Mapping[Path, Path], one: Callable[[Path], Explanations], drawn: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], int, bool]:
    """Explain photo by photo; rows for the table, the number of errors, whether it was stopped."""
    from mien.results.evidence_rows import error_row, evidence_row
    from mien.results.sheets import told_apart

    rows: list[dict[str, Any]] = []
    errors = 0
    many = len(pictures) > 1
    files = told_apart(map(str, pictures))
    with progress(len(pictures), "photos") as advance:
        try:
            for photo, picture in pictures.items():
                found = replace(one(photo), files=files)
                _tell(found, f"{photo}  " if many else "", brief=many)
                written = found.save(picture, **drawn) if found.rows else ()
                for what, path in zip(("picture", "record"), written, strict=False):
                    if not many:
                        say(f"{what}: {path}")
                for row in found.errors:
                    fail(str(row.error))
                errors += len(found.errors)
                rows += [*map(evidence_row, found.rows), *map(error_row, found.errors)]
                advance()
        except KeyboardInterrupt:
            if not many:
                raise
            return rows, errors, True
    return rows, errors, False


def _sum_up(rows: Sequence[dict[str, Any]], errors: int, pictures: Mapping[Path, Path]) -> None:
    faces = {(row["input"], row["face_id"]) for row in rows if row["error"] is None}
    photos = len({name for name, _ in faces})
    folders = {picture.parent for picture in pictures.values()}
    where = f"in {folders.pop()}" if len(folders) == 1 else "beside the photos"
    failed = f", {errors} not explained" if errors else ""
    done = f"{counted(len(faces), 'face')} in {counted(photos, 'photo')}"
    note(f"{done}{failed}; sheets and records {where}")


def _methods(methods: list[str], options: list[str]) -> list[str]:
    """The methods as they were named; options of the one method stand behind its name."""
    if not options:
        return methods
    if len(methods) > 1 or methods == ["all"]:
        raise InputError("several methods: write options behind one, as in -m dncshap:levels=4")
    name, _, own = methods[0].partition(":")
    return [f"{name}:{','.join([own, *options] if own else options)}"]


def _tell(found: Explanations, before: str = "", *, brief: bool = False) -> None:
    """Say each explanation: a line for each of several methods or photos, all of it for one."""
    several = len({result.method for result in found}) > 1
    for result in found:
        way = f"  {result.method}" if several else ""
        face = f"{escape(plain(before))}[bold]face {result.prediction.face_id}{way}[/bold]"
        tell(f"{face}  {escape(result.sentence)}")
        if result.warning:
            tell(f"[yellow]warning:[/yellow] {escape(result.warning)}")
        if not several and not brief:
            out.print(_regions(result))
            tell(escape(result.paragraph))
    if not brief:
        for text in dict.fromkeys(result.footnote for result in found):
            tell(f"[dim]{escape(text)}[/dim]")


def _regions(result: Explanation) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("region")
    share = "share, + and -" if result.signed else "share"
    for name in (result.what, share, "of the crop"):
        table.add_column(name, justify="right")
    whole = max(sum(abs(v) for v in result.regions.values()), 1e-12)
    form = ("+.2f" if whole >= 0.5 else "+.2g") if result.signed else ".2g"
    for name, value in sorted(result.regions.items(), key=lambda item: -abs(item[1])):
        cells = (f"{value:{form}}", f"{abs(value) / whole:.0%}", f"{result.areas[name]:.0%}")
        table.add_row(name, *cells)
    return table
