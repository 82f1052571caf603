"""The work itself, in threads: photos in, JSON-ready answers out."""

from __future__ import annotations

import base64
import copy
import io
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.explainers.method import METHODS, read_options
from mien.models.base import BaseModel
from mien.recognizer import Recognizer
from mien.results.explanation import Explanation, Explanations
from mien.results.sheets import painted
from mien.results.words import footnote
from mien.types import FloatArray, InputError, MienError, UnknownNameError
from mien.web.limits import Header, Refusal, read_header
from mien.web.settings import Limits

if TYPE_CHECKING:
    from mien.models.torch.spec import Spec  # which imports torch

FEW = 40_000_000  # pixels of photos that are decoded ahead, 120 MB


@dataclass(frozen=True, eq=False)
class Photo:
    """One image as it was sent."""

    data: bytes = field(repr=False)
    name: str = "image"


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked about a photo."""

    photo: Photo
    face: int | None = None
    method: str = "regions"
    target: str | None = None
    against: str | None = None
    baseline: str | None = None
    options: tuple[str, ...] = ()
    view: bool = False
    png: bool = False
    left: Event = field(default_factory=Event)  # set when nobody waits for the answer any more


class Stopped(Exception):  # noqa: N818 - it stops the work, nothing failed
    """The caller of an explanation has left, or its time is up."""


class Watched(BaseModel):
    """A model that asks, before each forward pass, whether to go on.

    Every method that hides parts of a picture runs through here, so none can hold a thread for
    longer than one batch after its caller has left.
    """

    def __init__(self, model: BaseModel, check: Callable[[], None]) -> None:
        self._model, self._check = model, check
        self.card, self.head_name, self.head = model.card, model.head_name, model.head
        self.sha256 = model.sha256

    def _outputs(self, names: Sequence[str], values: FloatArray) -> list[FloatArray]:
        self._check()
        return self._model._outputs(names, values)

    @property
    def net(self) -> Any:  # noqa: D102 - as in BaseModel
        return self._model.net

    @property
    def spec(self) -> Spec | None:  # noqa: D102 - likewise
        return self._model.spec


class Engine:
    """A recognizer behind the service; its methods run in any thread."""

    def __init__(self, recognizer: Recognizer, limits: Limits) -> None:
        self.recognizer, self.limits = recognizer, limits
        # a network in torch is lent with hooks to one caller at a time; files bear any number
        self._lent = nullcontext() if recognizer.model.net is None else Lock()

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
        with self._lent:
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
            options = self._options(question)
            with self._lent:
                found = self._watched(check).explain(
                    photo.data,
                    face=question.face,
                    method=question.method,
                    target=question.target,
                    against=question.against,
                    baseline=question.baseline,
                    options=options,
                    names=[photo.name],
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

    def _options(self, question: Question) -> dict[str, Any]:
        METHODS.get(question.method)
        options = read_options(question.method, question.options)
        for name, value in options.items():
            # what is squared or cubed in memory is bounded by the methods themselves
            most = 8 if name == "levels" else self.limits.explain_options
            if isinstance(value, int | float) and name != "seed" and not abs(value) <= most:
                raise InputError(f"{name}: expected at most {most} here, got {value}")
        return options

    def _watched(self, check: Callable[[], None]) -> Recognizer:
        mine = copy.copy(self.recognizer)
        same = mine.locator is mine.model
        mine.model = Watched(mine.model, check)
        if same:
            mine.locator = mine.model
        return mine


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
        "crop": "data:image/png;base64," + base64.b64encode(png(e.crop)).decode(),
        "values": np.asarray(values, dtype=float).round(5).tolist(),
        "limit": limit,
        "unit": unit,
        "labels": e.labels.tolist(),
        "regions": list(e.regions),
        "footnote": footnote(e),
    }


def png(picture: Any) -> bytes:
    """A picture ``[H, W, 3]`` as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG", compress_level=3)
    return buffer.getvalue()
