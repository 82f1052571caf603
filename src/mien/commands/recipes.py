"""``mien recipes``: the experiments that can be repeated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.commands.terminal import show

Folder = Annotated[Path | None, typer.Argument(help="A folder of recipes; default: those of Mien.")]


def recipes(folder: Folder = None) -> None:
    """List the recipes: the paper's cell that each repeats, and its printed number.

    Mien's own are listed by the names that mien train takes.
    """
    from mien.runs.catalogue import list_recipes, recipes_folder

    own = recipes_folder()
    rows = []
    for path, recipe in list_recipes(folder or own):
        name = path if folder else path.relative_to(own).with_suffix("")
        printed = recipe.about.expected
        grid = f" ({recipe.points:,} trainings: --grid)" if recipe.grid else ""
        rows.append(
            [
                str(name),
                recipe.about.table + grid,
                "" if printed is None else f"{printed:.2%}",
                recipe.model.name,
                ", ".join(recipe.data.sets),
            ]
        )
    left = ("recipe", "repeats", "model", "data")
    show(("recipe", "repeats", "printed", "model", "data"), rows, left=left)
