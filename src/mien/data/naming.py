"""What tables and folders call expressions and splits, as Mien's own names."""

from __future__ import annotations

from typing import Final

from mien.emotions import EIGHT, label
from mien.types import InputError

SPLIT_NAMES: Final = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
    "dev": "val", "test": "test", "testing": "test",
}  # fmt: skip


def mapping(text: str) -> dict[str, str]:
    """The option ``names``: ``joy=happy,1=surprise`` as a dict of names in lower case.

    >>> mapping("Joy=happy")
    {'joy': 'happy'}
    """
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = part.partition("=")
        if not equals:
            raise InputError(f"names: expected such as joy=happy,1=surprise, got {part!r}")
        found[key.strip().lower()] = label(value)
    return found


def meaning(name: str, names: dict[str, str]) -> str:
    """One of Mien's labels for a class's name; UnknownNameError where it means none."""
    return names.get(name.strip().lower()) or label(name, EIGHT)
