"""Processes that fork while other threads work: a child gets no lock that nobody will release.

A child of ``fork`` has one thread, and all locks as they were: one that another thread held stays
held for ever, in Python as in OpenCV, ONNX Runtime and torch. What holds such locks does so within
:func:`unforked`, and a fork waits until no other thread is within.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition, get_ident
from typing import Any, Final

from mien.types import MienError

PATIENCE: Final = 120.0  # seconds for which a fork waits


class _Gate:
    """Counts the threads that are within; closed while a process forks."""

    def __init__(self) -> None:
        self.changed = Condition()
        self.within: Counter[int] = Counter()  # how deep, by thread
        self.forking = 0
        self.broken = False
        self.closing: list[Callable[[], None]] = []
        self.opencv: Any = None  # where it has been imported
        self.opencv_threads = 0

    def enter(self) -> None:
        """Come in; who is within already may enter again while a fork waits."""
        me = get_ident()
        with self.changed:
            self.changed.wait_for(lambda: not self.forking or self.within[me] > 0)
            self.within[me] += 1
        if self.broken:
            self.leave()
            raise MienError(
                "this process was forked while another thread of its parent was at work, and "
                "cannot use what that thread held; start processes by 'spawn', as "
                "multiprocessing.get_context('spawn') does"
            )

    def leave(self) -> None:
        me = get_ident()
        with self.changed:
            self.within[me] -= 1
            if not self.within[me]:
                del self.within[me]
            self.changed.notify_all()

    def others(self) -> bool:
        """Whether any thread but this one is within."""
        return any(depth and thread != get_ident() for thread, depth in self.within.items())

    def before(self) -> None:
        """Let nobody in, and wait until the others are out; the gate stays locked."""
        self.changed.acquire()
        self.forking += 1
        self.changed.wait_for(lambda: not self.others(), PATIENCE)
        if self.others():
            return
        for work in self.closing:
            work()
        self.opencv = sys.modules.get("cv2")
        if hasattr(self.opencv, "setNumThreads"):  # not where it is being imported
            self.opencv_threads = self.opencv.getNumThreads()
            self.opencv.setNumThreads(1)  # ends its threads: a child would wait for them for ever

    def in_parent(self) -> None:
        """Let all in again."""
        self.restore()
        self.forking -= 1
        self.changed.notify_all()
        self.changed.release()

    def in_child(self) -> None:
        """Begin anew: of the threads, only this one is left."""
        self.restore()
        self.broken = self.broken or self.others()
        depth = self.within[get_ident()]
        self.changed, self.within, self.forking = Condition(), Counter(), 0
        if depth:
            self.within[get_ident()] = depth

    def restore(self) -> None:
        """OpenCV may have threads again, which it makes when it needs them."""
        if self.opencv_threads:
            self.opencv.setNumThreads(self.opencv_threads)
            self.opencv_threads = 0


_gate: Final = _Gate()

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=_gate.before, after_in_parent=_gate.in_parent, after_in_child=_gate.in_child
    )


def before_fork(work: Callable[[], None]) -> Callable[[], None]:
    """Decorator of what is to be done before each fork, while nobody else is within.

    It ends threads that a library keeps: a child does not have them, and would wait for them.
    """
    _gate.closing.append(work)
    return work


@contextmanager
def unforked() -> Iterator[None]:
    """Work that holds locks: a fork by another thread waits for its end.

    Raises MienError in a process that was forked nevertheless, after two minutes of waiting.

    >>> with unforked():
    ...     1 + 1
    2
    """
    _gate.enter()
    try:
        yield
    finally:
        _gate.leave()
