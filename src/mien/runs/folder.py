"""Whose a run's folder is: one recipe's, on one split of its images, and one process's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from mien.files import cannot_write, check_folder, write_whole
from mien.runs.lock import locked
from mien.runs.read import read_run
from mien.runs.recipe import Recipe, read_recipe
from mien.runs.sides import FOLD, SPLIT
from mien.types import InputError, UnknownNameError

RECIPE: Final = "recipe.toml"
WEIGHTS: Final = "weights.safetensors"
DONE: Final = "trained.json"  # in a training's folder once it is finished
IMAGES: Final = "# images and split: "  # the first line of a run's recipe.toml
KEPT: Final = (DONE, WEIGHTS, "history.csv", "*.ckpt", "search.sqlite3")  # what work leaves


@contextmanager
def claimed(folder: Path, recipe: Recipe, fingerprint: str) -> Iterator[None]:
    """Hold a folder, made where it is absent, for a recipe on the images of a ``fingerprint``.

    Weights of one split must not be tested on another: its test images may have trained them. A
    folder in which nothing was trained in the end is given up again. Raises InputError where
    another process writes to it, or where it is another recipe's or that of other images.
    """
    check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        with locked(folder, "training"):
            claim(folder, recipe, fingerprint)
            try:
                yield
            except BaseException:
                if not any(next(folder.rglob(name), None) for name in KEPT):
                    for name in (RECIPE, SPLIT):
                        (folder / name).unlink(missing_ok=True)
                raise
    finally:
        with suppress(OSError):
            folder.rmdir()  # of an empty one; any other stays


def claim(folder: Path, recipe: Recipe, fingerprint: str) -> None:
    """Write ``recipe.toml`` into a folder; InputError where it holds that of another run."""
    path = folder / RECIPE
    wanted = f"{IMAGES}{fingerprint}\n{recipe.to_toml()}"
    if path.exists():
        _check(path, wanted, recipe)
    write_whole(path, wanted)


def _check(path: Path, wanted: str, recipe: Recipe) -> None:
    """Raise InputError where ``recipe.toml`` is another run's, or damaged."""
    try:
        found = path.read_text(encoding="utf-8")
        if found != wanted and wanted.startswith(found):
            raise InputError("it is cut short")
        stated = read_recipe(path)
    except (OSError, ValueError, UnknownNameError) as error:
        why = str(error).removeprefix(f"{path}: ")
        raise InputError(
            f"{path}: expected the recipe of this run, but {why}; delete it where the folder is "
            "this run's, or give a new folder"
        ) from error
    first = wanted.partition("\n")[0]
    if found.startswith(IMAGES) and found.partition("\n")[0] != first:
        raise InputError(f"{path.parent}: holds a run on other images; give a new folder")
    about = stated.about.shortened == recipe.about.shortened
    if stated.hash != recipe.hash or not about:
        raise InputError(f"{path.parent}: holds the run of another recipe; give a new folder")


def run_recipe(folder: Path) -> Recipe:
    """The recipe of a finished run; InputError, which says what to do, where it cannot be read."""
    try:
        return read_recipe(folder / RECIPE)
    except (InputError, UnknownNameError) as error:
        raise InputError(f"{error}; copy the run again, or train it in a new folder") from error


def run_of(folder: Path) -> Path:
    """The run that a folder is, or whose fold it is."""
    return folder.parent if is_fold(folder) else folder


def is_fold(folder: Path) -> bool:
    """Whether a folder is that of one fold of a run."""
    number = folder.name.removeprefix(FOLD)
    return number.isdecimal() and number != folder.name and (folder.parent / RECIPE).is_file()


def folds_of_run(run: Path) -> list[Path]:
    """The folders of a run's folds, in their order; none of a run that is one training.

    Raises InputError where some are absent.
    """
    if (run / WEIGHTS).is_file():
        return []
    found = [p.parent for p in run.glob(f"{FOLD}*/{WEIGHTS}") if is_fold(p.parent)]
    wanted = int(read_run(run)["facts"].get("trainings", 1))
    if len(found) != max(wanted, 1) or wanted == 1:
        raise InputError(
            f"{run}: expected {WEIGHTS}, or one in each fold's folder, got {len(found)} of {wanted}"
            "; copy the run again, or run its mien train command again"
        )
    return sorted(found, key=lambda place: int(place.name.removeprefix(FOLD)))


def weights_of(folder: Path) -> list[Path]:
    """The weights of a run: one file, or one for each fold; InputError where any is absent."""
    if not (folder / WEIGHTS).is_file() and run_of(folder) != folder:
        raise InputError(f"{folder / WEIGHTS}: no such file; a run's folds are its fold-* folders")
    return [place / WEIGHTS for place in folds_of_run(folder) or [folder]]
