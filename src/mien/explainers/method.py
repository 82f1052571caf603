"""What an explainer gets and gives, and the registry of methods."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final

import numpy as np

from mien import options
from mien.metrics import probabilities
from mien.models.base import BaseModel
from mien.options import Option
from mien.registry import Registry, choose
from mien.results.evidence import Evidence, Query
from mien.results.words import HIDING, NOT_HIDING
from mien.types import FloatArray, InputError, IntArray

__all__ = [
    "METHODS",
    "Case",
    "Evidence",
    "Method",
    "Query",
    "method",
    "names",
    "overlays",
    "read_query",
]


def go_on() -> None:
    """What a case does before each pass where nobody wants it stopped: nothing."""


@dataclass(frozen=True, eq=False)
class Case:
    """One face and one question, as a method sees them: what speaks for a direction in the logits.

    Before every forward pass a method calls ``stop``, which raises
    :class:`mien.types.Stopped` where nobody waits for the answer any more; :meth:`score` does so
    itself.
    """

    model: BaseModel  # whose score is explained
    pixels: FloatArray = field(repr=False)  # [C, h, w] in 0..255
    regions: IntArray = field(repr=False)  # [h, w], index into mien.vision.regions.REGIONS
    direction: FloatArray  # [K]: 1 for the target, -1 for the class it is set against
    baseline: str = "mean"  # what stands where a part is hidden
    seed: int = 0  # of methods that draw at random
    stop: Callable[[], None] = field(default=go_on, repr=False)
    quantity: str = "logit"  # what a score is: the logit, or the calibrated probability
    answered: tuple[int, ...] = ()  # the labels that share the probability; all where empty

    def score(self, pixels: FloatArray) -> FloatArray:
        """Score ``[N, 1]`` of pixels ``[N, C, h, w]`` along the direction.

        In logits, or where the quantity is the probability as that of the answers.

        Parameters
        ----------
        pixels
            ``[N, C, h, w]`` in 0..255.
        """
        self.stop()
        logits = self.model.logits(pixels).astype(np.float64)
        direction = self.direction[:, None]
        if self.quantity == "logit":
            return np.asarray(logits @ direction)
        columns = list(self.answered) or list(range(logits.shape[1]))
        shares = probabilities(logits[:, columns], self.model.head.temperature)
        return np.asarray(shares @ direction[columns])


QUANTITIES: Final = ("logit", "probability")


Quantity = Annotated[
    str,
    options.About(
        "What is explained",
        {
            "logit": "the score before it becomes a probability",
            "probability": "the calibrated probability of the answer",
        },
    ),
]


def _quantity(*, quantity: Quantity = "logit") -> None: ...


QUANTITY: Final = options.options_of(_quantity)
Function = Callable[..., Evidence]
Needs = Callable[[BaseModel], str]


def nothing(_model: BaseModel) -> str:
    """What a method needs that only asks for answers: nothing."""
    return ""


@dataclass(frozen=True)
class Method:
    """One way to explain an answer: what it runs, what it needs, and what may be asked of it.

    Parameters
    ----------
    run
        Takes a :class:`Case` and its options as keyword-only parameters, whose annotations and
        defaults are read from the signature; gives :class:`Evidence`.
    rank
        Its place in tables and pictures, lowest first; Mien's own are 0 to 150.
    needs
        Says in a few words why it cannot explain a model, "" where it can.
    baseline
        Whether it compares the crop with a baseline, which may be chosen.
    quantities
        What its score may be: methods that only ask for answers, parts hidden, explain the
        ``logit`` or the ``probability``, by an option ``quantity``; others the logit.
    about_target
        False where every expression would get the same map.
    judged
        Whether it stands as an attribution method when methods are compared.
    budget
        Options that cost about 256 forward passes, the same for all when they are compared.
    variants
        Further rows of such a comparison: a name after the method's own, and its options.
    tiny
        Options that make it cheap enough for a test.
    most
        The largest value of an option that a public service should allow.
    tolerance
        How far the parts of an efficient method may miss their total, relative to it.
    title
        What it is called where people choose it, in a few plain words; "" is its name.
    overlay
        Whether it can be drawn over the faces of a video: ``frame`` where it takes one pass and is
        worked out for every frame, ``key`` where it takes more and is worked out for some, "" for
        neither.
    reference
        Whether the overlap of other methods with it is measured when methods are compared.
    footnote
        What its numbers are, for people who have not read the documentation; "" says so in general.
    """

    name: str  # its key in the registry
    run: Function
    rank: float = 1000.0
    needs: Needs = nothing
    baseline: bool = True
    quantities: tuple[str, ...] | None = None
    about_target: bool = True
    judged: bool = True
    budget: Mapping[str, Any] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    tiny: Mapping[str, Any] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)
    tolerance: float = 1e-4
    title: str = ""
    overlay: str = ""
    reference: bool = False
    footnote: str = ""

    def __post_init__(self) -> None:
        choose("overlay", self.overlay, ("", "frame", "key"))
        if not self.title:
            object.__setattr__(self, "title", self.name)
        if not self.footnote:
            object.__setattr__(self, "footnote", HIDING if self.baseline else NOT_HIDING)
        if self.quantities is None:
            object.__setattr__(self, "quantities", QUANTITIES if self.baseline else ("logit",))

    @property
    def options(self) -> dict[str, Option]:
        """What it takes besides the case: from its signature, and the quantity where it may."""
        known = options.options_of(self.run)
        return known if self.quantities == ("logit",) else known | QUANTITY

    @property
    def summary(self) -> str:
        """The first paragraph of what it says of itself, without markup."""
        text = (inspect.getdoc(self.run) or "").split("\n\n")[0].replace("\n", " ")
        return text.replace("``", "")

    def check(self, model: BaseModel, query: Query) -> None:
        """Raise where a query cannot be answered: InputError, or UnknownNameError for an option.

        Parameters
        ----------
        model
            Who is to be explained.
        query
            What is asked.
        """
        if reason := self.needs(model):
            raise InputError(
                f"the method {self.name!r} cannot explain {model.card.name}: {reason}; "
                f"these can: {', '.join(names(model))}"
            )
        if query.baseline is not None and not self.baseline:
            raise InputError(
                f"the method {self.name!r} hides nothing and takes no baseline; leave it out"
            )
        if query.against is not None and not self.about_target:
            raise InputError(
                f"the method {self.name!r} gives the same map for every expression and takes no "
                "'against'; leave it out"
            )
        self.checked(query.options)

    def checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Options as values of their kinds; raises as :func:`mien.options.check`.

        Parameters
        ----------
        given
            Options by their names.
        """
        found = options.check(f"the method {self.name!r}", self.options, given)
        choose("quantity", found.get("quantity", "logit"), QUANTITIES)
        return found


