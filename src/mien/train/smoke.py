"""A recipe made small: drawn faces, a narrow network, two steps; for a look at whether it runs."""

from __future__ import annotations

from pathlib import Path

from mien.data import synthetic
from mien.emotions import SEVEN
from mien.models.torch import describe
from mien.models.torch.registry import shrunk
from mien.runs.recipe import Recipe

STEPS = 2  # batches of training
BATCH = 4  # images of a step
TRIALS = 2  # of a grid
#: What a grid may not vary here: it would make the training long again.
LONG = ("training.epochs", "training.batch_size", "training.patience")


def shrink(recipe: Recipe) -> Recipe:
    """The recipe on drawn faces, with a network as small as the model's options allow.

    Loss, optimiser, schedule, strategy, augmentation and all other options stay. Weights are
    drawn, too: pretrained ones would not fit.

    Parameters
    ----------
    recipe
        Any recipe without a grid.

    >>> from mien.runs.recipe import About, Data, Network
    >>> small = shrink(Recipe(About("t", "p"), Data(("rafdb",)), Network("gimefive-15")))
    >>> small.model.options["channels"], small.training.epochs, small.data.sets
    ((8, 8, 8, 8, 8), 1, ('synthetic',))
    """
    labels = [name for name in recipe.data.labels if name in SEVEN]  # contempt is not drawn
    options = shrunk(recipe.model.name, recipe.model.options)
    how = recipe.training
    blocks = how.blocks
    if blocks:
        spec = describe(recipe.model.name, classes=len(labels), **options)
        blocks = min(blocks, len(spec.stages))
    return recipe.change(
        about={"shortened": summary(recipe)},
        data={
            "sets": ["synthetic"],
            "protocol": "official",
            "labels": labels,
            "folds": 0,
            "scheme": "",
        },
        model={"pretrained": False, "options": options},
        training={
            "batch_size": BATCH,
            "epochs": 1,
            "warmup_epochs": min(how.warmup_epochs, 1.0),
            "blocks": blocks,
        },
        grid={k: v for k, v in recipe.grid.items() if k not in LONG},
    )


def draw(folder: Path) -> Path:
    """A Parquet file of a few drawn faces of all seven expressions."""
    path = folder / "drawn.parquet"
    synthetic.write(path, 70, people=20, size=48)
    return path


def summary(recipe: Recipe) -> str:
    """What of the recipe is shrunk, in a sentence."""
    text = f"smoke run: {STEPS} steps of {BATCH} drawn faces"
    if shrunk(recipe.model.name):
        text += f", {recipe.model.name} made small"
    if recipe.grid:
        text += f", {TRIALS} of {recipe.points:,} trainings"
    return text + "; its numbers mean nothing"
