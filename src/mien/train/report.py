"""A run written down: the scores of its test images, and its report."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.runs.read import read_history, write_table
from mien.runs.report import write_report
from mien.train.embedding import project
from mien.train.examples import explained
from mien.train.fit import Run
from mien.train.processes import rank


def write(run: Run, *, examples: bool = False) -> Path:
    """Write ``scores.csv`` and the report of a run into its folder; returns the report's page.

    With ``examples`` the report explains a right and a wrong answer of each class, and holds those
    images. Of several processes of one training the first one writes.

    Parameters
    ----------
    run
        What :func:`mien.train.fit.fit` gave.
    """
    page = run.folder / "report.html"
    if rank():
        return page
    write_scores(run)
    history = [
        {"training": fold.name, **row}
        for fold in run.folds
        for row in read_history(run.folder / fold.name / "history.csv")
    ]
    answer = run.probability.argmax(axis=1)
    of = "what goes into the last layer"
    if len(run.folds) > 1:  # the networks of folds have no features in common
        of = "the logarithms of the scores, each image's by the fold that tests it"
    write_report(
        run.folder,
        run.recipe,
        run.report,
        run.facts,
        history,
        points=project(run.rows, run.tested, answer, run.features, run.recipe, of),
        examples=explained(run) if examples else (),
    )
    return page


def write_scores(run: Run) -> Path:
    """Write ``scores.csv``: per test image its name, its label, and a column per expression."""
    labels, rows = run.recipe.data.labels, run.rows
    path = run.folder / "scores.csv"
    lines = [
        [rows.names[i], labels[rows.label[i]], *np.round(run.probability[i], 6).tolist()]
        for i in run.tested
    ]
    write_table(path, ["filepath", "label", *labels], lines)
    return path
