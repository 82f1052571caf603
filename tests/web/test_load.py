"""Many callers: batches, places, hanging up, stopping."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from mien.web.batching import Batcher
from mien.web.engine import Engine, Question
from mien.web.limits import Gate, Refusal
from mien.web.settings import Limits, ServiceSettings
from tests.web.conftest import JPEG, run


def test_a_batch_holds_what_came_in_time_and_no_more_than_its_most() -> None:
    sizes: list[int] = []

    def work(items: Sequence[int]) -> list[int | Exception]:
        return [ValueError(str(i)) if i == 3 else i * i for i in items]

    async def main() -> list[Any]:
        batcher: Batcher[int, int] = Batcher(work, most=4, wait=0.05, seen=sizes.append)
        await batcher.start()
        found = await asyncio.gather(*(batcher(i) for i in range(10)), return_exceptions=True)
        await batcher.close()
        return found

    found = asyncio.run(main())
    assert [f for f in found if isinstance(f, int)] == [i * i for i in range(10) if i != 3]
    assert isinstance(found[3], ValueError)  # one bad item costs no other its answer
    assert sizes == [4, 4, 2]


def test_a_failing_call_fails_its_batch_and_the_next_one_works() -> None:
    def work(items: Sequence[int]) -> list[int | Exception]:
        if 0 in items:
            raise MemoryError
        return list(items)

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(work, most=2, wait=0)
        await batcher.start()
        with pytest.raises(MemoryError):
            await batcher(0)
        assert await batcher(1) == 1
        await batcher.close()

    asyncio.run(main())


def test_what_was_accepted_is_answered_before_the_batcher_closes() -> None:
    def work(items: Sequence[int]) -> list[int | Exception]:
        time.sleep(0.05)
        return list(items)

    async def main() -> list[int]:
        batcher: Batcher[int, int] = Batcher(work, most=2, wait=0)
        await batcher.start()
        waiting = [asyncio.create_task(batcher(i)) for i in range(7)]
        await asyncio.sleep(0)
        await batcher.close()
        return await asyncio.gather(*waiting)

    assert asyncio.run(main()) == list(range(7))


def test_nobody_works_for_callers_who_left() -> None:
    seen: list[int] = []
    go = threading.Event()

    def work(items: Sequence[int]) -> list[int | Exception]:
        seen.extend(items)
        go.wait(5)
        return list(items)

    async def main() -> None:
        batcher: Batcher[int, int] = Batcher(work, most=1, wait=0)
        await batcher.start()
        first = asyncio.create_task(batcher(1))
        second = asyncio.create_task(batcher(2))
        await asyncio.sleep(0.05)
        second.cancel()
        go.set()
        assert await first == 1
        await batcher.close()

    asyncio.run(main())
    assert seen == [1]


def test_the_gate_counts_callers_requests_and_bytes() -> None:
    gate = Gate(accepted=3, per_caller=2, held=100)
    with gate.enter("a"), gate.enter("a"), gate.hold(60):
        with pytest.raises(Refusal) as mine, gate.enter("a"):
            pass
        assert (mine.value.status, mine.value.code) == (429, "too_many_requests")
        assert mine.value.headers["Retry-After"]
        with pytest.raises(Refusal) as bytes_, gate.hold(50):
            pass
        assert bytes_.value.status == 503
        with gate.enter("b"), pytest.raises(Refusal) as all_, gate.enter("c"):
            pass
        assert (all_.value.status, all_.value.code) == (503, "busy")
    assert (gate.count, gate.bytes, dict(gate.callers)) == (0, 0, {})


def _many(url: str, photo: bytes, count: int, path: str = "/v1/predict") -> list[httpx.Response]:
    with (
        httpx.Client(
            base_url=url, timeout=60, limits=httpx.Limits(max_connections=count)
        ) as client,
        ThreadPoolExecutor(count) as pool,
    ):
        asked = [pool.submit(client.post, path, content=photo, headers=JPEG) for _ in range(count)]
        return [answer.result() for answer in asked]


def test_callers_above_the_limit_are_told_so_and_those_below_are_answered(photo: bytes) -> None:
    running = run(ServiceSettings(limits=Limits(per_caller=3, accepted=100), workers=1))
    try:
        answers = _many(running.url, photo, 24)
        assert {a.status_code for a in answers} == {200, 429}
        assert all(a.headers["retry-after"] == "1" for a in answers if a.status_code == 429)
        assert sum(a.status_code == 200 for a in answers) >= 3
        assert all(a.json()["faces"] for a in answers if a.status_code == 200)
        assert _many(running.url, photo, 3)[0].status_code == 200  # and it goes on
    finally:
        running.stop()
    running = run(ServiceSettings(limits=Limits(per_caller=100, accepted=3), workers=1))
    try:
        assert {a.status_code for a in _many(running.url, photo, 24)} == {200, 503}
    finally:
        running.stop()


def test_a_stopped_server_answers_what_it_accepted(photo: bytes) -> None:
    running = run(ServiceSettings(workers=1))
    service = running.server.config.app.state.service  # type: ignore[union-attr]
    found: list[httpx.Response] = []
    path = "/v1/explain?method=dncshap&option=levels=4"
    asking = threading.Thread(target=lambda: found.extend(_many(running.url, photo, 8, path)))
    asking.start()
    ends = time.monotonic() + 20
    while service.gate.count < 8:
        assert time.monotonic() < ends
        time.sleep(0.005)
    running.stop()
    asking.join(30)
    assert [a.status_code for a in found] == [200] * 8
    with pytest.raises(httpx.ConnectError):
        httpx.get(running.url)


def test_an_explanation_stops_when_its_caller_hangs_up(
    photo: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[str] = []
    own = Engine.explain

    def watched(self: Engine, question: Question) -> Any:
        try:
            return own(self, question)
        except Refusal as refusal:
            ended.append(refusal.code)
            raise

    monkeypatch.setattr(Engine, "explain", watched)
    running = run()
    try:
        # 2,732 coalitions: seconds of work
        path = "/v1/explain?method=dncshap&option=levels=6&option=contexts=owen"
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(running.url + path, content=photo, headers=JPEG, timeout=0.3)
        ends = time.monotonic() + 20
        while not ended:
            assert time.monotonic() < ends
            time.sleep(0.02)
        assert ended == ["too_slow"]
        assert running.server.config.app.state.service.gate.count == 0  # type: ignore[union-attr]
    finally:
        running.stop()


def test_a_body_that_does_not_come_is_408() -> None:
    running = run(ServiceSettings(limits=Limits(upload_seconds=0.2)))

    def slow() -> Any:
        yield b"x"
        time.sleep(0.6)
        yield b"x"

    try:
        answer = httpx.post(f"{running.url}/v1/predict", content=slow(), headers=JPEG)
        assert (answer.status_code, answer.json()["error"]["code"]) == (408, "too_slow")
    finally:
        running.stop()
