"""The public names of a module as mkdocstrings shows them, and what their docstrings leave out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import griffe

from website.fields import source


def names_of(module: str, chosen: Sequence[str] = ()) -> list[str]:
    """The public names of a module: those chosen, or all that its ``__all__`` lists, by kind.

    Functions and classes come first, then values, and errors last.
    """
    if chosen:
        return [f"{module}.{name}" for name in chosen]
    found = source() if module == "mien" else source()[module.removeprefix("mien.")]
    listed = [str(name).strip("'\"") for name in found.exports or ()]
    listed = [name for name in listed if not name.startswith("__")]
    return [f"{module}.{name}" for name in sorted(listed, key=lambda n: (_rank(found[n]), n))]


def _rank(member: Any) -> int:
    error = member.is_class and any("Error" in str(base) for base in member.bases)
    kinds = (member.is_function, member.is_class and not error, not member.is_class)
    return kinds.index(True) if True in kinds else len(kinds)


def shown(module: str, chosen: Sequence[str] = ()) -> str:
    """Markdown that asks mkdocstrings for each name."""
    return "\n\n".join(f"::: {name}" for name in names_of(module, chosen))


def gaps(path: str) -> Iterator[str]:
    """What is missing in the docstrings of a public name and of its public members.

    A docstring is there, and names every parameter.
    """
    found = source()[path.removeprefix("mien.")]
    found = found.final_target if found.is_alias else found
    yield from _gaps(path, found)
    if found.is_class:
        for name, member in found.all_members.items():
            inner = member.final_target if member.is_alias else member
            if not name.startswith("_") and str(inner.path).startswith("mien."):
                yield from _gaps(f"{path}.{name}", inner, of=found)


def _gaps(path: str, found: Any, of: Any = None) -> Iterator[str]:
    around = f"{of.docstring.value if of is not None and of.docstring else ''}"
    if found.docstring is None:
        if not (of is not None and found.is_attribute and _names(around, found.name)):
            yield f"{path} has no docstring"
    elif found.is_function:
        text = found.docstring.value
        for parameter in found.parameters:
            name = parameter.name
            hidden = name in ("self", "cls") or parameter.kind in (
                griffe.ParameterKind.var_positional,
                griffe.ParameterKind.var_keyword,
            )
            if not hidden and not _names(text, name):
                yield f"{path} does not say what its parameter {name!r} is"


def _names(text: str, name: str) -> bool:
    """Whether a docstring names a parameter, as code or in its section of parameters."""
    return re.search(rf"`{name}\b|^(?:\w+, )*{name}(?:, \w+)*$", text, re.M) is not None
