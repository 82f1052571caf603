"""Predict or explain in one call, with a recognizer made for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mien.explainers import Query
from mien.explainers.method import go_on
from mien.loading import load
from mien.models.base import BaseModel
from mien.priors import ESTIMATE, Prior
from mien.results.explanation import Explanations
from mien.results.predictions import Predictions
from mien.vision.read import Source


def predict(
    images: Source | Sequence[Source],
    *,
    model: str | Path | BaseModel = "mien",
    head: str | None = None,
    contempt: bool = False,
    prior: Prior | None = None,
    flip: bool = False,
    detector: str = "auto",
    threads: int = 0,
    measures: bool = False,
    bgr: bool = False,
    names: Sequence[str] = (),
    on_error: str = "auto",
) -> Predictions:
    """Predict the faces of one image or a list with a recognizer made for this call.

    Parameters are those of :func:`load` and of :meth:`Recognizer.predict`. Besides, ``prior`` may
    be ``estimate``: the one that these faces have, estimated from their answers, as by
    :meth:`Predictions.under`. For several calls, call ``load`` once.

    >>> import numpy as np
    >>> predict(np.full((48, 48), 128, dtype=np.uint8), detector="none")
    <Predictions: 1 row, 1 face>
    """
    recognizer = load(
        model,
        head=head,
        contempt=contempt,
        prior=None if prior == ESTIMATE else prior,
        flip=flip,
        detector=detector,
        threads=threads,
        measures=measures,
    )
    found = recognizer.predict(images, bgr=bgr, names=names, on_error=on_error)
    return found.under(ESTIMATE) if prior == ESTIMATE and found.faces else found


def explain(
    images: Source | Sequence[Source],
    query: Query | Sequence[Query] | None = None,
    *,
    model: str | Path | BaseModel = "mien",
    head: str | None = None,
    contempt: bool = False,
    prior: Prior | None = None,
    flip: bool = False,
    detector: str = "auto",
    threads: int = 0,
    face: int | None = None,
    method: str | Sequence[str] | None = None,
    target: str | None = None,
    against: str | None = None,
    baseline: str | None = None,
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    bgr: bool = False,
    names: Sequence[str] = (),
    on_error: str = "auto",
    stop: Callable[[], None] = go_on,
) -> Explanations:
    """Explain the faces of one image or a list with a recognizer made for this call.

    Parameters are those of :func:`load` and of :meth:`Recognizer.explain`. For several calls,
    call ``load`` once.

    >>> import numpy as np
    >>> grey = np.full((48, 48), 128, dtype=np.uint8)
    >>> explain(grey, detector="none", target="happy")[0].target
    'happy'
    """
    recognizer = load(
        model,
        head=head,
        contempt=contempt,
        prior=prior,
        flip=flip,
        detector=detector,
        threads=threads,
    )
    return recognizer.explain(
        images,
        query,
        face=face,
        method=method,
        target=target,
        against=against,
        baseline=baseline,
        options=options,
        seed=seed,
        bgr=bgr,
        names=names,
        on_error=on_error,
        stop=stop,
    )
