"""``mien atlas``: where a model looks for each expression, over many faces."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mien.commands.terminal import (
    CropDetector,
    FaceCount,
    FacesFile,
    HeadName,
    ModelArgument,
    PriorShares,
    Seed,
    SplitName,
    progress,
    say,
)


def atlas(
    model: ModelArgument,
    data: FacesFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the pictures and the numbers.")
    ] = Path("atlas"),
    n: FaceCount = 210,
    split: SplitName = "test",
    methods: Annotated[
        list[str] | None,
        typer.Option("--method", "-m", help="regions (the default), or all, or some of {methods}."),
    ] = None,
    detector: CropDetector = "none",
    head: HeadName = None,
    prior: PriorShares = None,
    seed: Seed = 0,
) -> None:
    """Show where a model looks for each expression: mean maps and contact sheets of a data set.

    Each face is warped onto the mean face by its landmarks, and the maps of the faces that are
    answered rightly are averaged. The pictures show faces of the data set.
    """
    from mien.files import check_folder
    from mien.judging import atlas as work
    from mien.judging.atlas_pictures import first, write
    from mien.judging.own import sample
    from mien.judging.rows import rows_for

    check_folder(output)
    wanted = methods or ["regions"]
    drawn = sample(
        model,
        data,
        n=n,
        seed=seed,
        split=split,
        detector=detector,
        head=head,
        prior=prior,
        check=lambda model: rows_for(model, wanted),  # a wrong name fails before the work
    )
    say(f"{len(drawn.faces)} images, {drawn.known}")
    output.mkdir(parents=True, exist_ok=True)
    with progress(len(drawn.faces), "faces") as advance:
        found = work.atlas(
            drawn.recognizer,
            drawn.faces,
            methods=wanted,
            seed=seed,
            on_face=advance,
        )
    found = replace(found, model=drawn.identity, known=drawn.known)
    for name, (seen, right) in found.counts.items():
        mean = next(iter(found.means.values())).get(name)
        where = "" if mean is None else f"; {first(mean)}"
        say(f"{name}: {right} of {seen} answered correctly{where}")
    for path in write(found, output):
        say(str(path))
