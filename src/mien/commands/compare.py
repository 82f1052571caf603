"""``mien compare``: finished runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.commands.terminal import show
from mien.types import InputError

Runs = Annotated[list[Path], typer.Argument(help="Folders of finished runs.")]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write the table: .md or .csv.")
]


Literature = Annotated[
    bool,
    typer.Option("--literature", help="Also what the papers print of other work on these sets."),
]


def compare(runs: Runs, output: Output = None, literature: Literature = False) -> None:
    """Put runs side by side as the papers do; each against the first by McNemar's exact test.

    The test needs the same test images; runs on others say so instead.
    """
    from mien.files import check_writable, write_whole
    from mien.results.tables import markdown_table
    from mien.runs.compare import comparison
    from mien.runs.read import write_table

    if output is not None:
        if output.suffix not in (".md", ".csv"):
            raise InputError(f"{output}: expected a name ending in .md or .csv; rename the output")
        check_writable(output)
    header, rows = comparison(runs, literature=literature)
    show(header, rows, left=("run", "model", "data"))
    if output is not None and output.suffix == ".csv":
        write_table(output, header, rows)
    elif output is not None:
        write_whole(output, markdown_table(header, rows))
