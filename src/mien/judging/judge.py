"""Every method on the same faces: one table of what each is worth, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from mien.explainers import explain_crop, supported
from mien.explainers.method import check_supported, checked_options, in_order, read_method
from mien.judging.action_units import Expected, expected_regions
from mien.judging.faces import Numbers, bench, measured
from mien.judging.measures import permutation_p
from mien.judging.randomised import randomised
from mien.judging.sampling import Sampled
from mien.metrics import bootstrap_interval
from mien.recognizer import Recognizer
from mien.types import FloatArray, InputError

#: About as many forward passes for each method that needs many: what 256 coalitions cost.
BUDGET: Final[dict[str, dict[str, Any]]] = {
    "shap": {"evaluations": 256}, "kernelshap": {"samples": 256}, "lime": {"samples": 256},
    "rise": {"samples": 256},
}  # fmt: skip
#: Rows of the table beside the methods themselves: the paper's algorithm beside its repair.
VARIANTS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "dncshap, printed": ("dncshap", {"contexts": "printed"}),
}


@dataclass(frozen=True)
class Entry:
    """One row of the table: a method with its options."""

    name: str
    method: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Mean:
    """A mean over faces with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float
    faces: int


@dataclass(frozen=True, eq=False)
class Verdict:
    """What was measured: per row and measure, over all faces and per expression."""

    model: str
    faces: int
    seed: int
    entries: tuple[Entry, ...]
    table: dict[str, dict[str, Mean]]  # row -> measure -> mean over all faces
    classes: dict[str, dict[str, dict[str, Mean]]]  # expression answered -> row -> measure
    action_units: dict[str, dict[str, float]]  # row -> lift, its interval, p, faces
    expected: Expected
    facts: dict[str, Any] = field(default_factory=dict)


def entries_for(recognizer: Recognizer, methods: Sequence[str] | None = None) -> tuple[Entry, ...]:
    """Rows of the table: the methods named, or all that the model supports, and variants.

    A name may carry options, as in ``dncshap:levels=4,contexts=owen``. Raises UnknownNameError
    and InputError for names and options that do not exist.
    """
    if methods is None:
        names = [*supported(recognizer.model), *VARIANTS]
        # what stands for an attribution method here needs to be about the answer
        methods = [name for name in names if name != "activations"]
    found = []
    for text in methods:
        if text in VARIANTS:
            method, options = VARIANTS[text]
        else:
            method, given = read_method(text)
            options = {**BUDGET.get(method, {}), **given}
        check_supported(method, recognizer.model)
        found.append(Entry(text, method, checked_options(method, dict(options))))
    if len({entry.name for entry in found}) < len(found):
        raise InputError(f"expected each method once, got {', '.join(methods)}")
    by_name = {entry.name: entry for entry in found}
    return tuple(by_name[name] for name in in_order(by_name))


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
        Rows of the table, as :func:`entries_for` takes them; all that work where None.
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
    rows = entries_for(recognizer, methods)
    expected = expected_regions() if expected is None else expected
    _warm(recognizer, faces[0], rows)
    numbers: dict[str, list[Numbers]] = {row.name: [] for row in rows}
    shaken_faces = _spread(len(faces), shaken)
    for i, face in enumerate(faces):
        place = bench(recognizer.model, face, seed + i)
        exact = place.explain("regions", {})
        results = {row.name: place.explain(row.method, dict(row.options)) for row in rows}
        shap = next((results[row.name] for row in rows if row.method == "shap"), None)
        # a shuffle of its own for each face: one shuffled network may well prefer the mouth
        untaught = randomised(recognizer.model, seed + i) if i in shaken_faces else None
        for row in rows:
            numbers[row.name].append(
                measured(
                    place,
                    results[row.name],
                    row.options,
                    exact=exact,
                    shap=shap,
                    expected=expected,
                    randomised=untaught,
                )
            )
        on_face(i + 1, len(faces))
    answers = [str(face.prediction.dominant_emotion) for face in faces]
    return Verdict(
        model=recognizer.model.identity,
        faces=len(faces),
        seed=seed,
        entries=rows,
        table={name: means(found, seed) for name, found in numbers.items()},
        classes={
            label: {
                name: means([n for n, a in zip(found, answers, strict=True) if a == label], seed)
                for name, found in numbers.items()
            }
            for label in recognizer.labels
            if label in answers
        },
        action_units={
            name: _action_units(found, answers, expected, seed) for name, found in numbers.items()
        },
        expected=dict(expected),
        facts={
            "right": float(np.mean([a == f.truth for a, f in zip(answers, faces, strict=True)])),
            "shaken": len(shaken_faces),
        },
    )


def _spread(count: int, wanted: int) -> set[int]:
    """Indices of the faces that are measured more, evenly over the sample."""
    return set(np.linspace(0, count - 1, min(wanted, count)).round().astype(int).tolist())


def _warm(recognizer: Recognizer, face: Sampled, rows: Sequence[Entry]) -> None:
    """Run each method once, so that loading a library is not measured."""
    crop = face.crop
    for row in rows:
        explain_crop(
            recognizer.model,
            crop.pixels,
            crop.image,
            face.prediction,
            crop.landmarks,
            method=row.method,
            options=dict(row.options),
        )


def means(found: Sequence[Numbers], seed: int) -> dict[str, Mean]:
    """Mean of each measure over the faces that have it; the median for seconds."""
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
        table[name] = Mean(centre, low, high, len(values))
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

    def plain(table: Mapping[str, Mapping[str, Mean]]) -> dict[str, Any]:
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
        "faces": verdict.faces,
        "seed": verdict.seed,
        "facts": dict(verdict.facts),
        "methods": {e.name: {"method": e.method, **e.options} for e in verdict.entries},
        "all": plain(verdict.table),
        "per expression": {label: plain(table) for label, table in verdict.classes.items()},
        "action units": verdict.action_units,
        "expected": {name: list(regions) for name, regions in verdict.expected.items()},
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
