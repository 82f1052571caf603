"""The reference of records and cards, from the dataclasses and the comments in them."""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import Any, Final

import griffe
import numpy as np

from website.docstrings import Arranged
from website.links import ROOT

log = logging.getLogger("mkdocs.hooks.mien")  # a warning fails the build, which is strict
#: Keys of a record that are called otherwise, or explained otherwise, than the attribute behind.
RECORD: Final = {
    "query": "The question: method, target, against, baseline, options and seed as resolved.",
    "efficiency_gap": "How far the parts miss `value - base`, relative to it; null where the "
    "method promises no sum.",
    "prediction": "The answer that is explained: a row of `mien predict`.",
    "regional": "Whether a player is a whole facial region, painted in one colour.",
    "reference": "What has the score `base`, in words; empty for the crop with all of it hidden.",
    "remedy": "What helps where the parts miss their total, in words.",
    "sentence": "The answer and its main parts, in words.",
    "paragraph": "The answer, what made it so, and how far to believe that.",
}


@cache
def source() -> Any:
    """Mien's source as griffe reads it, without importing it."""
    return griffe.load(
        "mien",
        search_paths=[ROOT / "src"],
        allow_inspection=False,
        extensions=griffe.load_extensions(Arranged),
    )


def said(member: Any) -> str:
    """The first paragraph of a member's docstring, in one line; "" where there is none."""
    text = member.docstring.value if member.docstring else ""
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")


def dataclass_fields(path: str) -> str:
    """A table of a dataclass's fields: name, type, default, meaning.

    A field that nothing is said of is a warning, which fails the build.
    """
    found = source()[path.removeprefix("mien.")]
    rows = []
    for name, member in found.members.items():
        if not member.is_attribute or name.startswith("_") or "property" in member.labels:
            continue
        meaning = said(member) or _parameters(found).get(name)
        if not meaning:
            log.warning("%s.%s: no comment says what it is", path, name)
        rows.append(f"| `{name}` | {_kind(member)} | {_default(member)} | {meaning} |")
    return "\n".join(
        ["| field | type | default | what it is |", "| --- | --- | --- | --- |", *rows]
    )


def _kind(member: Any) -> str:
    """An annotation in a cell of a table, where a bar would end the cell."""
    return f"`{' or '.join(str(member.annotation).split(' | '))}`"


def _default(member: Any) -> str:
    value = "" if member.value is None else str(member.value)
    if factory := re.search(r"default_factory=(\w+)", value):
        return f"`{factory[1]}()`"
    if default := re.search(r"field\(default=(\w+)", value):
        return f"`{default[1]}`"
    return f"`{value}`" if value and not value.startswith("field(") else ""


def _parameters(found: Any) -> dict[str, str]:
    """What a class's docstring says of its parameters."""
    if found.docstring is None:
        return {}
    parsed = found.docstring.parse("numpy", warn_missing_types=False)
    sections = [s for s in parsed if s.kind is griffe.DocstringSectionKind.parameters]
    return {p.name: " ".join(p.description.split()) for s in sections for p in s.value}


def record_keys() -> str:
    """A table of the keys of an explanation's record, from a record that is made for it."""
    import mien  # its results need the packages of the base install

    grey = np.full((48, 48), 128, dtype=np.uint8)
    record = mien.explain(grey, detector="none")[0].to_dict()
    results = source()["results"]
    places = [results[p] for p in ("explanation.Explanation", "attribution.Attribution")]
    rows = []
    for key, value in record.items():
        texts = [said(place.members[key]) for place in places if key in place.members]
        meaning = RECORD.get(key) or next((text for text in texts if text), "")
        if not meaning:
            log.warning("the record's %s: no docstring says what it is", key)
        found = next((place.members[key] for place in places if key in place.members), None)
        kind = _kind(found) if found is not None and found.annotation else _json_kind(value)
        rows.append(f"| `{key}` | {kind} | {meaning} |")
    return "\n".join(["| key | type | what it is |", "| --- | --- | --- |", *rows])


def _json_kind(value: Any) -> str:
    return f"`{type(value).__name__}`" if value is not None else "or `None`"
