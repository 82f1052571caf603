"""``mien explain``: a thin skin over :meth:`mien.Recognizer.explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from mien.commands.terminal import Contempt, Detector, HeadName, ModelName, Seed, out, say
from mien.types import InputError


def explain(
    path: Annotated[str, typer.Argument(help="An image.")],
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            help="regions (the default), dncshap, cam, gradcam, ...; several side by side; or all.",
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The expression to explain; default: the answer.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Explain the target's lead over this one.")
    ] = None,
    face: Annotated[
        int | None, typer.Option(help="Only this face, counted from 0, left to right.")
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(help="What hides a part: mean (the default), black, blur or face."),
    ] = None,
    contexts: Annotated[
        str | None, typer.Option(help="dncshap: both, absent, present, owen or printed.")
    ] = None,
    levels: Annotated[int | None, typer.Option(help="dncshap: 2^levels parts (6).")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(help="What the method takes, as key=value; may be given again."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="PNG to write; default: PHOTO.mien.png.")
    ] = None,
    detector: Detector = "auto",
    model: ModelName = "mien",
    head: HeadName = None,
    contempt: Contempt = False,
    seed: Seed = 0,
) -> None:
    """Say what each face expresses and which parts of it made the answer so.

    Writes PHOTO.mien.png and PHOTO.mien.json beside the photo, or where --output says. With
    several methods, or all that the model allows, the picture shows them side by side.
    """
    from mien.explainers.method import read_options
    from mien.files import check_writable
    from mien.recognizer import load
    from mien.results.explanation import record_path
    from mien.results.words import footnote

    asked = method or ["regions"]
    alone = asked[0] if len(asked) == 1 else None
    given = {"contexts": contexts, "levels": levels}
    options = {key: value for key, value in given.items() if value is not None}
    if alone not in (None, "all"):
        options |= read_options(str(alone).partition(":")[0], option or [])
    elif options or option:
        raise InputError("several methods: write options behind one, as in -m dncshap:levels=4")
    elif alone is None and "all" in asked:
        raise InputError("expected 'all' alone, or methods by their names")
    if Path(path).is_dir():
        raise InputError(f"{path}: expected the path of an image, got a folder; explain one image")
    if not Path(path).is_file():
        raise InputError(f"{path}: expected the path of an image, found no such file")
    picture = output or Path(path).with_suffix(".mien.png")
    for place in (picture, record_path(picture)):
        if place.exists() and place.samefile(path):
            raise InputError(f"{place}: is the photo itself; give another --output")
        check_writable(place)
    recognizer = load(model, head=head, contempt=contempt, detector=detector)
    found = recognizer.explain(
        Path(path),
        face=face,
        method=alone or asked,
        target=target,
        against=against,
        baseline=baseline,
        options=options,
        seed=seed,
    )
    several = len({result.method for result in found}) > 1
    for result in found:
        p = result.prediction
        way = f"  {result.method}" if several else ""
        out.print(f"[bold]face {p.face_id}{way}[/bold]  {result.sentence}", soft_wrap=True)
        if result.warning:
            out.print(f"[yellow]warning:[/yellow] {escape(result.warning)}", soft_wrap=True)
        if not several:
            out.print(_regions(result))
            out.print(escape(result.paragraph), soft_wrap=True, highlight=False)
    for text in dict.fromkeys(footnote(result) for result in found):
        out.print(text, style="dim")
    for label, written in zip(("picture", "record"), found.save(picture), strict=True):
        say(f"{label}: {written}")


def _regions(result: Any) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("region")
    share = "share, + and -" if result.signed else "share"
    for name in (result.what, share, "of the crop"):
        table.add_column(name, justify="right")
    whole = max(sum(abs(v) for v in result.regions.values()), 1e-12)
    for name, value in sorted(result.regions.items(), key=lambda item: -abs(item[1])):
        table.add_row(
            name,
            f"{value:{'+.2f' if whole >= 0.5 else '+.2g'}}" if result.signed else f"{value:.2g}",
            f"{abs(value) / whole:.0%}",
            f"{result.areas[name]:.0%}",
        )
    return table
