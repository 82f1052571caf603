"""A recipe's grid with Optuna: every point trained and validated, the best one tested, once.

The folder holds ``recipe.toml`` with its grid, ``search.sqlite3`` (Optuna's ledger) and one run
folder per trial. A search that was stopped goes on: finished trials are kept, an interrupted one
goes on from its last epoch.
"""

from __future__ import annotations

import gc
import json
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from mien.extras import need
from mien.files import check_folder, write_whole
from mien.registry import choose
from mien.runs.folder import DONE, WEIGHTS, claim
from mien.runs.recipe import Recipe
from mien.train.descend import Where
from mien.train.fit import Run, fit, held, marked
from mien.train.folds import folds_of
from mien.train.loader import Rows, select
from mien.train.training import remove_copies, train_fold
from mien.types import InputError, MienError

SAMPLERS: Final = ("grid", "random", "tpe")


@dataclass(frozen=True)
class Trial:
    """One point of the grid: its values, and its score on validation images, or why it failed."""

    number: int
    point: dict[str, Any]
    folder: Path
    accuracy: float | None = None  # on validation images, of the kept epoch
    facts: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Search:
    """A finished search: its trials in the order of their numbers, the best, and its test."""

    folder: Path
    recipe: Recipe
    trials: tuple[Trial, ...]
    best: Trial
    run: Run  # of the best trial, the only one that saw the test images


def search(
    recipe: Recipe,
    data: str | Path,
    folder: str | Path,
    *,
    sampler: str = "grid",
    trials: int | None = None,
    weights: str | Path | None = None,
    where: Where | None = None,
    on_trial: Callable[[Trial, int, int], None] | None = None,
) -> Search:
    """Train the points of a recipe's grid one after another, and test the best on validation.

    Parameters
    ----------
    sampler
        ``grid``: every point once, in an order that the recipe's seed draws; ``random``; ``tpe``
        (Bergstra et al. 2011). They are Optuna's.
    trials
        How many in all, those of earlier calls included; the whole grid unless it is given,
        which ``random`` and ``tpe`` need.
    on_trial
        Called after each trial with it, with how many are done, and with how many there will be.

    With folds a trial is validated on what each fold held out of its training images, and those
    are test images of the other folds: the accuracy of the best is then a little too high.

    Raises InputError for a recipe without a grid, for several devices, for a folder of another
    search, and where every trial failed.
    """
    where = where or Where()
    recipe = marked(recipe, where)
    folder = Path(folder)
    _check(recipe, sampler, trials, where)
    check_folder(folder)
    rows = select(recipe, Path(data))
    with held(folder, recipe, rows):
        study = _study(recipe, folder, sampler, rows)
        if where.on_begin is not None:
            where.on_begin()
        where = replace(where, on_begin=None)  # the best point's test is no second beginning
        wanted = min(trials or recipe.points, recipe.points if sampler == "grid" else 10**9)
        for trial in _asked(study, wanted):
            found = _tried(study, trial, recipe, rows, folder, weights, where)
            if on_trial is not None:
                on_trial(found, len(_finished(study)), wanted)
        done = tuple(_trial(folder, frozen) for frozen in _finished(study))
        good = [trial for trial in done if trial.accuracy is not None]
        if not good:
            raise MienError(f"{folder}: all {len(done)} trials failed; the first: {done[0].error}")
        best = max(good, key=lambda trial: (trial.accuracy or 0, -trial.number))
        run = fit(recipe.at(best.point), data, best.folder, weights=weights, where=where)
    return Search(folder, recipe, done, best, run)


def _check(recipe: Recipe, sampler: str, trials: int | None, where: Where) -> None:
    """Raise InputError for what cannot be searched so."""
    choose("sampler", sampler, SAMPLERS)
    if not recipe.grid:
        raise InputError("expected a recipe with a [grid] to search, got none; train it as it is")
    if where.devices * where.num_nodes > 1:
        raise InputError("expected one device for a grid, got several; trials run one by one")
    if sampler != "grid" and trials is None:
        raise InputError(f"expected --trials with the sampler {sampler!r}, got none; say how many")
    if trials is not None and trials < 1:
        raise InputError(f"expected 1 trial or more, got {trials}")


def _study(recipe: Recipe, folder: Path, sampler: str, rows: Rows) -> Any:
    """The study of this folder, made or taken up."""
    optuna = need("optuna", "train", "a search over a grid")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    seed = recipe.training.seed
    if sampler == "grid":
        made = _grid_sampler(optuna, {k: _texts(v) for k, v in recipe.grid.items()}, seed)
    elif sampler == "random":
        made = optuna.samplers.RandomSampler(seed=seed)
    else:
        made = optuna.samplers.TPESampler(seed=seed)
    study = optuna.create_study(
        storage=f"sqlite:///{(folder / 'search.sqlite3').resolve()}",
        study_name="search",
        sampler=made,
        direction="maximize",
        load_if_exists=True,
    )
    known = study.user_attrs.get("split_fingerprint", rows.fingerprint)
    if known != rows.fingerprint:
        raise InputError(f"{folder}: holds a search on other images; give a new folder")
    study.set_user_attr("split_fingerprint", rows.fingerprint)
    return study


