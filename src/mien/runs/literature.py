"""What the papers print of others' methods, to stand beside runs on the same sets."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib import resources
from typing import Final, NamedTuple

#: Sets whose printed numbers are of the same faces: CK+48 is cut out of CK+.
SAME: Final = {"ck48": "ckplus"}


class Printed(NamedTuple):
    """One number of a paper's comparison with others."""

    source: str
    method: str
    data: str
    accuracy: float  # in 0..1


def printed(sets: Iterable[str]) -> list[Printed]:
    """The numbers that the papers print for some sets, in the order of their tables.

    >>> printed(["kdef"])[0]
    Printed(source='ViT on KDEF, Table 2', method='VGG16 [16]', data='kdef', accuracy=0.91)
    """
    wanted = {SAME.get(name, name) for name in sets}
    text = (resources.files("mien.runs") / "literature.toml").read_text(encoding="utf-8")
    return [
        Printed(table["source"], method, name, round(value / 100, 6))
        for table in tomllib.loads(text)["table"]
        for method, *values in table["rows"]
        for name, value in zip(table["sets"], values, strict=True)
        if name in wanted and value >= 0
    ]
