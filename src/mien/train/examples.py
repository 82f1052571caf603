"""A right and a wrong answer of each class, explained, for the run's own report."""

from __future__ import annotations

import numpy as np

from mien.models.torch.model import TorchModel
from mien.recognizer import Recognizer
from mien.results import draw
from mien.results.explanation import Explanation
from mien.runs.model import open_training
from mien.runs.recipe import Recipe
from mien.runs.report import ExplainedAnswer
from mien.train.fit import Run
from mien.train.folds import Fold
from mien.train.loader import Rows
from mien.train.pixels import read_cells
from mien.types import FloatArray, ImageArray, IntArray
from mien.vision import faces

SIDE = 150  # pixels, of the crop and of the evidence beside it


def explained(run: Run) -> list[ExplainedAnswer]:
    """Explanations by exact Shapley values over regions, the answer that was given being explained.

    The images are drawn with the recipe's seed among the test images of all folds, so that none is
    chosen for its looks; each is explained by the fold that tests it. A class without a right, or
    without a wrong, answer has one less.
    """
    rows, labels = run.rows, run.recipe.data.labels
    chosen = drawn(rows, run.tested, run.probability, run.recipe)
    order = np.unique(chosen)  # several images of one row would be one explanation
    contents = dict(read_cells(rows.path, rows.number[order]))
    found: dict[int, Explanation] = {}
    for fold in run.folds:
        mine = [i for i in dict.fromkeys(chosen) if i in fold.test]
        if not mine:
            continue
        recognizer = Recognizer(faces.create("none"), _model(run, fold))
        for i in mine:
            content = contents[int(np.searchsorted(order, i))]
            found[i] = recognizer.explain(content)[0]
    return [
        ExplainedAnswer(
            truth=labels[rows.label[i]],
            answer=found[i].target,
            name=rows.names[i],
            picture=draw.data_url(_picture(found[i])),
            sentence=found[i].sentence,
        )
        for i in chosen
    ]


def _model(run: Run, fold: Fold) -> TorchModel:
    """The network of one training of a run, whose report is not written yet."""
    report = {"facts": run.facts, "test": run.report.to_dict()}
    net, spec, card = open_training(run.folder / fold.name, run.recipe, report)
    return TorchModel(net, spec, card=card)


def drawn(rows: Rows, tested: IntArray, probability: FloatArray, recipe: Recipe) -> list[int]:
    """Rows to explain: of each class one with a right and one with a wrong answer."""
    random = np.random.default_rng(recipe.training.seed)
    test = random.permutation(tested)
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
