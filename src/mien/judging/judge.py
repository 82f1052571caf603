"""Every method on the same faces: one table of what each is worth, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.explainers import METHODS, explain
from mien.judging.action_units import Expected, expected_regions
from mien.judging.faces import Bench, Numbers, bench, measured
from mien.judging.measures import permutation_p
from mien.judging.randomised import randomised
from mien.judging.rows import recorded, rows_for
from mien.judging.sampling import Sampled
from mien.metrics import bootstrap_interval
from mien.models.base import BaseModel
from mien.recognizer import Recognizer
from mien.results.evidence import Query
from mien.types import FloatArray, InputError


@dataclass(frozen=True)
class Estimate:
    """A mean over faces with its 95 % bootstrap interval (seconds: median, least and most)."""

    value: float
    low: float
    high: float
    faces: int


@dataclass(frozen=True, eq=False)
class Verdict:
    """What was measured: per row and measure, over all faces and per expression."""

    model: str
    prior: dict[str, float] | None  # shares that the answers expect, where known
    faces: int
    seed: int
    rows: dict[str, Query]
    table: dict[str, dict[str, Estimate]]  # row -> measure -> mean over all faces
    classes: dict[str, dict[str, dict[str, Estimate]]]  # expression answered -> row -> measure
    action_units: dict[str, dict[str, float]]  # row -> lift, its interval, p, faces
    expected: Expected
    facts: dict[str, Any] = field(default_factory=dict)


def judge(
    recognizer: Recognizer,
    faces: Sequence[Sampled],
    *,
    methods: Sequence[str] | None = None,
    expected: Expected | None = None,
    shaken: int = 40,
    seed: int = 0,
    on_face: Callable[[int, int], None] = lambda _done, _all: None,
) -> Verdict:
    """Explain the answer on every face by every method, and measure each explanation.

    Parameters
    ----------
    faces
        Of :func:`mien.judging.sampling.sample_faces`.
    methods
        Rows of the table, as :func:`mien.judging.rows.rows_for` takes them; all that work where
        None.
    expected
        Regions in which each expression should show; the table of action units where None.
    shaken
        How many faces also measure sensitivity and the randomised network (shuffled anew for
        each face): these need two more explanations of each method.
    on_face
        Called after each face with how many are done, and of how many.

    The same arguments give the same numbers, but for seconds. Raises InputError for no faces.
    """
    if not faces:
        raise InputError("expected at least one face to judge on, got none")
    rows = rows_for(recognizer.model, methods)
    expected = expected_regions() if expected is None else expected
    _warm(recognizer, faces[0], rows)
    numbers: dict[str, list[Numbers]] = {row: [] for row in rows}
    shaken_faces = _spread(len(faces), shaken)
    for i, face in enumerate(faces):
        # a shuffle of its own for each face: one shuffled network may well prefer the mouth
        model = face.model(recognizer)
        other = randomised(model, seed + i) if i in shaken_faces else None
        place = bench(model, face, seed + i)
        for row, found in _face(place, rows, expected, other).items():
            numbers[row].append(found)
        on_face(i + 1, len(faces))
    return _verdict(recognizer, faces, rows, numbers, expected, seed, len(shaken_faces))


def _verdict(
    recognizer: Recognizer,
    faces: Sequence[Sampled],
    rows: dict[str, Query],
    numbers: Mapping[str, Sequence[Numbers]],
    expected: Expected,
    seed: int,
    shaken: int,
) -> Verdict:
    """Means over all faces, and over those of each answer."""
    answers = [str(face.prediction.dominant_emotion) for face in faces]
    right = [a == face.truth for a, face in zip(answers, faces, strict=True)]
    return Verdict(
        model=recognizer.model.identity,
        prior=recognizer.prior,
        faces=len(faces),
        seed=seed,
        rows=rows,
        table={row: means(found, seed) for row, found in numbers.items()},
        classes={
            label: {
                row: means([n for n, a in zip(found, answers, strict=True) if a == label], seed)
                for row, found in numbers.items()
            }
            for label in recognizer.labels
            if label in answers
        },
        action_units={
            row: _action_units(found, answers, expected, seed) for row, found in numbers.items()
        },
        expected=dict(expected),
        facts={"right": float(np.mean(right)), "shaken": shaken},
    )


def _face(
    place: Bench, rows: Mapping[str, Query], expected: Expected, other: BaseModel | None
) -> dict[str, Numbers]:
    """All numbers of every row on one face; ``other`` is the network with its weights shuffled."""
    results = {row: place.explain(query) for row, query in rows.items()}
    exact = next((results[row] for row, query in rows.items() if query == Query()), None)
    exact = exact or place.explain(Query())
    reference = [row for row, query in rows.items() if METHODS.get(query.method).reference]
    shap = results[reference[0]] if reference else None
    return {
        row: measured(
            place, results[row], query, exact=exact, shap=shap, expected=expected, randomised=other
        )
        for row, query in rows.items()
    }


def _spread(count: int, wanted: int) -> set[int]:
    """Indices of the faces that are measured more, evenly over the sample."""
    return set(np.linspace(0, count - 1, min(wanted, count)).round().astype(int).tolist())


def _warm(recognizer: Recognizer, face: Sampled, rows: Mapping[str, Query]) -> None:
    """Run each method once, so that loading a library is not measured."""
    for query in rows.values():
        explain(face.model(recognizer), face.crop, face.prediction, query)


def means(found: Sequence[Numbers], seed: int) -> dict[str, Estimate]:
    """Estimate of each measure over the faces that have it; the median for seconds."""
    if not found:
        return {}
    table = {}
    for name in dict.fromkeys(key for numbers in found for key in numbers):
        if name.startswith("lift, "):
            continue  # kept for the action units, where each face has its own expectation
        values = np.array([n[name] for n in found if name in n], dtype=np.float64)
        centre = float(np.median(values) if name == "seconds" else values.mean())
        low, high = (
            (float(values.min()), float(values.max()))
            if name == "seconds"
            else bootstrap_interval(values, draws=500, seed=seed)
        )
        table[name] = Estimate(centre, low, high, len(values))
    return table


def _action_units(
    found: Sequence[Numbers], answers: Sequence[str], expected: Expected, seed: int
) -> dict[str, float]:
    """Lift of the evidence where each answer is expected to show, against shuffled expectations."""
    names = list(expected)
    kept = [i for i, answer in enumerate(answers) if answer in expected]
    if not kept:
        return {}
    scores: FloatArray = np.array([[found[i][f"lift, {name}"] for name in names] for i in kept])
    own = np.array([names.index(answers[i]) for i in kept])
    value, p = permutation_p(scores, own, seed=seed)
    low, high = bootstrap_interval(scores[np.arange(len(own)), own], seed=seed)
    return {"lift": value, "low": low, "high": high, "p": p, "faces": float(len(kept))}


def to_dict(verdict: Verdict) -> dict[str, Any]:
    """JSON-ready record of a verdict."""

    def plain(table: Mapping[str, Mapping[str, Estimate]]) -> dict[str, Any]:
        return {
            row: {
                name: {
                    "value": _finite(m.value),
                    "low": _finite(m.low),
                    "high": _finite(m.high),
                    "faces": m.faces,
                }
                for name, m in found.items()
            }
            for row, found in table.items()
        }

    return {
        "model": verdict.model,
        "prior": verdict.prior,
        "faces": verdict.faces,
        "seed": verdict.seed,
        "facts": dict(verdict.facts),
        "methods": recorded(verdict.rows),
        "all": plain(verdict.table),
        "per expression": {label: plain(table) for label, table in verdict.classes.items()},
        "action units": verdict.action_units,
        "expected": {name: list(regions) for name, regions in verdict.expected.items()},
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
