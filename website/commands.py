"""The reference of the commands, from the Typer app."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Final, get_args, get_origin, get_type_hints

from typer.main import get_command

from mien.commands.main import app
from mien.commands.registered import filled

KINDS: Final = {str: "text", int: "number", float: "number", Path: "path"}


def pages() -> str:
    """Markdown for every command: what it does, its arguments and its options.

    Raises ValueError for a command or an option without a word of help.
    """
    return "\n\n".join(_section(words, command) for words, command in commands(get_command(app)))


def commands(command: Any, before: tuple[str, ...] = ("mien",)) -> Iterator[tuple[str, Any]]:
    """Each command and group with the words that call it, in the order of the help."""
    yield " ".join(before), command
    for name in command.list_commands(None) if hasattr(command, "commands") else ():
        yield from commands(command.commands[name], (*before, name))


def _section(words: str, command: Any) -> str:
    text = inspect.cleandoc(command.help or "")
    if not text:
        raise ValueError(f"{words}: the command has no help")
    group = hasattr(command, "commands")
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    usage = [words, *(_metavar(p) for p in arguments), "[OPTIONS]" * bool(options)]
    usage += ["COMMAND"] if group else []
    level = "##" if words.count(" ") < 2 else "###"
    parts = [f"{level} `{words}`", _plain(text), f"```text\n{' '.join(filter(None, usage))}\n```"]
    if arguments:
        rows = [(f"`{_metavar(p)}`", _said(words, p)) for p in arguments]
        parts.append(_table(("argument", "what it is"), rows))
    if options:
        kinds = get_type_hints(command.callback)
        cells = [(_names(p, kinds), _default(p), _said(words, p)) for p in options]
        parts.append(_table(("option", "default", "what it does"), cells))
    return "\n\n".join(parts)


def _metavar(p: Any) -> str:
    name = p.name.upper() + ("..." if p.nargs == -1 else "")
    return name if p.required else f"[{name}]"


def _names(p: Any, kinds: dict[str, Any]) -> str:
    names = ", ".join(f"`{name}`" for name in [*p.opts, *p.secondary_opts])
    return names if p.is_flag else f"{names} {_kind(kinds[p.name])}"


def _kind(annotation: Any) -> str:
    """What an option takes, in a word or by its choices.

    >>> _kind(int | None), _kind(list[str])
    ('*number*', '*text, again and again*')
    """
    inner = [kind for kind in get_args(annotation) if kind is not type(None)]
    if get_origin(annotation) is list:
        return f"{_kind(inner[0])[:-1]}, again and again*"
    if inner:
        return _kind(inner[0])
    if issubclass(annotation, Enum):
        return f"*{', '.join(str(choice.value) for choice in annotation)}*"
    return f"*{KINDS[annotation]}*"


def _default(p: Any) -> str:
    value = p.default() if callable(p.default) else p.default
    if p.is_flag:
        return "on" if value is True else "off"
    if p.required:
        return "needed"
    return "" if value in (None, (), []) else f"`{getattr(value, 'value', value)}`"


def _said(words: str, p: Any) -> str:
    if not p.help:
        raise ValueError(f"{words}: {p.name} has no help")
    return _plain(" ".join(filled(p.help).split()))


def _plain(text: str) -> str:
    """Help as Markdown: what looks like markup stands as it is, options are code."""
    text = re.sub(r"([*_|<\[])", r"\\\1", text)
    return re.sub(r"(?<![\w`-])(--[a-z][a-z-]*|\$?[a-z_]+=[\w.,=]+)", r"`\1`", text)


def _table(header: tuple[str, ...], rows: list[Any]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
