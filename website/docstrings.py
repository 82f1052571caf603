"""Docstrings and comments as they stand in Mien's source, arranged for the reference.

Mien's docstrings say what a function does, then its parameters, then what it raises and an example.
Griffe reads a section to the next heading, so that what follows the parameters is set before them.
Fields of dataclasses are described by the comment behind them, or the ``#:`` line above.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import griffe

ROLE: Final = re.compile(r":(?:func|meth|class|mod|data|attr|exc):`([^`]+)`")
THOSE_OF: Final = re.compile(r"Parameters are those of [^.]*(?:\.[\w`][^.]*)*\.")
NO_WORDS: Final = ("noqa", "type:", "fmt:")  # what tools read in comments


def arranged(text: str) -> str:
    r"""A docstring in the order that griffe reads: prose, parameters, examples.

    >>> text = "Add.\n\nParameters\n----------\nx\n    A number.\n\nRaises.\n\n>>> 1\n1"
    >>> arranged(text).splitlines()[:5]
    ['Add.', '', 'Raises.', '', 'Parameters']
    """
    lines = ROLE.sub(r"`\1`", text).splitlines()
    heads = [i for i, line in enumerate(lines[1:]) if re.fullmatch(r"-{3,}", line)]
    start = heads[0] if heads else len(lines)
    head, section = "\n".join(lines[:start]), lines[start:]
    stop = _end_of_section(section)
    prose: list[str] = []
    examples: list[str] = []
    for part in [*_parts(head), *_parts("\n".join(section[stop:]))]:
        (examples if part.startswith(">>>") else prose).append(part)
    written = [*prose, "\n".join(section[:stop]).rstrip()]
    if examples:
        written.append("Examples\n--------\n" + "\n\n".join(examples))
    return "\n\n".join(part for part in written if part)


def _parts(text: str) -> list[str]:
    return [part.strip("\n") for part in re.split(r"\n\s*\n", text) if part.strip()]


def _end_of_section(lines: list[str]) -> int:
    """Where the first section ends: at a line at the margin that describes no parameter."""
    for i, line in enumerate(lines[2:], 2):
        below = lines[i + 1] if i + 1 < len(lines) else ""
        if line and not line.startswith(" ") and not lines[i - 1] and not below.startswith(" "):
            return i
    return len(lines)


def comment(lines: list[str], number: int) -> str:
    """What the source says of the field in line ``number`` (from 1), behind it or above.

    >>> comment(["size: int  # in pixels"], 1), comment(["#: Names.", "names = ()"], 2)
    ('in pixels', 'Names.')
    """
    code, mark, behind = lines[number - 1].rpartition("  # ")
    if mark and not behind.startswith(NO_WORDS) and not code.lstrip().startswith("#"):
        return behind.strip()
    above: list[str] = []
    while number - 2 - len(above) >= 0:
        line = lines[number - 2 - len(above)].strip()
        if not line.startswith("#:"):
            break
        above.insert(0, line[2:].strip())
    return " ".join(above)


def members(of: griffe.Object | griffe.Alias) -> Iterable[griffe.Object]:
    """Everything that a package defines itself, at any depth."""
    for member in of.members.values():
        if isinstance(member, griffe.Object):
            yield member
            yield from members(member)


class Arranged(griffe.Extension):
    """Gives griffe arranged docstrings, the comments of fields, parameters said elsewhere."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Arrange what a package holds, once it is read."""
        found = list(members(pkg))
        sources = [(m, THOSE_OF.search(m.docstring.value)) for m in found if m.docstring]
        for member in found:
            if member.docstring is not None:
                member.docstring.value = arranged(member.docstring.value)
            elif isinstance(member, griffe.Attribute) and (said := _comment_of(member)):
                text = ROLE.sub(r"`\1`", said)
                text = text[0].upper() + text[1:].rstrip(".") + "."
                member.docstring = griffe.Docstring(text, parent=member)
        for member, those in sources:
            if those and isinstance(member, griffe.Function) and member.docstring is not None:
                named = [_named(name, member, pkg) for name in ROLE.findall(those[0])]
                member.docstring.value = _with_parameters(member, named)


def _named(name: str, near: griffe.Function, package: griffe.Module) -> Any:
    """A function by the name that a docstring gives it: of its module, or public."""
    first, _, rest = name.partition(".")
    held = near.module.members.get(first) or package.members[first]
    path = held.target_path if isinstance(held, griffe.Alias) else held.path
    found = package[path.removeprefix(f"{package.name}.")]
    return found[rest] if rest else found


def _with_parameters(of: griffe.Function, named: list[Any]) -> str:
    """The docstring of a function with the parameters that the named functions describe."""
    said: dict[str, str] = {}
    for other in named:
        for section in other.docstring.parse("numpy", warn_missing_types=False):
            if section.kind is griffe.DocstringSectionKind.parameters:
                said |= {p.name: p.description for p in section.value}
    lines = ["Parameters", "----------"]
    for name in (p.name for p in of.parameters if p.name in said):
        lines += [name, *(f"    {line}" for line in said[name].splitlines())]
    text = of.docstring.value if of.docstring else ""
    prose, heading, examples = text.partition("Examples\n--------\n")
    return "\n\n".join([prose.rstrip(), "\n".join(lines), heading + examples]).rstrip()


def _comment_of(member: griffe.Attribute) -> str:
    if member.lineno is None or not isinstance(member.filepath, Path):
        return ""
    return comment(list(member.lines_collection[member.filepath]), member.lineno)
