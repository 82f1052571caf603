"""A small recipe on drawn faces, and short ways to train it and to call the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.emotions import SEVEN
from mien.runs.recipe import About, Data, Network, Recipe, Training
from mien.types import MienError

for package in ("torch", "lightning"):
    pytest.importorskip(package, reason=f"{package} is not installed: make test does without it")

from mien.train import report  # noqa: E402 - after the checks
from mien.train.fit import Run, Where, fit  # noqa: E402
from mien.train.loader import Rows  # noqa: E402

CPU = Where(accelerator="cpu")
RECIPE = Recipe(
    About("drawn faces", "none", expected=0.9),
    Data(("synthetic",), labels=SEVEN, protocol="official"),
    Network("compact", options={"stem": 8, "widths": [8, 16, 16], "blocks": [0, 0, 0]}),
    Training(epochs=2, batch_size=16, optimizer="sgd", learning_rate=0.05, seed=3),
)


def rows_of(sides: list[Any], subjects: list[str | None]) -> Rows:
    n = len(sides)
    return Rows(
        Path("x"),
        np.arange(n),
        np.arange(n) % 2,
        sides,
        subjects,
        [None] * n,
        [""] * n,
        [""] * n,
        "",
        "test",
    )


def trained(recipe: Recipe, data: Path, folder: Path, **how: Any) -> Run:
    """A run with its report, as the command leaves it."""
    run = fit(recipe, data, folder, where=how.get("where", CPU))
    report.write(run, examples=how.get("examples", False))
    return run


def command(*words: object) -> str:
    """The output of a ``mien`` command, run in this process."""
    from typer.testing import CliRunner

    from mien.commands.main import app

    done = CliRunner().invoke(app, [str(word) for word in words], terminal_width=300)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def refused(*words: object) -> str:
    """What a ``mien`` command says that refuses its arguments."""
    from typer.testing import CliRunner

    from mien.commands.main import app

    done = CliRunner().invoke(app, [str(word) for word in words])
    assert isinstance(done.exception, MienError), done.output
    return str(done.exception)
