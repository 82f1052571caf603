"""Checks of a recipe's fields: their types and their ranges."""

from __future__ import annotations

from typing import Any, get_type_hints

from mien.types import InputError


def between(name: str, value: float, low: float, high: float) -> None:
    """Raise InputError for a value out of its range."""
    if not low <= value <= high:
        raise InputError(f"{name}: expected {low:.10g} to {high:.10g}, got {value:.10g}")


def typed(what: str, kind: type, name: str, value: Any) -> Any:
    """The value as the field's type wants it; InputError where it cannot be."""
    wanted = get_type_hints(kind)[name]
    text = str(wanted)
    if text.startswith("tuple"):
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise InputError(f"{what}: expected a list of texts, got {value!r}")
        return tuple(value)
    if wanted is float or text == "float | None":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"{what}: expected a number, got {value!r}")
        return float(value)
    base = dict if text.startswith("dict") else wanted
    if not isinstance(value, base) or (base is int and isinstance(value, bool)):
        raise InputError(f"{what}: expected {base.__name__}, got {value!r}")
    return value
