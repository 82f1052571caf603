"""mien.vision.stream: reading ahead, and groups of many items."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mien.types import InputError
from mien.vision.stream import iterate_ahead, read_ahead


def test_a_thread_that_reads_ahead_ends_with_its_reader_and_passes_errors_on() -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for n in range(1000):
            taken.append(n)
            yield n

    before = threading.active_count()
    ahead = iterate_ahead(numbers(), 3)
    assert [next(ahead), next(ahead)] == [0, 1]
    ahead.close()
    assert threading.active_count() == before
    assert len(taken) < 10

    def broken() -> Iterator[int]:
        yield 1
        raise InputError("broken")

    late = iterate_ahead(broken(), 3)
    assert next(late) == 1
    with pytest.raises(InputError, match="broken"):
        next(late)


def test_results_that_wait_stay_within_the_limit() -> None:
    lock = threading.Lock()
    waiting = most = 0

    def read(size: int) -> int:
        nonlocal waiting, most
        with lock:
            waiting += size
            most = max(most, waiting)
        return size

    sizes = [30, 30, 30, 200, 5, 5, 90, 90, 90, 1, 1, 1] * 10
    found = []
    for size in read_ahead(sizes, read, readers=2, ahead=8, held=lambda n: n, limit=100):
        with lock:
            waiting -= size
        found.append(size)
    assert found == sizes
    assert most <= 100 + 2 * 200  # what was there when both readers began


def test_a_reader_that_is_left_while_others_wait_for_room_ends() -> None:
    before = threading.active_count()
    ahead = read_ahead(range(50), str, readers=2, held=lambda _: 10, limit=1)
    assert next(ahead) == "0"
    ahead.close()
    assert threading.active_count() == before
