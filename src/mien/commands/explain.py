"""``mien explain``: a thin skin over :meth:`mien.Recognizer.explain`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from mien.commands.terminal import (
    Contempt,
    Detector,
    Flip,
    HeadName,
    ModelName,
    PriorShares,
    Seed,
    out,
    say,
    tell_framing,
)
from mien.types import InputError

if TYPE_CHECKING:
    from mien.results.explanation import Explanation, Explanations


Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        "-m",
        help=(
            "regions (the default), dncshap, cam, gradcam, ...; several side by side; or all. "
            "A method's options may follow it: dncshap:levels=4,contexts=owen."
        ),
    ),
]
Target = Annotated[str | None, typer.Option(help="The expression to explain; default: the answer.")]
Against = Annotated[str | None, typer.Option(help="Explain the target's lead over this one.")]
OneFace = Annotated[int | None, typer.Option(help="Only this face, counted from 0, left to right.")]
Baseline = Annotated[
    str | None, typer.Option(help="What hides a part: mean (the default), black, blur or face.")
]
MethodOptions = Annotated[
    list[str] | None,
    typer.Option(help="What the one method takes, as key=value; may be given again."),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="PNG to write; default: PHOTO.mien.png.")
]


def explain(
    path: Annotated[str, typer.Argument(help="An image.")],
    method: Methods = None,
    target: Target = None,
    against: Against = None,
    face: OneFace = None,
    baseline: Baseline = None,
    option: MethodOptions = None,
    output: Output = None,
    detector: Detector = "auto",
    model: ModelName = "mien",
    head: HeadName = None,
    contempt: Contempt = False,
    prior: PriorShares = None,
    flip: Flip = False,
    seed: Seed = 0,
) -> None:
    """Say what each face expresses and which parts of it made the answer so.

    Writes PHOTO.mien.png and PHOTO.mien.json beside the photo, or where --output says. With
    several methods, or all that the model allows, the picture shows them side by side.
    """
    from mien.recognizer import load

    asked, photo = _methods(method or ["regions"], option or []), _photo(path)
    picture = _place(photo, output)
    recognizer = load(
        model, head=head, contempt=contempt, prior=prior, flip=flip, detector=detector
    )
    tell_framing(recognizer, detector)
    found = recognizer.explain(
        photo,
        face=face,
        method=asked,
        target=target,
        against=against,
        baseline=baseline,
        seed=seed,
    )
    _tell(found)
    for what, written in zip(("picture", "record"), found.save(picture), strict=True):
        say(f"{what}: {written}")


def _methods(methods: list[str], options: list[str]) -> list[str]:
    """The methods as they were named; options of the one method stand behind its name."""
    if not options:
        return methods
    if len(methods) > 1 or methods == ["all"]:
        raise InputError("several methods: write options behind one, as in -m dncshap:levels=4")
    name, _, own = methods[0].partition(":")
    return [f"{name}:{','.join([own, *options] if own else options)}"]


def _photo(path: str) -> Path:
    photo = Path(path)
    if photo.is_dir():
        raise InputError(f"{path}: expected the path of an image, got a folder; explain one image")
    if not photo.is_file():
        raise InputError(f"{path}: expected the path of an image, found no such file")
    return photo


def _place(photo: Path, output: Path | None) -> Path:
    """Where the picture goes, checked before the work: never over the photo itself."""
    from mien.files import check_writable
    from mien.results.explanation import record_path

    picture = output or photo.with_suffix(".mien.png")
    for place in (picture, record_path(picture)):
        if place.exists() and place.samefile(photo):
            raise InputError(f"{place}: is the photo itself; give another --output")
        check_writable(place)
    return picture


def _tell(found: Explanations) -> None:
    """Say each explanation: a line for each of several methods, all of it for one."""
    several = len({result.method for result in found}) > 1
    for result in found:
        way = f"  {result.method}" if several else ""
        face = f"[bold]face {result.prediction.face_id}{way}[/bold]"
        out.print(f"{face}  {escape(result.sentence)}", soft_wrap=True)
        if result.warning:
            out.print(f"[yellow]warning:[/yellow] {escape(result.warning)}", soft_wrap=True)
        if not several:
            out.print(_regions(result))
            out.print(escape(result.paragraph), soft_wrap=True, highlight=False)
    for text in dict.fromkeys(result.footnote for result in found):
        out.print(escape(text), style="dim")


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
