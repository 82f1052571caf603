"""One dict per kind of thing: register, get, names, and errors that name the nearest entry.

An entry is one decorated function or class in one file of the kind's package; the registry
imports the package's modules when it is first asked, so nothing else needs to be edited.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points
from threading import RLock
from typing import Generic, TypeVar

from mien.types import UnknownNameError

T = TypeVar("T")


def choose(kind: str, name: str, known: Iterable[str], of: str = "") -> str:
    """Return ``name`` where it is known, else raise UnknownNameError with the nearest one.

    ``of`` says whose it is.

    >>> choose("method", "regions", ["regions", "cam"])
    'regions'
    """
    names = list(known)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UnknownNameError(
        f"unknown {kind} {name!r}{f' of {of}' if of else ''}; {hint}"
        f"known: {', '.join(names) or 'none'}"
    )


class Registry(Generic[T]):
    """Named entries of one kind; an entry's key is its name, and a duplicate fails loudly.

    Parameters
    ----------
    kind
        What an entry is, in words, for errors.
    package
        Whose modules register entries: all of them are imported at the first question.
    group
        Entry points by which other distributions add modules that register entries, such as
        ``mien.explainers``. One that fails to load is left out with a warning.

    >>> shapes = Registry[type]("shape")
    >>> @shapes.register("square")
    ... class Square: ...
    >>> shapes.names()
    ['square']
    >>> shapes.get("sqare")
    Traceback (most recent call last):
    mien.types.UnknownNameError: unknown shape 'sqare'; did you mean 'square'? known: square
    """

    def __init__(self, kind: str, *, package: str = "", group: str = "") -> None:
        self.kind = kind
        self.package = package
        self.group = group
        self._entries: dict[str, T] = {}
        self._filled = False
        self._filling = RLock()

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files an entry under ``name``; ValueError where the name is taken."""

        def add(entry: T) -> T:
            self.add(name, entry)
            return entry

        return add

    def add(self, name: str, entry: T) -> None:
        """File an entry under ``name``; ValueError where the name is taken."""
        if name in self._entries:
            raise ValueError(
                f"{self.kind} {name!r} is already registered; give one of them another name"
            )
        self._entries[name] = entry

    def remove(self, name: str) -> None:
        """Take an entry out again, as a test does with what it added."""
        del self._entries[choose(self.kind, name, self._entries)]

    def get(self, name: str) -> T:
        """The entry filed under ``name``, or UnknownNameError."""
        self._fill()
        return self._entries[choose(self.kind, name, self._entries)]

    def names(self) -> list[str]:
        """All names in the order of the alphabet, whatever was imported first."""
        self._fill()
        return sorted(self._entries)

    def _fill(self) -> None:
        with self._filling:
            if self._filled:
                return
            self._filled = True  # modules of the package may ask while they are imported
            try:
                self._import_package()
            except BaseException:
                self._filled = False
                raise
            self._load_plugins()

    def _import_package(self) -> None:
        if self.package:
            path = importlib.import_module(self.package).__path__
            for module in pkgutil.iter_modules(path, f"{self.package}."):
                importlib.import_module(module.name)

    def _load_plugins(self) -> None:
        for point in entry_points(group=self.group) if self.group else ():
            before = dict(self._entries)
            try:
                point.load()
            except Exception as error:  # what another distribution does must not stop Mien
                self._entries = before
                warnings.warn(
                    f"the {self.kind} plugin {point.name!r} ({point.value}) cannot be loaded "
                    f"({type(error).__name__}: {error}); it is left out",
                    stacklevel=4,
                )
