"""The server's memory: kept in few arenas, and given back to the system when it is free."""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any, Final

ARENAS: Final = 2
M_ARENA_MAX: Final = -8  # of malloc.h


def few_arenas() -> bool:
    """Let all threads allocate from few arenas; whether there is a way to. Call it at the start.

    By default the C library of Linux has eight for each core. Each keeps the holes that its largest
    pictures left, so that the memory of a server with many threads grows for hours.
    """
    library = _library()
    return library is not None and library.mallopt(M_ARENA_MAX, ARENAS) == 1


def give_back() -> bool:
    """Give freed memory back to the system; whether there is a way to.

    The C library of Linux keeps what was freed, and after some large pictures that is gigabytes.
    """
    library = _library()
    return library is not None and library.malloc_trim(0) in (0, 1)


@cache
def _library() -> Any:
    """The C library, None where it is not that of GNU."""
    if not sys.platform.startswith("linux"):
        return None
    found = ctypes.CDLL(None)
    return found if hasattr(found, "malloc_trim") else None
