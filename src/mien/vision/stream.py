"""Work on many inputs at once: read ahead in threads, and gather into groups."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice, repeat
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def read_ahead(
    items: Iterable[Item],
    read: Callable[[Item], Result],
    readers: int,
    ahead: int = 4,
    held: Callable[[Result], int] | None = None,
    limit: int = 400_000_000,
) -> Generator[Result, None, None]:
    """What ``read`` makes of each item, in order, read in threads a few items ahead.

    At most ``readers + ahead`` results wait at a time. ``held`` is the memory of a result: while
    those that wait take more than ``limit`` bytes together, no reader takes another item. With no
    readers each item is read when it is asked for.

    >>> list(read_ahead([1, 2, 3], lambda n: n * n, readers=2))
    [1, 4, 9]
    """
    if readers < 1:
        yield from map(read, items)
        return
    source = iter(items)
    room = _Waiting(limit)

    def work(item: Item, first: threading.Event) -> Result:
        room.enter(first)
        result = read(item)
        room.add(held(result) if held else 0)
        return result

    with ThreadPoolExecutor(readers) as pool:
        waiting: deque[tuple[Future[Result], threading.Event]] = deque()
        try:
            while True:
                for item in islice(source, readers + ahead - len(waiting)):
                    first = threading.Event()
                    waiting.append((pool.submit(work, item, first), first))
                if not waiting:
                    return
                future, first = waiting.popleft()
                room.let(first)
                result = future.result()
                room.add(-held(result) if held else 0)
                yield result
        finally:
            room.close()
            for future, _ in waiting:
                future.cancel()


class _Waiting:
    """The memory of results that wait; readers stop while it is more than the limit.

    The reader of the item that is asked for next goes on all the same: nothing else frees any.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._held, self._closed = limit, 0, False
        self._changed = threading.Condition()

    def enter(self, first: threading.Event) -> None:
        """Wait until there is room, or until this item is the one that is asked for."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._held <= self._limit or first.is_set() or self._closed
            )

    def let(self, first: threading.Event) -> None:
        """The item whose event this is, is asked for."""
        with self._changed:
            first.set()
            self._changed.notify_all()

    def add(self, size: int) -> None:
        """A result of so many bytes waits, or (below 0) is handed over."""
        with self._changed:
            self._held += size
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody asks any more: readers that wait go on and end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def iterate_ahead(items: Iterable[Item], ahead: int) -> Generator[Item, None, None]:
    """The same items, made by one thread that is up to ``ahead`` items in front.

    An error of the thread is raised where its item would have come; the thread ends when the
    generator is closed.

    >>> list(iterate_ahead(range(3), 2))
    [0, 1, 2]
    """
    source = iter(items)
    end: Any = object()
    made = read_ahead(repeat(end), lambda end: next(source, end), readers=1, ahead=ahead - 1)
    try:
        for item in made:
            if item is end:
                return
            yield item
    finally:
        made.close()  # waits for the thread


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
