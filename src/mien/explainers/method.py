"""What an explainer gets and gives, and the registry of methods."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from mien.models.base import BaseModel
from mien.registry import Registry, choose
from mien.results.mosaic import Maps
from mien.types import FloatArray, InputError, IntArray


@dataclass(frozen=True, eq=False)
class Case:
    """One question: which parts of this crop speak for a direction in the logits."""

    model: BaseModel
    pixels: FloatArray  # [C, h, w] in 0..255
    regions: IntArray  # [h, w], index into mien.vision.regions.REGIONS
    direction: FloatArray  # [K]: 1 for the target, -1 for the class it is set against
    baseline: str
    seed: int = 0  # of methods that draw at random

    def score(self, pixels: FloatArray) -> FloatArray:
        """Score ``[N, 1]`` of pixels ``[N, C, h, w]`` along the direction, in logits."""
        return np.asarray(self.model.logits(pixels).astype(np.float64) @ self.direction[:, None])


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a method found: in logits, signed and about the target, unless it says otherwise."""

    values: FloatArray  # [h, w]
    base: float | None  # the score that nothing of the crop gives; None where there is no such
    value: float  # the score of the crop
    players: int  # how many parts share the value
    evaluations: int  # forward passes, counted in images
    interactions: FloatArray | None = None  # [players, players]
    efficient: bool = True  # whether the values are meant to sum to value - base
    baseline: str = ""  # where the method has one of its own
    seed: int | None = None  # where the method drew at random
    options: dict[str, Any] = field(default_factory=dict)
    what: str = "evidence"  # a noun for the values: attention, relevance, activation
    unit: str = "logits"
    signed: bool = True  # whether values below 0 are possible, and mean the opposite
    maps: Maps | None = None  # what lies behind the values, for a picture: layers, heads, features


Method = Callable[..., Evidence]
METHODS: Final = Registry[Method]("method", package="mien.explainers", group="mien.explainers")
Reason = Callable[[BaseModel], str]
_REASONS: Final[dict[Method, Reason]] = {}

#: How tables and pictures list the methods; one that is not here comes last.
ORDER: Final = (
    "regions", "dncshap", "shap", "kernelshap", "lime", "occlusion", "rise", "cam", "gradcam",
    "gradcam++", "layercam", "ig", "attention", "rollout", "gradrollout", "activations",
)  # fmt: skip


@dataclass(frozen=True)
class Traits:
    """What may be asked of a method, known before it runs."""

    baseline: bool = True  # compares the crop with a baseline, which may be chosen
    about_target: bool = True  # False where every expression would get the same map


_TRAITS: Final[dict[Method, Traits]] = {}


def traits(*, baseline: bool = True, about_target: bool = True) -> Callable[[Method], Method]:
    """Decorator for a method that has not all of the usual :class:`Traits`."""

    def add(method: Method) -> Method:
        _TRAITS[method] = Traits(baseline, about_target)
        return method

    return add


def traits_of(name: str) -> Traits:
    """The traits of a registered method.

    >>> traits_of("regions").baseline
    True
    """
    return _TRAITS.get(METHODS.get(name), Traits())


def in_order(methods: Iterable[str]) -> list[str]:
    """Methods, which may carry options or a comma and a comment, as :data:`ORDER` lists them.

    >>> in_order(["cam", "dncshap, printed", "dncshap:levels=4", "regions"])
    ['regions', 'dncshap, printed', 'dncshap:levels=4', 'cam']
    """

    def place(text: str) -> tuple[int, str]:
        name = text.partition(":")[0].partition(",")[0]
        return (ORDER.index(name) if name in ORDER else len(ORDER), text)

    return sorted(methods, key=place)


def read_method(text: str) -> tuple[str, dict[str, Any]]:
    """A method that may carry options, such as ``dncshap:levels=4,contexts=owen``.

    Raises UnknownNameError for a method or option that does not exist, InputError for a value.

    >>> read_method("dncshap:levels=4,contexts=owen")
    ('dncshap', {'levels': 4, 'contexts': 'owen'})
    """
    name, colon, tail = text.partition(":")
    METHODS.get(name)
    return name, read_options(name, tail.split(",")) if colon else {}


def needs(reason: Reason) -> Callable[[Method], Method]:
    """Decorator for a method that not every model has what it takes for.

    ``reason`` says in a few words why it cannot explain a model, "" where it can.
    """

    def add(method: Method) -> Method:
        _REASONS[method] = reason
        return method

    return add


def why_not(name: str, model: BaseModel) -> str:
    """Why a method cannot explain a model, "" where it can.

    >>> from mien.models.base_new import Model
    >>> from mien.models.weights import locate
    >>> why_not("cam", Model(locate("mien")))
    ''
    """
    reason = _REASONS.get(METHODS.get(name))
    return reason(model) if reason else ""


def supported(model: BaseModel) -> list[str]:
    """Names of the methods that work on a model, in the order of :data:`ORDER`.

    >>> from mien.models.base_new import Model
    >>> from mien.models.weights import locate
    >>> "regions" in supported(Model(locate("mien")))
    True
    """
    return [name for name in in_order(METHODS.names()) if not why_not(name, model)]


def check_supported(name: str, model: BaseModel) -> None:
    """InputError where a method cannot explain a model; it names those that can."""
    if reason := why_not(name, model):
        raise InputError(
            f"the method {name!r} cannot explain {model.card.name}: {reason}; "
            f"these can: {', '.join(supported(model))}"
        )


def read_options(name: str, texts: Sequence[str]) -> dict[str, Any]:
    """Options written as ``key=value``, as the method's own types.

    Raises UnknownNameError for one that the method does not take, InputError for a value that is
    not of its type.

    >>> read_options("dncshap", ["levels=4", "contexts=owen"])
    {'levels': 4, 'contexts': 'owen'}
    """
    found: dict[str, Any] = {}
    known = _known(name)
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"expected an option as key=value, got {text!r}")
        if not known:
            raise InputError(f"the method {name!r} takes no options, got {text}")
        wanted = known[choose(f"option of {name!r}", key.strip(), known)]
        try:
            found[key.strip()] = _switch(value) if wanted is bool else wanted(value.strip())
        except ValueError:
            raise InputError(
                f"expected {wanted.__name__} for the option {key!r} of {name!r}, got {value!r}"
            ) from None
    return found


def _switch(text: str) -> bool:
    if text.strip().lower() not in ("true", "false"):
        raise ValueError(text)
    return text.strip().lower() == "true"


def _known(name: str) -> dict[str, type]:
    """The options of a method and their types, from its signature."""
    parameters = inspect.signature(METHODS.get(name), eval_str=True).parameters
    return {key: p.annotation for key, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def checked_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Options that the method takes; UnknownNameError for one it does not, InputError for a type.

    >>> checked_options("dncshap", {"levels": 4})
    {'levels': 4}
    """
    known = _known(name)
    if options and not known:
        raise InputError(f"the method {name!r} takes no options, got {', '.join(options)}")
    for key, value in options.items():
        wanted = known[choose(f"option of {name!r}", key, known)]
        if not isinstance(value, (float, int) if wanted is float else wanted):
            raise InputError(
                f"expected {wanted.__name__} for the option {key!r} of {name!r}, got {value!r}"
            )
    return options
