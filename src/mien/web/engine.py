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
from mien.results.draw import data_url
from mien.results.evidence import Query
from mien.results.evidence_rows import evidence_csv
from mien.results.explanation import Explanation, Explanations
from mien.results.predictions import Predictions
from mien.results.sheets import painted
from mien.results.vector import picture_file
from mien.types import InputError, MienError, Prediction, Stopped, UnknownNameError
from mien.vision.formats import Header
from mien.vision.regions import region_centres, region_map
from mien.web.choices import OWN, Choice, Choices
from mien.web.limits import Refusal, read_header
from mien.web.settings import Limits

MASK = 432  # pixels, the side of a mask of regions
FEW = 40_000_000  # pixels of photos that are decoded ahead, 120 MB


@dataclass(frozen=True, eq=False)
class Photo:
    """One image as it was sent."""

    data: bytes = field(repr=False)
    name: str = "image"
    choice: Choice = OWN
    csv: bool = False  # a table instead of a record


@dataclass(frozen=True, eq=False)
class Question:
    """A query about a photo, as it was asked of the service."""

    photo: Photo
    query: Query = field(default_factory=Query)
    face: int | None = None
    view: bool = False
    format: str = "json"  # or csv, or a kind of picture
    scale: float = 1.0
    left: Event = field(default_factory=Event)  # set when nobody waits for the answer any more


class Engine:
    """A recognizer behind the service; its methods run in any thread."""

    def __init__(self, recognizer: Recognizer, limits: Limits) -> None:
        self.recognizer, self.limits = recognizer, limits
        self.choices = Choices(recognizer)

    def warm(self) -> None:
        """One answer to an empty picture, so that the first caller need not wait."""
        self.recognizer.predict(np.full((64, 64, 3), 128, dtype=np.uint8))

    def predict(self, photos: Sequence[Photo]) -> list[bytes | dict[str, Any] | Exception]:
        """One answer per photo; a bad photo costs no other its answer."""
        answers: list[bytes | dict[str, Any] | Exception] = []
        heads: dict[Choice, list[tuple[int, Photo, Header]]] = {}
        for i, photo in enumerate(photos):
            answers.append({})
            try:
                head = read_header(photo.data, self.limits.pixels)
                heads.setdefault(photo.choice, []).append((i, photo, head))
            except Refusal as refusal:
                answers[i] = refusal
        for choice, group in heads.items():
            try:
                found = self._predicted(self.choices.get(choice), group)
            except Refusal as refusal:
                found = [refusal] * len(group)
            for (i, *_), answer in zip(group, found, strict=True):
                answers[i] = answer
        return answers

    def _predicted(
        self, recognizer: Recognizer, heads: Sequence[tuple[int, Photo, Header]]
    ) -> Sequence[bytes | dict[str, Any] | Exception]:
        """Answers to photos that are asked alike, by one call of the model."""
        named = ((photo.name, photo.data) for _, photo, _ in heads)
        readers = 0 if len(heads) == 1 or sum(h.pixels for *_, h in heads) > FEW else 2
        found = recognizer.predict_many(
            named, reduced=True, batch=self.limits.batch, readers=readers
        )
        return [
            _answer(photo, header, rows, recognizer)
            for (_, photo, header), rows in zip(heads, found, strict=True)
        ]

    def explain(self, question: Question) -> bytes | dict[str, Any]:
        """A JSON-ready answer, or the file that was asked for; raises Refusal."""
        ends = time.monotonic() + self.limits.explain_seconds

        def check() -> None:
            if question.left.is_set() or time.monotonic() > ends:
                raise Stopped

        photo = question.photo
        header = read_header(photo.data, self.limits.pixels)
        try:
            found = self.choices.get(photo.choice).explain(
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
        if question.format == "csv":
            return evidence_csv(found.rows).encode("utf-8", "replace")
        if question.format != "json":
            return picture_file(found.drawing(), question.format, question.scale)
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


def _answer(
    photo: Photo, header: Header, rows: Sequence[Prediction], recognizer: Recognizer
) -> bytes | dict[str, Any] | Exception:
    """What a photo's rows come to: a record, a table, or why there is none."""
    if rows[0].error is not None:
        text = rows[0].error.removeprefix(f"{photo.name}: ")
        return Refusal(422, "not_an_image", text.removeprefix("bytes: "))
    if photo.csv:
        table = Predictions(tuple(rows), recognizer.labels, recognizer.prior)
        return table.text("csv").encode("utf-8", "replace")
    return {
        "image": _image(photo, header),
        "faces": [row.to_dict() for row in rows if row.face_id is not None],
        "model": recognizer.model.identity,
    }


def _image(photo: Photo, header: Header) -> dict[str, Any]:
    return {"name": photo.name, "width": header.width, "height": header.height}


def explained(found: Explanations, view: bool) -> dict[str, Any]:
    """Records of explanations, with what it takes to draw them where ``view`` is set."""
    return {
        "explanations": [e.to_dict() | ({"view": shown(e)} if view else {}) for e in found],
        "model": found[0].model,
    }


def shown(explanation: Explanation) -> dict[str, Any]:
    """What a page needs to draw an explanation: the crop, the map as it is painted, the regions.

    ``mask`` is a grey picture whose levels are the regions' numbers, and ``outlines`` are closed
    lines in 0..1 across the crop: both without the steps of the network's pixels. ``names`` are
    places for the regions' names.
    """
    values, limit, unit = painted(explanation)
    e = explanation
    mask = region_map(e.landmarks, len(e.labels), MASK).astype(np.uint8)
    return {
        "crop": data_url(e.crop),
        "values": np.asarray(values, dtype=float).round(5).tolist(),
        "limit": limit,
        "unit": unit,
        "labels": e.labels.tolist(),
        "regions": list(e.regions),
        "regional": e.evidence.regional and not e.empty,
        "mask": data_url(np.repeat(mask[..., None], 3, axis=2)),
        "outlines": {
            name: [np.round(line, 4).tolist() for line in lines]
            for name, lines in e.outlines.items()
            if name != "background"
        },
        "names": {
            name: [round(v, 4) for v in place]
            for name, place in region_centres(e.landmarks, len(e.labels)).items()
            if name != "background"
        },
        "footnote": e.footnote,
    }
