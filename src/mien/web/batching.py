"""Requests of many callers answered together: a bounded queue, a few milliseconds, threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """Gathers items and works on up to ``most`` of them in one call, in ``workers`` threads.

    An item waits at most ``wait`` seconds for company, and longer only while all threads are at
    work. ``work`` gives one answer per item; an exception among them is raised for its item only.
    The number of waiting items is bounded by whoever accepts them.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Sequence[Answer | Exception]],
        *,
        most: int,
        wait: float,
        workers: int = 1,
        seen: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.work, self.most, self.wait, self.seen = work, most, wait, seen
        self._queue: asyncio.Queue[tuple[Item, asyncio.Future[Answer]] | None] = asyncio.Queue()
        self._pool = ThreadPoolExecutor(workers, "mien-batch")
        self._workers = workers
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def waiting(self) -> int:
        """Items that no thread has taken yet."""
        return self._queue.qsize()

    async def start(self) -> None:
        """Begin to work."""
        self._tasks = [asyncio.create_task(self._serve()) for _ in range(self._workers)]

    async def __call__(self, item: Item) -> Answer:
        """The answer for one item."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((item, future))
        return await future

    async def close(self) -> None:
        """Answer what was accepted, then end the threads."""
        for _ in self._tasks:
            self._queue.put_nowait(None)
        await asyncio.gather(*self._tasks)
        self._pool.shutdown()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        last = False
        while not last:
            batch, last = await self._gather()
            batch = [(item, future) for item, future in batch if not future.done()]
            if not batch:
                continue
            self.seen(len(batch))
            try:
                items = [item for item, _ in batch]
                answers = await loop.run_in_executor(self._pool, self.work, items)
            except Exception as error:
                answers = [error] * len(batch)
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.done():  # its caller has left
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    async def _gather(self) -> tuple[list[tuple[Item, asyncio.Future[Answer]]], bool]:
        """Up to ``most`` items, and whether they are the last."""
        first = await self._queue.get()
        if first is None:
            return [], True
        batch = [first]
        ends = asyncio.get_running_loop().time() + self.wait
        while len(batch) < self.most:
            try:
                async with asyncio.timeout_at(ends):
                    entry = await self._queue.get()
            except TimeoutError:
                try:
                    entry = self._queue.get_nowait()
                except asyncio.QueueEmpty:
                    break
            if entry is None:
                return batch, True
            batch.append(entry)
        return batch, False
