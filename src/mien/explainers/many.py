"""Explanations of many images: every query about every face; a failure costs no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product

from mien.explainers.explaining import explain
from mien.explainers.method import go_on
from mien.models.base import BaseModel
from mien.results.evidence import Query
from mien.results.explanation import Explanation, Explanations
from mien.results.overview import Overview
from mien.types import InputError, MienError, Prediction
from mien.vision.crops import Crop
from mien.vision.read import Source

#: All faces of an image, left to right, with their answers; InputError where there is none.
Faces = Callable[[str, Source], list[tuple[Crop, Prediction]]]


def explain_many(
    model: BaseModel,
    named: Iterable[tuple[str, Source]],
    queries: Sequence[Query],
    faces_of: Faces,
    *,
    face: int | None = None,
    fail: bool = True,
    stop: Callable[[], None] = go_on,
    on_query: Callable[[Query, int, int], None] = lambda _query, _done, _all: None,
) -> Explanations:
    """Every query about every face of every ``(name, image)``, or about the face that is named.

    With ``fail`` the first failure is raised; without, each is a row of the result's ``errors``
    and all else is done. ``stop`` and ``on_query`` are as of :meth:`mien.Recognizer.explain`.
    """
    results: list[Explanation] = []
    errors: list[Prediction] = []
    overviews: dict[str, Overview] = {}
    for name, source in named:
        try:
            pairs = faces_of(name, source)
        except InputError as error:
            if fail:
                raise
            errors.append(Prediction(name, error=str(error)))
            continue
        if len(pairs) > 1:
            overviews[name] = Overview.of(pairs[0][0].photo, [answer for _, answer in pairs])
        chosen = [pair for pair in pairs if face in (None, pair[1].face_id)]
        asked = list(product(chosen, queries))
        for i, ((crop, answer), query) in enumerate(asked):
            on_query(query, i, len(asked))
            try:
                results.append(explain(model, crop, answer, query, stop=stop))
            except MienError as error:
                if fail:
                    raise
                errors.append(Prediction(name, error=f"{name}: {query.method}: {error}"))
    return Explanations(tuple(results), tuple(errors), overviews)
