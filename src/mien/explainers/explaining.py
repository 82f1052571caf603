"""One face, one query, one explanation; and what is asked in words as queries."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
import onnxruntime

from mien import __version__
from mien.emotions import label
from mien.explainers.masks import BASELINES
from mien.explainers.method import METHODS, Case, Method, go_on, names, read_query
from mien.models.base import BaseModel
from mien.priors import shares_of
from mien.registry import choose
from mien.results.evidence import Evidence, Query
from mien.results.explanation import Explanation
from mien.results.words import HIDING, HIDING_PROBABLE
from mien.types import FloatArray, InputError, MienError, ModelError, Prediction
from mien.vision.crops import Crop
from mien.vision.regions import region_labels


def explain(
    model: BaseModel,
    crop: Crop,
    prediction: Prediction,
    query: Query | None = None,
    *,
    stop: Callable[[], None] = go_on,
) -> Explanation:
    """Explain the answer for one crop, or the expression that the query names.

    Parameters
    ----------
    model
        Whose answer is explained.
    crop
        The face as the model sees it, with its landmarks.
    prediction
        The answer for this crop; its dominant expression is the target unless one is given.
    query
        What is asked; the Shapley values of the facial regions where None.
    stop
        Called before each forward pass; what it raises ends the work.

    Raises UnknownNameError for a name that does not exist, InputError for a pair that cannot be
    explained, MissingExtraError for a package that the method needs, ModelError for a method that
    fails or a result that is not finite, and what ``stop`` raises.
    """
    asked = resolved(query or Query(), model, prediction)
    method = METHODS.get(asked.method)
    started = time.perf_counter()
    size = crop.pixels.shape[1]
    points = crop.landmarks * size - 0.5
    labels = region_labels(points, size)
    direction, baseline = _direction(model, asked), asked.baseline or "mean"
    shown = tuple(model.labels.index(name) for name in prediction.emotions)
    case = Case(model, crop.pixels, labels, direction, baseline, asked.seed, stop, answered=shown)
    stop()
    evidence = _run(method, case, asked)
    if not np.isfinite(evidence.values).all():
        raise ModelError(
            f"the method {method.name!r} gave values that are not finite for "
            f"{model.card.name}; check its weights, or take another method"
        )
    return Explanation(
        query=asked,
        evidence=evidence,
        about_target=method.about_target,
        footnote=_footnote(method, evidence),
        prediction=prediction,
        crop=crop.image,
        labels=labels,
        landmarks=points,
        seconds=time.perf_counter() - started,
        model=model.identity,
        versions=_versions(model),
        prior=shares_of(model.prior, tuple(prediction.emotions)),
        flip=model.flip,
    )


def _direction(model: BaseModel, asked: Query) -> FloatArray:
    """What is explained, as weights of the logits."""
    direction = np.zeros(len(model.labels))
    direction[model.labels.index(str(asked.target))] = 1.0
    if asked.against is not None:
        direction[model.labels.index(asked.against)] = -1.0
    return direction


def _footnote(method: Method, evidence: Evidence) -> str:
    probable = evidence.unit == "probability" and method.footnote == HIDING
    return HIDING_PROBABLE if probable else method.footnote


def _run(method: Method, case: Case, asked: Query) -> Evidence:
    """What the method finds; ModelError that names it where it fails."""
    given = method.checked(asked.options)
    quantity = given.pop("quantity", "logit")
    try:
        found = method.run(replace(case, quantity=quantity), **given)
        if quantity == "logit":
            return found
        unit = found.unit.replace("logits", "probability")
        return replace(found, unit=unit, options={**found.options, "quantity": quantity})
    except MienError:
        raise
    except Exception as error:  # a method may be another distribution's
        reason = str(error).strip().splitlines()
        raise ModelError(
            f"the method {method.name!r} failed on {case.model.card.name} "
            f"({type(error).__name__}{f': {reason[0][:200]}' if reason else ''}); "
            "check its options, or take another method"
        ) from error


def resolved(query: Query, model: BaseModel, prediction: Prediction) -> Query:
    """The query with its target, its rival and its baseline filled in and checked.

    Raises as :func:`explain`.
    """
    method = METHODS.get(query.method)
    method.check(model, query)
    baseline = choose("baseline", query.baseline or "mean", BASELINES) if method.baseline else None
    labels = tuple(prediction.emotions)
    if "contempt" in (query.target, query.against) and "contempt" not in labels:
        raise InputError(
            "contempt is not among the answers; ask for it with contempt=True (--contempt)"
        )
    target = label(query.target or prediction.dominant_emotion or "", labels)
    against = None if query.against is None else label(query.against, labels)
    if against == target:
        raise InputError(f"expected two different expressions, got {target!r} against itself")
    return replace(query, target=target, against=against, baseline=baseline)


def supported(model: BaseModel, against: str | None = None) -> list[str]:
    """Names of the methods that can answer about a model, as tables list them.

    Methods that give every expression the same map are left out of a question of one ``against``
    another.

    Parameters
    ----------
    model
        Who is to be explained.

    >>> from mien.models.onnx import Model
    >>> from mien.models.weights import locate
    >>> supported(Model(locate("mien")))[0]
    'regions'
    """
    return [n for n in names(model) if against is None or METHODS.get(n).about_target]


def given_or_made(
    model: BaseModel,
    query: Query | Sequence[Query] | None,
    methods: str | Sequence[str] | None,
    *,
    options: Mapping[str, Any] | None = None,
    **question: Any,
) -> tuple[Query, ...]:
    """The queries that are given, or those made of their parts, by ``regions`` where none is named.

    Raises InputError for both at once, and as :func:`queries`.
    """
    if query is None:
        wanted = "regions" if methods is None else methods
        return queries(model, wanted, options=options, **question)
    if options or methods is not None or any(question.values()):
        raise InputError("expected a query, or its parts by their names; got both")
    return (query,) if isinstance(query, Query) else tuple(query)


def queries(
    model: BaseModel,
    methods: str | Sequence[str],
    *,
    options: Mapping[str, Any] | None = None,
    **question: Any,
) -> tuple[Query, ...]:
    """What is asked in words, as queries: one per method.

    Parameters
    ----------
    model
        Who is to be explained.
    methods
        One method or several, which may carry options (``dncshap:levels=4,contexts=owen``); or
        ``all`` that can answer for this model.
    options
        Of the one method that is named, as values.
    question
        Fields of :class:`Query`: target, against, baseline, seed. A baseline goes to those of
        several methods that take one.

    Raises UnknownNameError for a method or option that does not exist, InputError for options of
    several methods, a method named twice, or a baseline for a single method that takes none.

    >>> from mien.models.onnx import Model
    >>> from mien.models.weights import locate
    >>> [q.method for q in queries(Model(locate("mien")), ["cam", "dncshap:levels=4"], seed=3)]
    ['cam', 'dncshap']
    """
    like = Query(**question)
    texts = named(model, methods, like.against)
    if len(texts) == 1:
        found = read_query(texts[0], like)
        given = {**found.options, **(options or {})}
        return (replace(found, baseline=like.baseline, options=given),)
    if options:
        raise InputError(
            f"expected options for one method, got {', '.join(options)} for several; "
            "write them behind a method, as in 'dncshap:levels=4'"
        )
    return tuple(read_query(text, like) for text in texts)


def named(model: BaseModel, methods: str | Sequence[str], against: str | None = None) -> list[str]:
    """Methods by their names, which may carry options; ``all`` are those that can answer.

    Raises InputError for none, for one that is named twice, and for ``all`` beside others.

    >>> from mien.models.onnx import Model
    >>> from mien.models.weights import locate
    >>> named(Model(locate("mien")), "all")[0]
    'regions'
    """
    texts = [methods] if isinstance(methods, str) else list(methods)
    if texts == ["all"]:
        return supported(model, against)
    if "all" in texts:
        raise InputError("expected 'all' alone, or methods by their names")
    if not texts or len(set(texts)) < len(texts):
        raise InputError(f"expected each method once, got {', '.join(texts) or 'none'}")
    return texts


def _versions(model: BaseModel) -> dict[str, str]:
    inside = {} if model.net is None else {"torch": version("torch")}
    return inside | {
        "mien": __version__,
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
