"""mien.vision.stream: reading ahead, and groups of many items."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mien.types import InputError
from mien.vision.stream import iterate_ahead


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
