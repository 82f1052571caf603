"""Options of methods, networks, readers and schemes: read from a signature, text or values.

A function's keyword-only parameters are its options; their annotations say of what kind, their
defaults what holds where nothing is given.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Annotated, Any, get_args, get_origin

from mien.registry import choose
from mien.types import InputError

SWITCH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class About:
    """What an option is to whoever chooses it: ``Annotated[int, About("Random masks")]``.

    ``choices`` are the values that it may have, where they are few, each in plain words.
    """

    title: str
    choices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Option:
    """One option: its name, its kind (bool, int, float, str, tuple, Mapping), its default.

    ``title`` and ``choices`` are those of its :class:`About`; without one, its name and none.
    """

    name: str
    kind: type
    default: Any
    title: str = field(default="", compare=False, repr=False)
    choices: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def checked(self, what: str, value: Any) -> Any:
        """The value as the option's kind, lists as tuples; InputError for one of another kind."""
        given = tuple(value) if self.kind is tuple and isinstance(value, list) else value
        if not isinstance(given, int | float) and isinstance(given, Real):  # NumPy's
            given = int(given) if isinstance(given, Integral) else float(given)
        fits = isinstance(given, (float, int) if self.kind is float else self.kind)
        if not fits or (isinstance(given, bool) and self.kind is not bool):
            raise InputError(
                f"expected {_word(self.kind)} for the option {self.name!r} of {what}, got {value!r}"
            )
        return given

    def read(self, what: str, text: str) -> Any:
        """The value that a text means; InputError where it means none."""
        try:
            if self.kind is bool:
                return SWITCH[text.lower()]
            return self.kind(text) if self.kind in (int, float) else text
        except (KeyError, ValueError):
            raise InputError(
                f"expected {_word(self.kind)} for the option {self.name!r} of {what}, got {text!r}"
            ) from None


def _word(kind: type) -> str:
    """A kind in words: ``int`` is a whole number to whoever types it."""
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return words.get(kind, kind.__name__)


def options_of(function: Callable[..., Any]) -> dict[str, Option]:
    """The options of a function, by name, in its order.

    >>> def lime(case, *, samples: int = 500, segment: str = "grid"): ...
    >>> options_of(lime)["samples"]
    Option(name='samples', kind=<class 'int'>, default=500)
    """
    parameters = inspect.signature(function, eval_str=True).parameters.values()
    found = {}
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY:
            notes = [one for one in get_args(p.annotation) if isinstance(one, About)]
            about = notes[0] if notes else About(p.name)
            kind = kind_of(p.annotation)
            found[p.name] = Option(p.name, kind, p.default, about.title, about.choices)
    return found


def kind_of(annotation: Any) -> type:
    """The plain kind behind an annotation: ``tuple[int, ...]`` is a tuple, ``int | None`` an int.

    >>> kind_of(tuple[int, ...]), kind_of(int | None)
    (<class 'tuple'>, <class 'int'>)
    """
    if get_origin(annotation) is Annotated:
        return kind_of(get_args(annotation)[0])
    plain = [part for part in get_args(annotation) if part is not type(None)]
    if type(None) in get_args(annotation) and len(plain) == 1:
        return kind_of(plain[0])
    found: type = get_origin(annotation) or annotation
    return found


def read(what: str, known: Mapping[str, Option], texts: Sequence[str]) -> dict[str, Any]:
    """Options written as ``key=value``, as their own kinds.

    Raises UnknownNameError for a name that is not ``known``, InputError for a text that is no
    ``key=value``, a value of another kind, or any option of what takes none.

    >>> def lime(case, *, samples: int = 500): ...
    >>> read("'lime'", options_of(lime), ["samples=90"])
    {'samples': 90}
    """
    return {key: _known(what, known, key).read(what, value) for key, value in pairs(texts).items()}


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """Options written as ``key=value`` as names and texts; InputError for a text that is none.

    >>> pairs(["samples = 90", "names=joy=happy"])
    {'samples': '90', 'names': 'joy=happy'}
    """
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"expected an option as key=value, got {text!r}")
        found[key.strip()] = value.strip()
    return found


def check(what: str, known: Mapping[str, Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Options as values of their own kinds.

    Raises UnknownNameError for a name that is not ``known``, InputError for a value of another
    kind (True is no number), or any option of what takes none.

    >>> def dncshap(case, *, levels: int = 6): ...
    >>> check("'dncshap'", options_of(dncshap), {"levels": True})
    Traceback (most recent call last):
    mien.types.InputError: expected a whole number for the option 'levels' of 'dncshap', got True
    """
    return {key: _known(what, known, key).checked(what, value) for key, value in given.items()}


def _known(what: str, known: Mapping[str, Option], key: str) -> Option:
    if not known:
        raise InputError(f"{what} takes no options, got {key!r}; leave it out")
    return known[choose("option", key, known, of=what)]
