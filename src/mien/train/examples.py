"""A right and a wrong answer of each class, explained, for the run's own report."""

from __future__ import annotations

import numpy as np

from mien.models.torch.model import TorchModel
from mien.recognizer import Recognizer
from mien.results import draw
from mien.results.explanation import Explanation
from mien.runs.model import run_card
from mien.runs.recipe import Recipe
from mien.runs.report import ExplainedAnswer
from mien.train.fit import Run
from mien.train.folds import Fold
from mien.train.loader import Rows
from mien.train.pixels import read_cells
from mien.types import FloatArray, ImageArray
from mien.vision import faces

SIDE = 150  # pixels, of the crop and of the evidence beside it


def explained(run: Run) -> list[ExplainedAnswer]:
    """Explanations by exact Shapley values over regions, the answer that was given being explained.

    The images are drawn with the recipe's seed among the first fold's test images, so that none
    is chosen for its looks; a class without a right, or without a wrong, answer has one less.
    """
    rows, recipe, labels = run.rows, run.recipe, run.recipe.data.labels
    chosen = drawn(rows, run.folds[0], run.probability, recipe)
    net, spec = run.first.module.net, run.first.spec
    card = run_card(recipe, spec, {"facts": run.facts, "test": run.report.to_dict()}, net)
    recognizer = Recognizer(
        faces.create("none"), TorchModel(net, spec, card=card), contempt="contempt" in labels
    )
    order = np.unique(chosen)  # several images of one row would be one explanation
    contents = dict(read_cells(rows.path, rows.number[order]))
    found = []
    for i in chosen:
        content = contents[int(np.searchsorted(order, i))]
        explanation = recognizer.explain(content)[0]
        found.append(
            ExplainedAnswer(
                truth=labels[rows.label[i]],
                answer=explanation.target,
                name=rows.names[i],
                picture=draw.data_url(_picture(explanation)),
                sentence=explanation.sentence,
            )
        )
    return found


def drawn(rows: Rows, fold: Fold, probability: FloatArray, recipe: Recipe) -> list[int]:
    """Rows to explain: of each class one with a right and one with a wrong answer."""
    random = np.random.default_rng(recipe.training.seed)
    test = random.permutation(fold.test)
    right = probability[test].argmax(axis=1) == rows.label[test]
    chosen = []
    for label in range(len(recipe.data.labels)):
        for wanted in (right, ~right):
            chosen += test[wanted & (rows.label[test] == label)][:1].tolist()
    return chosen


def _picture(e: Explanation) -> ImageArray:
    """The crop, and beside it what each region adds, full colour at the largest."""
    shown = np.array(list(e.regions.values()))[e.labels]
    crop = draw.enlarge(e.crop, SIDE)
    limit = max(float(np.abs(shown).max()), 1e-9)
    return draw.side_by_side([crop, draw.overlay(crop, shown, limit)], 6).raster()
