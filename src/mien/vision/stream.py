"""Work on many inputs at once: read ahead in threads, and gather into groups."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice, repeat
from typing import Any, TypeVar

Item = TypeVar("Item")

Result = TypeVar("Result")


def read_ahead(
    items: Iterable[Item], read: Callable[[Item], Result], readers: int, ahead: int = 4
) -> Generator[Result, None, None]:
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
