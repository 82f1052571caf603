"""The recipes that come with Mien, found by their names wherever it was installed."""

from __future__ import annotations

from pathlib import Path

from mien.runs.recipe import Recipe, read_recipe
from mien.types import InputError

OTHER = "builtin"  # the recipe of Mien's own model, which has another form


def recipes_folder() -> Path:
    """The folder of the recipes: in the installed package, or in the checkout.

    >>> (recipes_folder() / "gimefive" / "fer2013-15.toml").is_file()
    True
    """
    package = Path(__file__).parents[1]
    inside = package / "recipes"
    return inside if inside.is_dir() else package.parents[1] / "recipes"


def find_recipe(name: str | Path) -> Path:
    """The file of a recipe: a path, or a name such as ``gimefive/fer2013-15``.

    A path that does not exist is returned as it is; reading it says so.

    Parameters
    ----------
    name
        A name that ``mien recipes`` lists, or a file.

    >>> find_recipe("gimefive/fer2013-15").name
    'fer2013-15.toml'
    """
    path = Path(name)
    if path.is_file():
        return path
    parts = path.parts[1:] if path.parts[:1] == ("recipes",) else path.parts
    inside = recipes_folder().joinpath(*parts)
    if path.is_absolute() or ".." in parts:
        return path
    named = inside if inside.suffix == ".toml" else inside.with_name(inside.name + ".toml")
    return named if parts and named.is_file() else path


def list_recipes(folder: Path) -> list[tuple[Path, Recipe]]:
    """All recipes of a folder with their paths; InputError where there are none."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the one that holds the recipes")
    paths = [p for p in sorted(folder.rglob("*.toml")) if p.parent.name != OTHER]
    if not paths:
        raise InputError(f"{folder}: expected recipes (*.toml), found none")
    return [(path, read_recipe(path)) for path in paths]
