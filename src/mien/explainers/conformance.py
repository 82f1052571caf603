"""Checks that every registered method passes, also those of other distributions.

Each takes a method's name and a :class:`Sitting`, a model with one face in front of it, and
raises AssertionError with what is wrong:

>>> from mien.explainers.conformance import CHECKS
>>> [check.__name__ for check in CHECKS][:2]
['states_itself', 'evidence_is_whole']

A method runs with the options that it was registered with as ``tiny``.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from mien.explainers.explaining import explain
from mien.explainers.method import METHODS
from mien.models.base import BaseModel
from mien.results.evidence import Query
from mien.results.explanation import Explanation
from mien.types import InputError, Prediction, Stopped, UnknownNameError
from mien.vision.crops import Crop
from mien.vision.regions import REGIONS


@dataclass(frozen=True, eq=False)
class Sitting:
    """A model, and one face with its answer in front of it."""

    model: BaseModel  # who is asked
    crop: Crop  # the face
    prediction: Prediction  # the answer that is explained
    _kept: dict[str, Explanation] = field(default_factory=dict, init=False, repr=False)

    def ask(self, name: str, **fields: Any) -> Explanation:
        """The method's explanation, at its cheapest; ``fields`` are those of a query.

        Parameters
        ----------
        name
            A registered method.
        """
        query = Query(name, options=dict(METHODS.get(name).tiny))
        return explain(self.model, self.crop, self.prediction, replace(query, **fields))

    def usual(self, name: str) -> Explanation:
        """What the method says where nothing else is asked, computed once.

        Parameters
        ----------
        name
            A registered method.
        """
        if name not in self._kept:
            self._kept[name] = self.ask(name)
        return self._kept[name]


def _expect(holds: bool, name: str, what: str) -> None:
    if not holds:
        raise AssertionError(f"the method {name!r}: {what}")


def states_itself(name: str, sitting: Sitting) -> None:
    """It has a summary and a footnote; all options that its registration names exist."""
    method = METHODS.get(name)
    _expect(method.name == name, name, f"it is named {method.name!r}")
    _expect(bool(method.summary), name, "its function has no docstring")
    _expect(bool(method.footnote), name, "it does not say what its numbers are")
    for options in (method.tiny, method.budget, *method.variants.values()):
        method.checked(options)
    _expect(set(method.most) <= set(method.options), name, f"no such options: {method.most}")
    for option in method.options.values():
        _expect(
            option.default is not inspect.Parameter.empty,
            name,
            f"the option {option.name} has no default",
        )
        option.checked(name, option.default)
    _expect(method.needs(sitting.model) == "", name, method.needs(sitting.model))


def evidence_is_whole(name: str, sitting: Sitting) -> None:
    """A finite map of the crop's size, a value for each region, a cost, and where it comes from."""
    e = sitting.usual(name)
    size = sitting.crop.pixels.shape[1:]
    _expect(e.values.shape == size, name, f"expected values of shape {size}, got {e.values.shape}")
    _expect(bool(np.isfinite(e.values).all()), name, "values are not finite")
    _expect(tuple(e.regions) == REGIONS, name, f"regions are {tuple(e.regions)}")
    _expect(e.signed or bool((e.values >= 0).all()), name, "it holds values below 0, unsigned")
    _expect(e.players >= 1 and e.evaluations >= 1, name, "it claims no players or no passes")
    _expect(bool(e.what and e.unit and e.baseline), name, "what, unit or baseline are empty")
    _expect(e.target == sitting.prediction.dominant_emotion, name, f"it explains {e.target}")


def promises_are_kept(name: str, sitting: Sitting) -> None:
    """Parts that are said to add up do; others are warned of where there is a total to miss."""
    e = sitting.usual(name)
    if e.efficient:
        limit = METHODS.get(name).tolerance
        _expect(e.check() <= limit, name, f"the parts miss their total by {e.check():.2g}")
    elif e.base is not None:
        _expect("do not add up" in str(e.warning), name, f"expected a warning, got {e.warning!r}")


def repeats_itself(name: str, sitting: Sitting) -> None:
    """The same query gives the same map; another seed may change it only where one is recorded."""
    one, again = sitting.usual(name), sitting.ask(name)
    same = np.allclose(one.values, again.values, atol=1e-6)
    _expect(same, name, "the same query gives two maps")
    other = sitting.ask(name, seed=one.query.seed + 1)
    if one.seed is None:
        same = np.allclose(one.values, other.values, atol=1e-6)
        _expect(same, name, "it draws at random and records no seed")
    else:
        _expect(other.seed == one.query.seed + 1, name, f"it records the seed {other.seed}")


def target_is_heeded(name: str, sitting: Sitting) -> None:
    """Another expression gets another map, unless the method says that all get the same."""
    one = sitting.usual(name)
    other = next(label for label in sitting.prediction.emotions if label != one.target)
    same = np.allclose(one.values, sitting.ask(name, target=other).values, atol=1e-12)
    about = METHODS.get(name).about_target
    _expect(same != about, name, f"about_target is {about}, maps are {'' if same else 'not '}alike")


def options_are_checked(name: str, sitting: Sitting) -> None:
    """An option that it does not take, and a value of another kind, are refused."""
    wrong: list[dict[str, object]] = [{"no_such_option": 1}]
    wrong += [{key: object()} for key in METHODS.get(name).options]
    for options in wrong:
        try:
            sitting.ask(name, options=options)
        except (UnknownNameError, InputError):
            continue
        raise AssertionError(f"the method {name!r}: took the options {options}")


def can_be_stopped(name: str, sitting: Sitting) -> None:
    """It asks before its passes whether to go on, and lets go at once."""
    asked = 0

    def stop() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:  # the first time is asked for it
            raise Stopped

    query = Query(name, options=dict(METHODS.get(name).tiny))
    try:
        explain(sitting.model, sitting.crop, sitting.prediction, query, stop=stop)
    except Stopped:
        return
    raise AssertionError(f"the method {name!r}: never called case.stop()")


def record_can_be_loaded(name: str, sitting: Sitting) -> None:
    """Its record is JSON without NaN, and gives back the numbers; it has a picture and words."""
    e = sitting.usual(name)
    record = json.loads(json.dumps(e.to_dict(), allow_nan=False))
    again = Explanation.from_dict(record, crop=e.crop)
    _expect(np.allclose(again.values, e.values, atol=1e-6), name, "the map does not come back")
    _expect(again.sentence == e.sentence, name, f"{again.sentence!r} is not {e.sentence!r}")
    _expect(again.to_dict().keys() == record.keys(), name, "the record loses fields")
    _expect(again.query == e.query, name, f"the query comes back as {again.query}")
    asked = explain(sitting.model, sitting.crop, sitting.prediction, again.query)
    same = np.allclose(asked.values, e.values, atol=1e-6)
    _expect(same, name, "its own query gives another map")
    _expect(e.picture().ndim == 3 and bool(e.paragraph), name, "it has no picture or no words")


#: What every method goes through: each is called with its name and a sitting.
CHECKS: Final[tuple[Callable[[str, Sitting], None], ...]] = (
    states_itself,
    evidence_is_whole,
    promises_are_kept,
    repeats_itself,
    target_is_heeded,
    options_are_checked,
    can_be_stopped,
    record_can_be_loaded,
)
