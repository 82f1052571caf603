"""What a card may hold: types, ranges, lengths, finite numbers, printable text."""

from __future__ import annotations

import math
import unicodedata
from typing import Any, Final

from mien.types import ModelError

LINE: Final = 200  # characters of a name
TEXT: Final = 20_000  # characters of a summary or a licence
DEPTH: Final = 20  # of metrics and recipes
MARKUP: Final = "<>[]{}\\`"  # of HTML, terminals and Markdown: a name holds none
FORMULA: Final = "=+-@"  # a spreadsheet would compute a name that begins so
JOINERS: Final = "\u200c\u200d"  # which some scripts need within words


def wrong(what: str, expected: str, value: Any) -> ModelError:
    """The error for a field: what was expected, and what came."""
    return ModelError(f"expected {expected} for {what}, got {shown(value)}")


def shown(value: Any) -> str:
    """A value in at most 60 plain characters.

    >>> shown("a" * 100)[-6:]
    'aaa...'
    """
    try:
        text = ascii(value)
    except (ValueError, RecursionError):  # a number of thousands of digits, lists in lists
        return f"a large {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."


def _printable(text: str, also: str = "") -> bool:
    return all(
        c.isprintable() or c in also or c in JOINERS or unicodedata.category(c) == "Zs"
        for c in text
    )


def check_text(what: str, value: Any) -> None:
    """A text of any lines, which may be empty."""
    if not isinstance(value, str) or len(value) > TEXT or not _printable(value, "\n\t"):
        raise wrong(what, f"printable text of at most {TEXT:,} characters", value)


def check_name(what: str, value: Any) -> None:
    """A name on one line, without markup, that no spreadsheet takes for a formula."""
    plain = isinstance(value, str) and value == value.strip() and 0 < len(value) <= LINE
    if not plain or not _printable(value) or set(value) & set(MARKUP) or value[0] in FORMULA:
        raise wrong(what, f"a name of 1 to {LINE} printable characters without markup", value)


def check_output(what: str, value: Any) -> None:
    """The name of an output in a graph."""
    if not isinstance(value, str) or not 0 < len(value) <= LINE or not _printable(value):
        raise wrong(what, f"the name of an output, of 1 to {LINE} printable characters", value)


def check_number(what: str, value: Any, low: float, high: float) -> None:
    """A finite number of ``low`` to ``high``; True is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise wrong(what, f"a number of {low:g} to {high:g}", value)


def check_whole(what: str, value: Any, low: int, high: int) -> None:
    """A whole number of ``low`` to ``high``."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise wrong(what, f"a whole number of {low} to {high}", value)


def check_numbers(what: str, value: Any, count: int, low: float, high: float) -> None:
    """``count`` finite numbers in a tuple."""
    if not isinstance(value, tuple) or len(value) != count:
        raise wrong(what, f"{count} numbers", value)
    for number in value:
        check_number(what, number, low, high)


def check_plain(what: str, value: Any, depth: int = DEPTH) -> None:
    """Nested objects and lists of texts, finite numbers, true, false and null."""
    if depth == 0:
        raise ModelError(f"expected {what} of at most {DEPTH} levels, got more")
    if isinstance(value, dict):
        for key, item in value.items():
            check_text(f"a name in {what}", key)
            check_plain(what, item, depth - 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            check_plain(what, item, depth - 1)
    elif isinstance(value, str):
        check_text(what, value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise wrong(what, "finite numbers", value)
    elif not (value is None or isinstance(value, (bool, int))):
        raise wrong(what, "texts, numbers, true, false or null", value)
    elif isinstance(value, int) and abs(value) > 2**63:
        raise wrong(what, "numbers below 2**63", value)
