"""Where facial action coding would look for each expression: weak priors, as data.

Each expression is a set of action units (EMFACS as widely circulated, after Ekman and Friesen
1978); each unit moves some regions. They say where an expression shows in a textbook, not where
a model must look, and real faces vary (Barrett et al. 2019, doi:10.1177/1529100619832930).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from mien.emotions import EIGHT
from mien.registry import choose
from mien.types import InputError
from mien.vision.regions import REGIONS

Expected = Mapping[str, tuple[str, ...]]

#: Expression -> its action units. Neutral has none and is not scored.
UNITS: Final[dict[str, tuple[str, ...]]] = {
    "happy": ("6", "12"),
    "sad": ("1", "4", "15"),
    "surprise": ("1", "2", "5", "26"),
    "fear": ("1", "2", "4", "5", "7", "20", "26"),
    "angry": ("4", "5", "7", "23"),
    "disgust": ("9", "15", "16"),
    "contempt": ("R12A", "R14A"),
}

#: Action unit -> the regions in which it shows.
SHOWN: Final[dict[str, tuple[str, ...]]] = {
    "1": ("brows",), "2": ("brows",), "4": ("brows",), "5": ("eyes",), "6": ("cheeks", "eyes"),
    "7": ("eyes",), "9": ("nose",), "12": ("mouth", "cheeks"), "R12A": ("mouth",),
    "R14A": ("mouth",), "15": ("mouth",), "16": ("mouth",), "20": ("mouth",), "23": ("mouth",),
    "26": ("mouth", "chin"),
}  # fmt: skip


def expected_regions() -> dict[str, tuple[str, ...]]:
    """The regions of each expression's action units, in the regions' order.

    >>> expected_regions()["surprise"]
    ('brows', 'eyes', 'mouth', 'chin')
    """
    found: dict[str, tuple[str, ...]] = {}
    for expression, units in UNITS.items():
        named = {region for unit in units for region in SHOWN[unit]}
        found[expression] = tuple(region for region in REGIONS if region in named)
    return found


def read_expected(path: str | Path) -> dict[str, tuple[str, ...]]:
    """A table of one's own, in TOML: ``happy = ["mouth", "cheeks"]``, a line per expression.

    Raises InputError for a file that is no such table, UnknownNameError for an expression or a
    region that does not exist.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a TOML file of expressions ({error})") from error
    found: dict[str, tuple[str, ...]] = {}
    for expression, regions in content.items():
        if not isinstance(regions, list) or not regions:
            raise InputError(f'{path}: expected {expression} = ["mouth", ...], got {regions!r}')
        for region in regions:
            choose("region", str(region), REGIONS)
        found[choose("expression", expression, EIGHT)] = tuple(regions)
    return found
