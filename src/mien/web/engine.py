"""The work itself, in threads: photos in, JSON-ready answers out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

import numpy as np

from mien import options
from mien.explainers import METHODS
from mien.explainers.method import read_query
from mien.recognizer import Recognizer
from mien.results.draw import data_url, png
from mien.results.evidence import Query
from mien.results.explanation import Explanation, Explanations
from mien.results.sheets import painted
from mien.types import InputError, MienError, Stopped, UnknownNameError
from mien.vision.formats import Header
from mien.web.limits import Refusal, read_header
from mien.web.settings import Limits

FEW = 40_000_000  # pixels of photos that are decoded ahead, 120 MB


@dataclass(frozen=True, eq=False)
class Photo:
    """One image as it was sent."""

    data: bytes = field(repr=False)
    name: str = "image"


@dataclass(frozen=True, eq=False)
class Question:
    """A query about a photo, as it was asked of the service."""

    photo: Photo
    query: Query = field(default_factory=Query)
    face: int | None = None
    view: bool = False
    png: bool = False
    left: Event = field(default_factory=Event)  # set when nobody waits for the answer any more


class Engine:
    """A recognizer behind the service; its methods run in any thread."""

    def __init__(self, recognizer: Recognizer, limits: Limits) -> None:
        self.recognizer, self.limits = recognizer, limits

    def warm(self) -> None:
        """One answer to an empty picture, so that the first caller need not wait."""
        self.recognizer.predict(np.full((64, 64, 3), 128, dtype=np.uint8))

    def predict(self, photos: Sequence[Photo]) -> list[dict[str, Any] | Exception]:
        """One answer per photo; a bad photo costs no other its answer."""
        answers: list[dict[str, Any] | Exception] = []
        heads: list[tuple[int, Photo, Header]] = []
        for i, photo in enumerate(photos):
            answers.append({})
            try:
                heads.append((i, photo, read_header(photo.data, self.limits.pixels)))
            except Refusal as refusal:
                answers[i] = refusal
        named = ((photo.name, photo.data) for _, photo, _ in heads)
        readers = 0 if len(heads) == 1 or sum(h.pixels for *_, h in heads) > FEW else 2
        found = list(
            self.recognizer.predict_many(
                named, reduced=True, batch=self.limits.batch, readers=readers
            )
        )
        for (i, photo, header), rows in zip(heads, found, strict=True):
            if rows[0].error is not None:
                text = rows[0].error.removeprefix(f"{photo.name}: ")
                answers[i] = Refusal(422, "not_an_image", text.removeprefix("bytes: "))
                continue
            answers[i] = {
                "image": _image(photo, header),
                "faces": [row.to_dict() for row in rows if row.face_id is not None],
                "model": self.recognizer.model.identity,
            }
        return answers

    def explain(self, question: Question) -> bytes | dict[str, Any]:
        """A JSON-ready answer, or a PNG where that was asked for; raises Refusal."""
        ends = time.monotonic() + self.limits.explain_seconds

        def check() -> None:
            if question.left.is_set() or time.monotonic() > ends:
                raise Stopped

        photo = question.photo
        header = read_header(photo.data, self.limits.pixels)
        try:
            found = self.recognizer.explain(
                photo.data,
                question.query,
                face=question.face,
                names=[photo.name],
                stop=check,
            )
        except Stopped:
            raise Refusal(
                503,
                "too_slow",
                f"the explanation was stopped after {self.limits.explain_seconds:g} s; "
                "ask for a cheaper method, fewer parts, or one face",
            ) from None
        except MienError as error:
            raise _refused(error, photo.name) from error
        if question.png:
            return png(found.picture())
        return {"image": _image(photo, header), **explained(found, question.view)}

    def query(self, method: str, given: Sequence[str] = (), **fields: Any) -> Query:
        """The query that a request asks; Refusal for one that cannot be answered.

        ``method`` may carry options, ``given`` are further ones as ``key=value``; none may be
        larger than what a caller may ask for. ``fields`` are the other fields of the query.
        """
        try:
            found = read_query(method, Query(**fields))
            known = METHODS.get(found.method)
            what = f"the method {known.name!r}"
            values = {**found.options, **options.read(what, known.options, given)}
            for name, value in values.items():
                most = known.most.get(name, self.limits.explain_options)
                if isinstance(value, int | float) and not abs(value) <= most:
                    raise InputError(f"{name}: expected at most {most} here, got {value}")
            return replace(found, options=values, baseline=fields.get("baseline"))
        except MienError as error:
            raise _refused(error, "") from error


def _refused(error: MienError, name: str) -> Refusal:
    text = str(error).removeprefix(f"{name}: ").removeprefix("bytes: ")
    if "no face found" in text:
        return Refusal(422, "no_face", text)
    return Refusal(422, "unknown_name" if isinstance(error, UnknownNameError) else "invalid", text)


def _image(photo: Photo, header: Header) -> dict[str, Any]:
    return {"name": photo.name, "width": header.width, "height": header.height}


def explained(found: Explanations, view: bool) -> dict[str, Any]:
    """Records of explanations, with what it takes to draw them where ``view`` is set."""
    return {
        "explanations": [e.to_dict() | ({"view": shown(e)} if view else {}) for e in found],
        "model": found[0].model,
    }


def shown(explanation: Explanation) -> dict[str, Any]:
    """What a page needs to draw an explanation: the crop, the map as it is painted, the regions."""
    values, limit, unit = painted(explanation)
    e = explanation
    return {
        "crop": data_url(e.crop),
        "values": np.asarray(values, dtype=float).round(5).tolist(),
        "limit": limit,
        "unit": unit,
        "labels": e.labels.tolist(),
        "regions": list(e.regions),
        "footnote": e.footnote,
    }
