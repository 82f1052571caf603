"""A model's card: what the network is, what it wants to see, and how its outputs read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, Final, NoReturn

import numpy as np

from mien.models.checks import (
    check_name,
    check_number,
    check_numbers,
    check_output,
    check_plain,
    check_text,
    check_whole,
    shown,
    wrong,
)
from mien.types import InputError, ModelError, UnknownNameError
from mien.vision.framing import Framing
from mien.vision.geometry import Preprocess, anchors
from mien.vision.landmarks import LANDMARKS

CARD_KEY: Final = "mien_card"  # in the ONNX file's metadata
LONGEST: Final = 1_000_000  # characters of a card; those of runs have some ten thousand
LABELS: Final = (2, 1000)  # how many a head may have
SIDE: Final = 2048  # pixels a side; the largest networks for pictures take 1024


@dataclass(frozen=True)
class Head:
    """One label set: its labels, its outputs in the graph, its scale.

    Raises ModelError for what cannot be right: labels that are missing, double or no plain text,
    numbers that are not finite or out of range, biases or shares that are not one per label.
    """

    labels: tuple[str, ...]  # expressions, in the order of the outputs
    logits: str  # name of the output [N, K]
    cam: str | None = None  # name of the output [N, K, h, w] whose mean plus bias is the logits
    bias: tuple[float, ...] = ()  # of the last layer, one per label: what the map of cam leaves out
    temperature: float = 1.0  # divides the logits before the softmax; fitted on validation data
    prior: tuple[float, ...] = ()  # shares of the labels in training; empty where not recorded

    def __post_init__(self) -> None:
        low, high = LABELS
        if not isinstance(self.labels, tuple) or not low <= len(self.labels) <= high:
            raise wrong("labels", f"{low} to {high} labels", self.labels)
        for label in self.labels:
            check_name("a label", label)
        if len(set(self.labels)) != len(self.labels):
            raise wrong("labels", "different labels", self.labels)
        check_output("logits", self.logits)
        if self.cam is not None:
            check_output("cam", self.cam)
        check_number("temperature", self.temperature, 1e-3, 1e3)
        if self.cam is not None or self.bias:
            check_numbers("bias", self.bias, len(self.labels), -1e6, 1e6)
        if self.prior != ():
            self._check_prior()

    def _check_prior(self) -> None:
        shares = f"a prior of {len(self.labels)} positive shares that sum to 1"
        if not isinstance(self.prior, tuple) or len(self.prior) != len(self.labels):
            raise wrong("prior", shares, self.prior)
        for share in self.prior:
            check_number("prior", share, 0, 1)
        if min(self.prior) <= 0 or abs(sum(self.prior) - 1) > 1e-3:
            raise wrong("prior", shares, self.prior)


@dataclass(frozen=True)
class Card:
    """What a model is and where it comes from; it travels inside the model file.

    Raises ModelError for what cannot be right: see :mod:`mien.models.checks` for what may stand
    in it.
    """

    name: str  # what the model is called
    summary: str  # what it is, in a sentence
    preprocess: Preprocess  # what the network wants to see
    heads: dict[str, Head]  # label sets
    default_head: str  # the one that answers where none is named
    template: tuple[tuple[float, float], ...]  # mean landmarks of the training crops, 0..1
    landmarks: str | None = None  # name of the output [N, 24, 2], x and y in 0..1 across the crop
    licence: str = ""  # of the weights
    data: str = ""  # what it learned from
    protocol: str = ""  # on which images what was chosen and tested
    intended_use: str = ""  # for what it is meant, and for what not
    metrics: dict[str, Any] = field(default_factory=dict)  # scores, by split and name
    recipe: dict[str, Any] = field(default_factory=dict)  # how it was trained
    recipe_hash: str = ""  # SHA-256 of the recipe, shortened
    versions: dict[str, str] = field(default_factory=dict)  # of the packages that trained it
    framing: Framing | None = None  # what the training images were; None where not recorded

    def __post_init__(self) -> None:
        check_name("name", self.name)
        for what in ("summary", "licence", "data", "protocol", "intended_use", "recipe_hash"):
            check_text(what, getattr(self, what))
        check_preprocess(asdict(self.preprocess))
        if not isinstance(self.heads, dict) or not 1 <= len(self.heads) <= LABELS[1]:
            raise wrong("heads", "one label set or more, by name", self.heads)
        for name in self.heads:
            check_name("the name of a head", name)
        if self.default_head not in list(self.heads):
            raise wrong("default_head", f"one of {', '.join(self.heads):.100}", self.default_head)
        if self.landmarks is not None:
            check_output("landmarks", self.landmarks)
        _check_template(self.template)
        for what in ("metrics", "recipe", "versions"):
            if not isinstance(getattr(self, what), dict):
                raise wrong(what, "an object", getattr(self, what))
            check_plain(what, getattr(self, what))
        for version in self.versions.values():
            check_text("a version", version)

    def to_json(self) -> str:
        """The card as JSON, as it stands in the file's metadata."""
        return json.dumps(asdict(self), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read a card; ModelError, in one line, for anything that is none."""
        with _named("the model's card cannot be read"):
            raw = _object("the card", _parsed(text), cls)
            pre = _object("preprocess", raw.pop("preprocess"), Preprocess)
            pre = {key: _tuple(value) for key, value in pre.items()}
            check_preprocess(pre)
            named = raw.pop("heads")
            if not isinstance(named, dict):
                raise wrong("heads", "label sets by name", named)
            heads = {}
            for name, head in named.items():
                check_name("the name of a head", name)
                with _named(f"the head {name!r}"):
                    known = _object("it", head, Head)
                    heads[name] = Head(**{key: _tuple(value) for key, value in known.items()})
            if (known := raw.pop("framing", None)) is not None:
                raw["framing"] = _framing(known)
            template = raw.pop("template")
            points = [_tuple(p) for p in template] if isinstance(template, list) else template
            return cls(preprocess=Preprocess(**pre), heads=heads, template=_tuple(points), **raw)


def _framing(raw: Any) -> Framing:
    """The policy by which pictures are cut; ModelError for what is none."""
    given = _object("framing", raw, Framing)
    for name in ("crop", "fit", "detector"):
        check_text(name, given.get(name, ""))
    check_number("margin of the framing", given.get("margin", 0.0), -0.4, 4)
    try:
        return Framing(**given)
    except (InputError, UnknownNameError) as error:
        raise ModelError(f"framing: {error}") from None


def check_preprocess(raw: dict[str, Any]) -> None:
    """ModelError for a preprocessing that no network can have."""
    check_whole("size", raw["size"], 1, SIDE)
    check_whole("channels", raw["channels"], 1, 3)
    if raw["channels"] == 2:
        raise wrong("channels", "1 (grey) or 3 (RGB)", 2)
    check_numbers("mean", raw["mean"], raw["channels"], -1e3, 1e3)
    check_numbers("std", raw["std"], raw["channels"], 1e-6, 1e3)
    check_number("margin", raw.get("margin", 0.0), -0.4, 4)


def _check_template(points: Any) -> None:
    """Twenty-four points across the crop, with eyes and mouth apart, as alignment needs them."""
    if not isinstance(points, tuple) or len(points) != len(LANDMARKS):
        raise wrong("template", f"{len(LANDMARKS)} points", points)
    for point in points:
        check_numbers("a point of the template", point, 2, -1, 2)
    marks = anchors(np.asarray(points, dtype=np.float64))
    if np.linalg.norm(marks[1] - marks[0]) < 0.02 or np.linalg.norm(marks[2] - marks[0]) < 0.02:
        raise wrong("template", "eyes and mouth apart from one another", points)


def _parsed(text: str) -> Any:
    """JSON without NaN and infinity."""
    if len(text) > LONGEST:
        raise ModelError(f"expected at most {LONGEST:,} characters, got {len(text):,}")
    try:
        return json.loads(text, parse_constant=_refused)
    except RecursionError:
        raise ModelError("expected an object of a few levels, got too many") from None
    except ValueError as error:
        raise ModelError(f"expected JSON, but {error}") from None


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"it holds {constant}, which is no number")


def _object(what: str, raw: Any, kind: type[Any]) -> dict[str, Any]:
    """A JSON object with the fields of a dataclass: all that it needs, none that it lacks."""
    if not isinstance(raw, dict):
        raise wrong(what, "an object", raw)
    known = {f.name: f for f in fields(kind)}
    if unknown := sorted(set(raw) - set(known)):
        raise ModelError(f"{what} has the unknown fields {', '.join(map(shown, unknown[:3]))}")
    needed = [n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
    if missing := [name for name in needed if name not in raw]:
        raise ModelError(f"{what} lacks {', '.join(missing)}")
    return dict(raw)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Say of an error within where it lies."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{what}: {error}") from None