#: The registry of methods.
METHODS: Final = Registry[Method]("method", package="mien.explainers", group="mien.explainers")


def method(name: str, **traits: Any) -> Callable[[Function], Function]:
    """Decorator that registers a function as a method; ``traits`` are fields of :class:`Method`.

    >>> @method("even", rank=99, baseline=False)
    ... def even(case: Case) -> Evidence:
    ...     '''The same everywhere.'''
    ...     values = np.full(case.pixels.shape[1:], 1.0)
    ...     return Evidence(values, None, 1.0, players=1, evaluations=0, efficient=False)
    >>> METHODS.get("even").summary
    'The same everywhere.'
    >>> METHODS.remove("even")
    """

    def add(run: Function) -> Function:
        METHODS.add(name, Method(name=name, run=run, **traits))
        return run

    return add


def names(model: BaseModel | None = None) -> list[str]:
    """Names of all methods as tables list them, or of those that can explain a model.

    Parameters
    ----------
    model
        Leave out what cannot explain it; None leaves out nothing.

    >>> names()[0]
    'regions'
    """
    found = in_order(METHODS.names())
    return found if model is None else [n for n in found if not METHODS.get(n).needs(model)]


def overlays(model: BaseModel | None = None) -> list[str]:
    """Methods that can be drawn over the faces of a video, of all or of those for a model.

    >>> overlays()[:2]
    ['regions', 'cam']
    """
    return [name for name in names(model) if METHODS.get(name).overlay]


def in_order(texts: Iterable[str]) -> list[str]:
    """Methods, which may carry options or a comma and a comment, by their rank.

    >>> in_order(["cam", "dncshap, printed", "dncshap:levels=4", "regions"])
    ['regions', 'dncshap, printed', 'dncshap:levels=4', 'cam']
    """

    def place(text: str) -> tuple[float, str]:
        return METHODS.get(text.partition(":")[0].partition(",")[0]).rank, text

    return sorted(texts, key=place)


def read_query(text: str, like: Query | None = None) -> Query:
    """The query of a method that may carry options, such as ``dncshap:levels=4,contexts=owen``.

    Everything else is as in ``like``, whose baseline goes to methods that take one. Raises
    UnknownNameError for a method or option that does not exist, InputError for a value.

    >>> read_query("dncshap:levels=4,contexts=owen").options
    {'levels': 4, 'contexts': 'owen'}
    """
    like = like or Query()
    name, colon, tail = text.partition(":")
    found = METHODS.get(name)
    given = options.read(f"the method {name!r}", found.options, tail.split(",")) if colon else {}
    baseline = like.baseline if found.baseline else None
    return replace(like, method=name, baseline=baseline, options=given)
