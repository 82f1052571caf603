"""``mien data``: data sets read, checked, split and drawn."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from mien.commands.data_tables import check_table, count_table
from mien.commands.terminal import Seed, note, out, progress, say
from mien.emotions import named_labels
from mien.files import check_writable, whole_file, write_whole
from mien.options import pairs
from mien.types import InputError

if TYPE_CHECKING:
    from mien.data.check import Check

app = typer.Typer(
    help="Read data sets, find their leaks, and split them honestly.", no_args_is_help=True
)

Output = Annotated[Path, typer.Option("--output", "-o", help="Parquet file to write.")]
File = Annotated[Path, typer.Argument(help="A file that mien data prepare made.")]
Options = Annotated[
    list[str] | None,
    typer.Option("--option", "-O", help="key=value; mien data show NAME lists them."),
]
Labels = Annotated[str, typer.Option(help="Keep only these: six, seven, eight, or happy,sad,...")]


def _write_json(path: Path, value: Any) -> None:
    write_whole(path, json.dumps(value, indent=1) + "\n")


@app.command("list")
def list_sets() -> None:
    """The data sets that Mien reads."""
    from mien.data.base import DATASETS

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("name", "what", "size"):
        table.add_column(column)
    for name in sorted(DATASETS.names()):
        card = DATASETS.get(name).card
        table.add_row(name, card.title, card.size)
    out.print(table)


@app.command()
def show(name: Annotated[str, typer.Argument(help="A data set, or a file made from one.")]) -> None:
    """A data set's card: size, labels, licence, where to ask for it, flaws; a file's metadata."""
    from mien.data.base import DATASETS
    from mien.data.table import ImageTable

    if name.endswith(".parquet"):
        source = ImageTable(Path(name))
        about = {"file": name, "rows": source.rows, **source.about, "columns": source.names}
        sys.stdout.write(json.dumps(about, indent=1) + "\n")
        return
    entry = DATASETS.get(name)
    card = entry.card
    say(f"{card.name}: {card.title}")
    say(card.summary)
    lines = {
        "size": card.size,
        "labels": ", ".join(card.labels) or "none",
        "licence": card.licence,
        "source": card.source,
        "layout": card.layout,
        "cite": card.citation,
        "used by": "; ".join(card.used_by) or "-",
        "owners' splits": ", ".join(card.splits) or "none",
        "paper split": _scheme(card.paper),
        "honest split": _scheme(card.honest),
        "options": ", ".join(f"{k}={o.default}" for k, o in entry.options.items()) or "none",
    }
    for key, value in lines.items():
        say(f"  {key}: {value}")
    for flaw in card.flaws:
        say(f"  flaw: {flaw}")
    if card.counts:
        out.print(count_table(card.counts))


def _scheme(meant: Mapping[str, str]) -> str:
    options = " ".join(f"{k}={v}" for k, v in meant.items() if k != "scheme")
    return f"{meant['scheme']} {options}".strip() if meant else "by what the set holds"


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="A data set: mien data list.")],
    source: Annotated[Path, typer.Argument(help="Its folder, file, ZIP or TAR.")],
    output: Output,
    option: Options = None,
    labels: Labels = "",
    report: Annotated[Path | None, typer.Option(help="JSON of all that was found.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 where counts differ, too.")
    ] = False,
) -> None:
    """Turn a data set's own files into one Parquet file, and compare with the published counts.

    Images that cannot be read are listed and left out; the exit code is then 1.
    """
    from mien.data import prepare as preparing

    with progress(None, name) as advance:
        done = preparing.prepare(
            name,
            source,
            output,
            options=pairs(option or ()),
            labels=named_labels(labels),
            advance=advance,
        )
    if report is not None:
        _write_json(report, done.to_dict())
    out.print(count_table(done.counts))
    if not done.published:
        say("published counts: none to compare with")
    elif done.differences:
        say(f"published counts: {len(done.differences)} differ")
        for difference in done.differences:
            say(f"  {difference}")
    else:
        say("published counts: all met")
    for reason, n in sorted(done.skipped.items()):
        say(f"left out by rule: {n} ({reason})")
    for text in done.notes:
        say(f"note: {text}")
    say(f"fingerprint: {done.fingerprint}")
    say(f"{done.images} images: {done.path}")
    for path, problem in done.errors[:20]:
        note(f"error: {path}: {problem}")
    if done.failed > 20:
        note(f"... and {done.failed - 20} more; --report lists them")
    if done.failed or (strict and done.differences):
        raise typer.Exit(1)


@app.command()
def crop(
    file: File,
    output: Output,
    how: Annotated[
        str,
        typer.Option(
            help="aligned (eyes and mouth as in the built-in model's crops), box, or none: whole "
            "pictures, which --fit pad makes square."
        ),
    ] = "aligned",
    fit: Annotated[str, typer.Option(help="squash or pad: how a whole picture is made square.")] = (
        "squash"
    ),
    size: Annotated[int, typer.Option(help="Pixels a side of the crops.")] = 192,
    detector: Annotated[str, typer.Option(help="What finds the faces.")] = "auto",
    margin: Annotated[
        float | None,
        typer.Option(help="Of box: part of its side to add on each; default: the detector's."),
    ] = None,
) -> None:
    """Cut the faces out of a set's pictures. A network trained on them cuts photos the same way.

    The policy is written into the file, and goes from there into the run and the model's card.
    Pictures in which no face is found are listed and left out; the exit code is then 1.
    """
    from mien.data import crop as cropping
    from mien.runs.cutting import cutter, framing

    policy = framing(how, fit=fit, size=size, detector=detector, margin=margin)
    if not policy.size:
        raise InputError("whole pictures that are squashed are not cut: train on the file as it is")
    with progress(None, "pictures") as advance:
        done = cropping.crop(file, output, policy, cutter(policy), advance=advance)
    say(f"{done.images} images: {done.path}; {policy.words}")
    say(f"fingerprint: {done.fingerprint}")
    for name in done.missing[:20]:
        note(f"no face found, left out: {name}")
    if len(done.missing) > 20:
        note(f"... and {len(done.missing) - 20} more")
    if done.missing:
        raise typer.Exit(1)


@app.command()
def check(
    file: File,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of the table.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON to write.")] = None,
    near: Annotated[bool, typer.Option(help="Look for near duplicates.")] = True,
    altered: Annotated[
        bool, typer.Option("--altered", help="Also for mirrored, turned and cropped ones.")
    ] = False,
    correlation: Annotated[
        float, typer.Option(help="Correlation of thumbnails from which two are near duplicates.")
    ] = 0.98,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 where splits leak.")
    ] = False,
) -> None:
    """Find copies across splits, conflicting labels, blank images, subjects on both sides."""
    from mien.data import check as checking
    from mien.data.table import ImageTable

    total = ImageTable(file).rows
    with progress(None, "images") as advance:
        found = checking.check(
            file,
            near=near,
            altered=altered,
            correlation=correlation,
            advance=lambda rows: advance.show(rows, total),
        )
    if output is not None:
        _write_json(output, found.to_dict())
    if as_json:
        sys.stdout.write(json.dumps(found.to_dict(), indent=1) + "\n")
    else:
        out.print(count_table(found.counts))
        out.print(check_table(found))
        for row, problem in found.unreadable[:5]:
            say(f"row {row}: {problem}")
        say(f"verdict: {_verdict(found)}")
    if strict and found.leaks:
        raise typer.Exit(1)


def _verdict(found: Check) -> str:
    if found.leaks:
        return "the splits leak"
    if len({split for split, _ in found.counts}) < 2:
        copies = f", which has {found.groups} groups of copies" if found.groups else ""
        return f"no splits to leak between in this file{copies}; mien data split makes some"
    return "no leak between splits found"


@app.command()
def sample(
    file: File,
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG to write.")],
    each: Annotated[int, typer.Option(help="Images of each label.")] = 12,
    split: Annotated[str | None, typer.Option(help="Only from this split.")] = None,
    size: Annotated[int, typer.Option(help="Pixels a side.")] = 96,
    seed: Seed = 0,
) -> None:
    """A contact sheet: some images of every label. Check the licence before you pass it on."""
    from PIL import Image

    from mien.data.sheet import contact_sheet

    if output.suffix.lower() != ".png":
        raise InputError(f"{output}: expected a name ending in .png; rename the output")
    check_writable(output)
    picture = contact_sheet(file, each=each, split=split, size=size, seed=seed)
    with whole_file(output) as part:
        Image.fromarray(picture).save(part, "PNG")
    say(f"picture: {output}")


@app.command()
def split(
    file: File,
    output: Output,
    scheme: Annotated[
        str,
        typer.Option(
            "--scheme",
            "-s",
            help="honest, paper, official, train-test, deduplicated, ratio, counts, folds, "
            "grouped or one-out.",
        ),
    ] = "honest",
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option", "-O", help="ratios=70,15,15 counts=780,201 folds=10 near=no altered=yes"
        ),
    ] = None,
    seed: Seed = 0,
) -> None:
    """Write the file again with a split; two runs with one fingerprint used the same split."""
    from collections import Counter

    from mien.data import split as splitting

    made = splitting.make(file, scheme, seed=seed, options=pairs(option or ()))
    splitting.write(file, made, output)
    given = " ".join(f"{k}={v}" for k, v in made.options.items())
    say(f"scheme: {made.scheme} {given} seed={made.seed}")
    sides = Counter(made.values)
    if made.column == "fold":
        sizes = sorted(sides.values())
        say(f"folds: {len(sides)} of {sizes[0]} to {sizes[-1]} images, in the column fold")
    else:
        say(", ".join(f"{side or 'none'} {n}" for side, n in sides.most_common()))
    if made.excluded:
        say(f"excluded: {made.excluded} images that are copies of images on another side")
    say(f"fingerprint: {made.fingerprint}")
    say(f"written: {output}")


@app.command()
def merge(
    files: Annotated[list[Path], typer.Argument(help="Files that mien data prepare made.")],
    output: Output,
    pool: Annotated[str | None, typer.Option(help="gimefive, or a TOML file of your own.")] = None,
    labels: Labels = "",
) -> None:
    """Write several files as one; --pool follows the recipe of a paper's pooled set."""
    from mien.data import merge as merging

    if pool and labels:
        raise InputError("expected --pool or --labels, got both: a pool names its own labels")
    recipe = merging.load_pool(pool) if pool else None
    with progress(None, "images") as advance:
        done = merging.merge(
            files, output, pool=recipe, labels=named_labels(labels), advance=lambda _: advance()
        )
    out.print(count_table(done.counts))
    for name, sides in done.by_source.items():
        say(f"{name}: " + ", ".join(f"{side} {n}" for side, n in sides.items()))
    for name, difference in done.differences:
        say(f"  differs from the paper: {name} {difference}")
    say(f"fingerprint: {done.fingerprint}")
    say(f"{done.images} images: {done.path}")


@app.command()
def synth(
    output: Output,
    images: Annotated[int, typer.Option(help="How many; all seven expressions in turn.")] = 700,
    people: Annotated[int, typer.Option(help="How many different persons.")] = 40,
    size: Annotated[int, typer.Option(help="Pixels a side.")] = 64,
    seed: Seed = 0,
) -> None:
    """Draw faces whose evidence is known: images with masks, to try Mien without a data set."""
    from mien.data import synthetic

    with progress(None, "faces") as advance:
        counts, fingerprint = synthetic.write(
            output, images, people=people, seed=seed, size=size, advance=advance
        )
    out.print(count_table(counts))
    say(f"fingerprint: {fingerprint}")
    say(f"{images} images: {output}")
