"""Work on many inputs at once: read or make them ahead in threads, and gather them in groups."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(
    items: Iterable[Item], read: Callable[[Item], Result], readers: int, ahead: int = 4
) -> Iterator[Result]:
    """What ``read`` makes of each item, in order, read in threads a few items ahead.

    At most ``readers + ahead`` results wait at a time, so that memory does not grow; with no
    readers each item is read when it is asked for.

    >>> list(read_ahead([1, 2, 3], lambda n: n * n, readers=2))
    [1, 4, 9]
    """
    if readers < 1:
        yield from map(read, items)
        return
    source = iter(items)
    with ThreadPoolExecutor(readers) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            while True:
                for item in islice(source, readers + ahead - len(waiting)):
                    waiting.append(pool.submit(read, item))
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def prefetch(items: Iterable[Item], ahead: int) -> Generator[Item, None, None]:
    """The same items, made by one thread that is up to ``ahead`` items in front.

    For an iterator that works while it is asked, such as a decoder; :func:`read_ahead` is for
    items that can be read in any order. An error of the thread is raised where its item would
    have come; the thread ends when the iterator is closed.

    >>> list(prefetch(range(3), 2))
    [0, 1, 2]
    """
    ready: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(ahead)
    stopped = threading.Event()

    def put(value: tuple[Item] | BaseException | None) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                ready.put(value, timeout=0.1)
                return

    def work() -> None:
        try:
            for item in items:
                put((item,))
                if stopped.is_set():
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (value := ready.get()) is not None:
            if isinstance(value, BaseException):
                raise value
            yield value[0]
    finally:
        stopped.set()
        thread.join()


def in_groups(
    items: Iterable[Item],
    most: int,
    size: Callable[[Item], int] | None = None,
    limit: int = 40_000_000,
) -> Iterator[list[Item]]:
    """Lists of up to ``most`` items, which end where their sizes reach ``limit`` together.

    ``size`` is that of an item, in whatever unit ``limit`` has (pixels by default); without it
    every list but the last has ``most`` items.

    >>> list(in_groups("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    group: list[Item] = []
    total = 0
    for item in items:
        group.append(item)
        total += size(item) if size else 0
        if len(group) >= most or total >= limit:
            yield group
            group, total = [], 0
    if group:
        yield group
