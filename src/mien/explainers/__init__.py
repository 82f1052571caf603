"""Explanations: one call for every registered method.

>>> {'cam', 'dncshap', 'regions'} <= set(names())
True
"""

from __future__ import annotations

import platform
import time
from typing import Any

import numpy as np

from mien.emotions import label
from mien.explainers.masks import BASELINES
from mien.explainers.method import (
    METHODS,
    Case,
    Evidence,
    check_supported,
    checked_options,
    in_order,
    supported,
    traits_of,
)
from mien.models.base import BaseModel
from mien.registry import choose
from mien.results.explanation import Explanation
from mien.types import (
    FloatArray,
    ImageArray,
    InputError,
    ModelError,
    Prediction,
    checked_seed,
)
from mien.vision.regions import REGIONS, areas, region_labels, sum_by_region

__all__ = [
    "BASELINES", "METHODS", "Case", "Evidence", "every_method", "explain_crop", "names",
    "supported",
]  # fmt: skip


def names() -> list[str]:
    """Names of all registered methods, as tables list them."""
    return in_order(METHODS.names())


def explain_crop(
    model: BaseModel,
    pixels: FloatArray,
    picture: ImageArray,
    prediction: Prediction,
    landmarks: FloatArray,
    *,
    method: str = "regions",
    target: str | None = None,
    against: str | None = None,
    baseline: str | None = None,
    options: dict[str, Any] | None = None,
    seed: int = 0,
) -> Explanation:
    """Explain one crop.

    Parameters
    ----------
    pixels
        ``[C, size, size]`` in 0..255, the network's input.
    picture
        ``[H, W, 3] uint8``, the same crop for people to look at.
    prediction
        The answer for this crop; its dominant expression is the target unless one is given.
    landmarks
        ``[24, 2]`` in 0..1 across the crop.
    target, against
        Labels: the explained score is the target's logit, less the other's where one is given.
    baseline
        What stands where a part is hidden: ``mean`` (the default), ``black``, ``blur`` or ``face``.
    options
        What the method itself takes, such as ``levels`` and ``contexts`` of ``dncshap``.
    seed
        Of methods that draw at random.

    Raises UnknownNameError for a name that does not exist, InputError for a pair that cannot be
    explained.
    """
    check_supported(method, model)
    choose("baseline", baseline or "mean", BASELINES)
    _check_traits(method, baseline, against)
    checked_seed(seed)
    labels = tuple(prediction.emotions)
    if "contempt" in (target, against) and "contempt" not in labels:
        raise InputError(
            "contempt is not among the answers; ask for it with contempt=True (--contempt)"
        )
    chosen = label(prediction.dominant_emotion or "" if target is None else target, labels)
    other = None if against is None else label(against, labels)
    if other == chosen:
        raise InputError(f"expected two different expressions, got {chosen!r} against itself")
    started = time.perf_counter()
    size = pixels.shape[1]
    grid_points = landmarks * size - 0.5
    direction = np.zeros(len(model.labels))
    direction[model.labels.index(chosen)] = 1.0
    if other is not None:
        direction[model.labels.index(other)] = -1.0
    case = Case(
        model, pixels, region_labels(grid_points, size), direction, baseline or "mean", seed
    )
    evidence = METHODS.get(method)(case, **checked_options(method, options or {}))
    if not np.isfinite(evidence.values).all():
        raise ModelError(f"the method {method!r} gave values that are not finite; try 'regions'")
    matrix = evidence.interactions
    return Explanation(
        method=method,
        target=chosen,
        against=other,
        values=evidence.values,
        regions=sum_by_region(evidence.values, case.regions),
        areas=areas(case.regions),
        base=evidence.base,
        value=evidence.value,
        baseline=evidence.baseline or baseline or "mean",
        seed=evidence.seed,
        players=evidence.players,
        evaluations=evidence.evaluations,
        seconds=time.perf_counter() - started,
        model=model.identity,
        versions=_versions(model),
        prediction=prediction,
        crop=picture,
        labels=case.regions,
        landmarks=grid_points,
        interactions={}
        if matrix is None
        else {
            a: {b: float(matrix[i, j]) for j, b in enumerate(REGIONS)}
            for i, a in enumerate(REGIONS)
        },
        efficient=evidence.efficient,
        options=evidence.options,
        what=evidence.what,
        unit=evidence.unit,
        signed=evidence.signed,
        about_target=traits_of(method).about_target,
        maps=evidence.maps,
    )


def _check_traits(method: str, baseline: str | None, against: str | None) -> None:
    """InputError where a method is asked for what it cannot heed."""
    able = traits_of(method)
    if baseline is not None and not able.baseline:
        raise InputError(f"the method {method!r} hides nothing and takes no baseline; leave it out")
    if against is not None and not able.about_target:
        raise InputError(
            f"the method {method!r} gives the same map for every expression and takes no "
            "'against'; leave it out"
        )


def every_method(model: BaseModel, against: str | None = None) -> list[str]:
    """What ``all`` stands for: the methods that can answer this question about a model.

    Methods that give every expression the same map are left out of a question of one ``against``
    another.

    >>> from mien.models.weights import locate
    >>> from mien.models.base_new import Model
    >>> every_method(Model(locate("mien")))[0]
    'regions'
    """
    names = supported(model)
    return [n for n in names if against is None or traits_of(n).about_target]


def _versions(model: BaseModel) -> dict[str, str]:
    from importlib.metadata import version

    import onnxruntime

    from mien import __version__

    inside = {} if model.net is None else {"torch": version("torch")}
    return inside | {
        "mien": __version__,
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
