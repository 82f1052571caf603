"""TOML as recipes need it: read with its file named in errors, and written."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mien.types import InputError


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a file; InputError, which names it, where it is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:  # RecursionError: nested too deep
        raise InputError(f"{path}: expected TOML ({error})") from error


def table(name: str, values: Mapping[str, Any]) -> str:
    """A table with its header.

    >>> print(table("data", {"sets": ("rafdb",), "under": 0.5}), end="")
    [data]
    sets = ["rafdb"]
    under = 0.5
    """
    return f"[{name}]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in values.items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{k} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    # JSON's scalars are TOML's too, but for its surrogate pairs
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def flat(table: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values: TOML takes a dotted name without quotes as tables in tables.

    >>> list(flat({"training": {"epochs": [3, 5]}}))
    [('training.epochs', [3, 5])]
    """
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{start}{name}.")
        else:
            yield f"{start}{name}", value
