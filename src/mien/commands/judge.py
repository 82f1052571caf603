"""``mien judge``: explanations of many faces, measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from mien.judging.judge import Verdict


Output = Annotated[
    Path, typer.Option("--output", "-o", help="Folder for JSON, Markdown, HTML and figure.")
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method", "-m", help="Only these of {methods}; options behind, as in dncshap:levels=4."
    ),
]
Shaken = Annotated[
    int, typer.Option(help="Faces on which sensitivity and randomisation are measured.")
]
ActionUnits = Annotated[
    Path | None, typer.Option(help='A table of your own: happy = ["mouth", "cheeks"], ...')
]


def judge(
    model: ModelArgument,
    data: FacesFile,
    output: Output = Path("judge"),
    n: FaceCount = 200,
    split: SplitName = "test",
    methods: Methods = None,
    shaken: Shaken = 40,
    action_units: ActionUnits = None,
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
    from mien.judging.action_units import read_expected
    from mien.judging.own import sample
    from mien.judging.rows import rows_for

    check_folder(output)
    expected = None if action_units is None else read_expected(action_units)
    found = sample(
        model,
        data,
        n=n,
        seed=seed,
        split=split,
        detector=detector,
        head=head,
        prior=prior,
        check=lambda model: rows_for(model, methods),  # a wrong name fails before the work
    )
    rows = rows_for(found.recognizer.model, methods)
    say(f"{len(found.faces)} images, {found.known}")
    output.mkdir(parents=True, exist_ok=True)
    note(
        f"{counted(len(found.faces), 'face')} explained by {counted(len(rows), 'method')}: "
        f"{', '.join(rows)}; on {min(shaken, len(found.faces))} of them twice more"
    )
    with progress(len(found.faces), "faces") as advance:
        verdict = work.judge(
            found.recognizer,
            found.faces,
            methods=methods,
            expected=expected,
            shaken=shaken,
            seed=seed,
            on_face=lambda _done, _all: advance(),
        )
    facts = {**verdict.facts, "images": found.known}
    _tell(replace(verdict, model=found.identity, facts=facts), output)


def _tell(verdict: Verdict, output: Path) -> None:
    """The table, and where the rest was written."""
    from mien.judging import report

    cells = report.brief_rows(verdict)
    say(report.headline(verdict))
    show(cells[0], cells[1:], left=cells[0][:1])
    for path in report.write(verdict, output):
        say(str(path))