def _grid_sampler(optuna: Any, grid: dict[str, list[str]], seed: int) -> Any:
    class Grid(optuna.samplers.GridSampler):  # type: ignore[misc]  # optuna is Any here
        """Optuna's, which would stop a loop of its own after the last point; ours counts."""

        def after_trial(self, *_: Any) -> None:
            """Nothing."""

    return Grid(grid, seed=seed)


def _texts(values: list[Any]) -> list[str]:
    """Values as JSON: Optuna's ledger takes texts, not lists."""
    return [json.dumps(value) for value in values]


def _finished(study: Any) -> list[Any]:
    return [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]


def _asked(study: Any, wanted: int) -> Iterator[Any]:
    """Trials that were interrupted, then new ones, until ``wanted`` are finished."""
    optuna = need("optuna", "train", "a search over a grid")
    for frozen in study.get_trials(deepcopy=False):
        if not frozen.state.is_finished():
            # the same trial again, with the values that were drawn for it
            yield optuna.trial.Trial(study, frozen._trial_id)
    while len(_finished(study)) < wanted:
        yield study.ask()


def _tried(
    study: Any,
    trial: Any,
    recipe: Recipe,
    rows: Rows,
    folder: Path,
    weights: str | Path | None,
    where: Where,
) -> Trial:
    """Train and validate one trial and write down how it went."""
    optuna = need("optuna", "train", "a search over a grid")
    drawn = {
        name: json.loads(trial.suggest_categorical(name, _texts(values)))
        for name, values in recipe.grid.items()
    }
    place = _place(folder, trial.number)
    try:
        value, facts = _validated(recipe.at(drawn), rows, place, weights, where)
    except Exception as error:  # one point that cannot be trained must not cost the others
        place.mkdir(parents=True, exist_ok=True)
        write_whole(place / "error.txt", traceback.format_exc())
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        trial.set_user_attr("error", reason)
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
    else:
        trial.set_user_attr("facts", facts)
        _drop_weights(study, folder, trial.number, value)
        study.tell(trial, value)
    gc.collect()  # a trainer is a circle, and its optimizer large
    return _trial(folder, study.get_trials(deepcopy=False)[trial.number])


def _place(folder: Path, number: int) -> Path:
    return folder / "trials" / f"{number:04d}"


def _validated(
    recipe: Recipe, rows: Rows, folder: Path, weights: str | Path | None, where: Where
) -> tuple[float, dict[str, Any]]:
    """Accuracy on validation images, over the folds where there are several, and facts."""
    folder.mkdir(parents=True, exist_ok=True)
    claim(folder, recipe, rows.fingerprint)
    done = []
    for fold in folds_of(rows, recipe.training.seed, recipe.data.validation):
        place = folder / fold.name
        try:
            done.append(train_fold(recipe, rows, fold, place, weights, where).facts)
        finally:
            remove_copies(place)
    images = [facts["val_images"] for facts in done]
    value = float(np.average([facts["val_accuracy"] for facts in done], weights=images))
    return value, {
        "val_images": sum(images),
        "val_nll": float(np.average([facts["val_nll"] for facts in done], weights=images)),
        "parameters": done[0]["parameters"],
        "epochs": sum(facts["epochs"] for facts in done),
        "seconds": round(sum(facts["seconds"] for facts in done), 1),
    }


def _drop_weights(study: Any, folder: Path, number: int, value: float) -> None:
    """Keep the weights of the best trial so far only: a grid of large networks fills a disk."""
    others = [t for t in _finished(study) if t.value is not None]
    best = max(others, key=lambda t: (t.value, -t.number), default=None)
    loser = number if best is not None and value <= best.value else best and best.number
    if loser is not None:
        for path in _place(folder, loser).rglob(WEIGHTS):
            path.with_name(DONE).unlink(missing_ok=True)  # it cannot be taken up without them
            path.unlink()


def _trial(folder: Path, frozen: Any) -> Trial:
    return Trial(
        number=frozen.number,
        point={name: json.loads(text) for name, text in frozen.params.items()},
        folder=_place(folder, frozen.number),
        accuracy=frozen.value,
        facts=dict(frozen.user_attrs.get("facts", {})),
        error=str(frozen.user_attrs.get("error", "")),
    )
