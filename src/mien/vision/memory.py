"""A budget in bytes for decoding: what one picture may take, and all that are decoded at a time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mien.forks import unforked
from mien.types import InputError

DEFAULT: Final = 1_500_000_000  # bytes; a photo of 178 million pixels takes 1.3 billion
VARIABLE: Final = "MIEN_IMAGE_BYTES"


class TooLargeError(InputError):
    """An image that would take more memory than is allowed, or more pixels than anybody reads."""


def budget() -> int:
    """The bytes that decoding may take: ``$MIEN_IMAGE_BYTES``, or 1.5 billion.

    Raises InputError where the variable is no number above 0.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return DEFAULT
    if not text.isdecimal() or not int(text):
        raise InputError(f"{VARIABLE}: expected a number of bytes, got {text!r}")
    return int(text)


def check_memory(name: str, needed: int) -> None:
    """Raise TooLargeError where one picture would take more than the budget.

    ``needed`` are the bytes at the peak; ``name`` is the file or frame, for the message.
    """
    most = budget()
    if needed > most:
        raise TooLargeError(
            f"{name}: the image is too large to read: that takes {needed / 1e9:.1f} GB of memory, "
            f"{most / 1e9:.1f} GB are allowed; shrink it first, or raise {VARIABLE}"
        )


class Room:
    """Memory that threads share: whoever needs more than is free waits until others are done.

    One that needs more than there is in all goes alone.

    >>> room = Room()
    >>> with room.hold(1000, limit=1500):
    ...     room.held
    1000
    """

    def __init__(self) -> None:
        self.held = 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, needed: int, limit: int) -> Iterator[None]:
        """``needed`` bytes of the ``limit``, given back at the end."""
        with self._changed:
            self._changed.wait_for(lambda: not self.held or self.held + needed <= limit)
            self.held += needed
        try:
            yield
        finally:
            with self._changed:
                self.held = max(self.held - needed, 0)
                self._changed.notify_all()

    def empty(self) -> None:
        """Begin anew, as a forked process does: what its parent's threads hold is not its own."""
        self.held = 0
        self._changed = threading.Condition()


_room: Final = Room()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_room.empty)


@contextmanager
def decoding(name: str, needed: int) -> Iterator[None]:
    """Hold ``needed`` bytes of this process's budget; TooLargeError where it is never enough."""
    check_memory(name, needed)
    with unforked(), _room.hold(needed, budget()):
        yield
