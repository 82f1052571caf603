"""Memory that large pictures took, given back to the system."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache


def give_back() -> bool:
    """Give freed memory back to the system; whether there is a way to.

    The C library of Linux keeps what was freed, and after some large pictures that is gigabytes.
    """
    trim = _trim()
    return trim is not None and trim(0) in (0, 1)


@cache
def _trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found
