"""``mien judge``: explanations of many faces, measured."""

from __future__ import annotations

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
    note,
    progress,
    say,
    show,
)
from mien.wording import counted


def judge(
    model: ModelArgument,
    data: FacesFile,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for JSON, Markdown, HTML and figure.")
    ] = Path("judge"),
    n: FaceCount = 200,
    split: SplitName = "test",
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            help="Only these of {methods}; options behind, as in dncshap:levels=4.",
        ),
    ] = None,
    shaken: Annotated[
        int, typer.Option(help="Faces on which sensitivity and randomisation are measured.")
    ] = 40,
    action_units: Annotated[
        Path | None, typer.Option(help='A table of your own: happy = ["mouth", "cheeks"], ...')
    ] = None,
    detector: CropDetector = "none",
    head: HeadName = None,
    prior: PriorShares = None,
    seed: Seed = 0,
) -> None:
    """Explain the same faces by every method, and measure which explanation to trust.

    Cost, faithfulness (insertion, deletion, infidelity), steadiness, the randomisation check,
    overlap with SHAP, agreement with exact Shapley values, and whether the evidence lies where
    facial action coding would look; on drawn faces also whether it lies where it was drawn.
    """
    from mien.files import check_folder
    from mien.judging import judge as work
    from mien.judging import report
    from mien.judging.action_units import read_expected
    from mien.judging.rows import rows_for
    from mien.judging.sampling import sample_faces
    from mien.recognizer import load

    check_folder(output)
    expected = None if action_units is None else read_expected(action_units)
    recognizer = load(model, detector=detector, head=head, prior=prior)
    rows = rows_for(recognizer.model, methods)  # a wrong name fails before the work
    faces = sample_faces(data, recognizer, n=n, seed=seed, split=split)
    output.mkdir(parents=True, exist_ok=True)
    note(
        f"{counted(len(faces), 'face')} explained by {counted(len(rows), 'method')}: "
        f"{', '.join(rows)}; on {min(shaken, len(faces))} of them twice more"
    )
    with progress(len(faces), "faces") as advance:
        verdict = work.judge(
            recognizer,
            faces,
            methods=methods,
            expected=expected,
            shaken=shaken,
            seed=seed,
            on_face=lambda _done, _all: advance(),
        )
    cells = report.brief_rows(verdict)
    say(report.headline(verdict))
    show(cells[0], cells[1:], left=cells[0][:1])
    for path in report.write(verdict, output):
        say(str(path))
