"""Numbers and counts as people read them: one format, wherever Mien says one."""

from __future__ import annotations

from typing import Final

PLURAL: Final = frozenset({"brows", "eyes", "cheeks"})  # regions that are several


def brief(p: float) -> str:
    """A probability in two digits that never claims certainty.

    >>> brief(0.873), brief(0.9991), brief(0.0004)
    ('0.87', '> 0.99', '< 0.01')
    """
    return "> 0.99" if p >= 0.995 else "< 0.01" if p < 0.005 else f"{p:.2f}"


def counted(number: int, what: str) -> str:
    """A number of things.

    >>> counted(1, "face"), counted(1200, "face")
    ('1 face', '1,200 faces')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """A time that work takes or took, about.

    >>> duration(0.4), duration(4.2), duration(95), duration(5400)
    ('1 s', '4 s', '2 min', '1.5 h')
    """
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
