"""``mien compare-groups``: how groups of faces differ, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mien.commands.terminal import (
    Measures,
    Seed,
    note,
    plain,
    progress,
    say,
    show,
    tell,
    warn,
)
from mien.types import InputError, Prediction
from mien.wording import counted

if TYPE_CHECKING:
    from mien.results.predictions import Predictions

Tables = Annotated[
    list[Path],
    typer.Argument(
        help="Rows of predict, explain, video or batch (.csv, .jsonl, .json, .parquet); folders of "
        "a batch, or of photos, which are then predicted. Several, without --by: a group each."
    ),
]
By = Annotated[
    str | None,
    typer.Option(help="The column that holds the groups; folder: that in which the input lies."),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        help="Column, or several with commas, of the independent units, such as a person, "
        "where it has several rows."
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(help="What to compare, with commas; default: all expressions, regions, measures."),
]
Where = Annotated[
    list[str] | None,
    typer.Option(help="Only rows with this value, as method=regions; may be given again."),
]
Draws = Annotated[int, typer.Option(help="Bootstrap draws and permutations.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write tests (.csv), all (.json), report (.md)."),
]
FigureFile = Annotated[
    Path | None, typer.Option("--figure", help="Draw the means: .png, .svg or .pdf.")
]


def compare_groups(
    tables: Tables,
    by: By = None,
    cluster: Cluster = None,
    columns: Columns = None,
    where: Where = None,
    draws: Draws = 9999,
    output: Output = None,
    figure: FigureFile = None,
    measures: Measures = False,
    seed: Seed = 0,
) -> None:
    """Compare groups of faces: means with intervals, permutation tests, effect sizes, a figure.

    Each expression, region and measure is tested in every pair of groups, and the p-values are
    corrected for the number of tests (Holm). Rows with an error or without a face are left out,
    and counted.
    """
    from mien.extras import need
    from mien.options import pairs
    from mien.results.comparison import FIGURES, FILES, cells, check_name
    from mien.results.comparison import compare_groups as work

    if output is not None:
        check_name(output, FILES)
    if figure is not None:
        check_name(figure, FIGURES)
        need("matplotlib.figure", "plot", "a figure")
    found = work(
        _sources(tables, by, measures=measures),
        by=by,
        cluster=_names(cluster),
        columns=_names(columns),
        where=pairs(where or []),
        draws=draws,
        seed=seed,
    )
    for line in found.findings:
        tell(escape(plain(line)))
    header, rows = cells(found)
    show(header, rows, left=("",))
    tell(escape(plain(found.counts)))
    tell(escape(plain(found.method)))
    for text in found.warnings:
        warn(text)
    if output is not None:
        say(f"comparison: {found.save(output)}")
    if figure is not None:
        from mien.files import whole_file

        with whole_file(figure) as part:
            found.plot().savefig(part, format=figure.suffix[1:], dpi=300)
        say(f"figure: {figure}")


def _names(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _sources(paths: Sequence[Path], by: str | None, *, measures: bool) -> dict[str, object]:
    """A table for each path, by its name; photos in a folder are predicted."""
    from mien.results.predictions import file_format

    names = [path.name if path.is_dir() else path.stem for path in paths]
    if len(set(names)) < len(names):
        names = list(map(str, paths))
    if len(set(names)) < len(names):
        raise InputError("expected each table once, got one twice; leave it out")
    if len(paths) == 1 and by is None:
        raise InputError(
            "expected --by, the column that holds the groups, or a table for each group; see "
            "mien compare-groups --help"
        )
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        if not path.is_dir():
            file_format(path)  # what is no table is refused before photos are predicted
    return {
        name: _predicted(path, measures=measures) if _holds_photos(path) else path
        for name, path in zip(names, paths, strict=True)
    }


def _holds_photos(path: Path) -> bool:
    return path.is_dir() and not any(path.rglob("*.parquet"))


def _predicted(folder: Path, *, measures: bool) -> Predictions:
    """Rows of all photos in a folder."""
    from mien.loading import load
    from mien.results.predictions import Predictions
    from mien.vision.find import find_images

    photos = find_images([str(folder)])
    recognizer = load(measures=measures)
    rows: list[Prediction] = []
    with progress(len(photos), f"photos of {folder.name}") as advance:
        for part in recognizer.predict_many(((str(p), p) for p in photos), batch=8):
            rows += part
            advance()
    note(f"{folder}: {counted(len(photos), 'photo')}, faces found by {recognizer.detector.name}")
    return Predictions(tuple(rows), recognizer.labels, recognizer.prior, recognizer.measured)
