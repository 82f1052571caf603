"""One dict per kind of thing: register, create, names, and errors that name the nearest entry."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from mien.types import UnknownNameError

T = TypeVar("T")


def choose(kind: str, name: str, known: Iterable[str]) -> str:
    """Return ``name`` where it is known, else raise UnknownNameError with the nearest one.

    >>> choose("method", "regions", ["regions", "cam"])
    'regions'
    """
    names = list(known)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UnknownNameError(f"unknown {kind} {name!r}; {hint}known: {', '.join(names) or 'none'}")


class Registry(Generic[T]):
    """Named entries of one kind; an entry's key is its name, and a duplicate fails loudly.

    >>> shapes = Registry[type]("shape")
    >>> @shapes.register("square")
    ... class Square: ...
    >>> shapes.names()
    ['square']
    >>> shapes.get("sqare")
    Traceback (most recent call last):
    mien.types.UnknownNameError: unknown shape 'sqare'; did you mean 'square'? known: square
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files an entry under ``name``; ValueError where the name is taken."""

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is already registered")
            self._entries[name] = entry
            return entry

        return add

    def get(self, name: str) -> T:
        """The entry filed under ``name``, or UnknownNameError."""
        return self._entries[choose(self.kind, name, self._entries)]

    def names(self) -> list[str]:
        """All names, in the order of registration."""
        return list(self._entries)
