"""Signals that end a long piece of work in good order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that Control-C and SIGTERM set for as long as this lasts.

    However often they come, nothing is interrupted in the middle: the work looks at the event,
    keeps what is done and ends. Outside of the main thread, which alone hears of signals, the
    event is only an event.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(number: int, frame: Any) -> None:  # noqa: ARG001 - the protocol of handlers
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            # asked to end, the process says what is done and ends: nothing cuts that short
            signal.signal(number, signal.SIG_IGN if stop.is_set() else handler)
