"""Training images of a run, for the quantisation of its export."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from mien.models.torch import describe
from mien.runs.folder import run_of, run_recipe
from mien.train.folds import folds_of
from mien.train.loader import select
from mien.train.pixels import read_pixels
from mien.types import FloatArray

IMAGES: Final = 512  # so many settle the ranges of an int8 network


def calibration_pixels(run: str | Path, data: str | Path) -> FloatArray:
    """Pixels ``[N, C, size, size]`` in 0..255 of at most 512 training images of a run.

    Those of a fold where ``run`` is a fold's folder; of a run of folds, any of its images: all of
    them are training images of the mean. ``data`` is the Parquet file that the run was trained
    on; InputError where it is another's.
    """
    folder = Path(run)
    recipe = run_recipe(run_of(folder))
    classes = len(recipe.data.labels)
    how = describe(recipe.model.name, classes=classes, **recipe.model.options).preprocess
    rows = select(recipe, Path(data))
    folds = folds_of(rows, recipe.training.seed, recipe.data.validation)
    mine = [fold for fold in folds if fold.name == folder.name] or folds
    train = np.unique(np.concatenate([fold.train for fold in mine]))
    chosen = np.random.default_rng(0).permutation(train)[:IMAGES]
    pixels: FloatArray = read_pixels(rows.path, rows.number[chosen], how).float().numpy()
    return pixels
