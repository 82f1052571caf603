"""Many callers: batches, places, hanging up, stopping."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Sequence
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
    gate = Gate(accepted=3, per_caller=2, most_bytes=100)
    with gate.enter("a"), gate.enter("a"), gate.reserve(60):
        with pytest.raises(Refusal) as mine, gate.enter("a"):
            pass
        assert (mine.value.status, mine.value.code) == (429, "too_many_requests")
        assert mine.value.headers["Retry-After"]
        with pytest.raises(Refusal) as bytes_, gate.reserve(50):
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
    asking.join(90)
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
        gate = running.server.config.app.state.service.gate  # type: ignore[union-attr]
        _until(lambda: gate.count == 0)
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


def test_a_body_without_a_length_reserves_what_it_may_take_and_gives_the_rest_back() -> None:
    limits = Limits(body=1_000_000, held=2_500_000)
    running = run(ServiceSettings(limits=limits, workers=1))
    gate = running.server.config.app.state.service.gate  # type: ignore[union-attr]
    go, sent = threading.Event(), threading.Semaphore(0)

    def slow() -> Any:
        yield b"x" * 1000
        sent.release()
        go.wait(20)

    try:
        with ThreadPoolExecutor(2) as pool:
            waiting = [
                pool.submit(
                    httpx.post,
                    f"{running.url}/v1/predict",
                    content=slow(),
                    headers=JPEG,
                    timeout=30,
                )
                for _ in range(2)
            ]
            for _ in range(2):
                assert sent.acquire(timeout=20)
            _until(lambda: gate.bytes == 2_000_000)
            refused = httpx.post(f"{running.url}/v1/predict", content=iter([b"x"]), headers=JPEG)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
            # one that states a small length fits
            assert _post(running.url, b"x" * 1000).status_code == 422
            go.set()
            assert [one.result().status_code for one in waiting] == [422, 422]
        assert gate.bytes == 0
    finally:
        go.set()
        running.stop()


def _post(url: str, body: bytes) -> httpx.Response:
    return httpx.post(f"{url}/v1/predict", content=body, headers=JPEG, timeout=30)


def _until(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_what_was_reserved_shrinks_to_what_came() -> None:
    gate = Gate(accepted=3, per_caller=2, most_bytes=100)
    with gate.reserve(80) as reserved:
        reserved.shrink(10)
        assert gate.bytes == 10
        with gate.reserve(90):
            assert gate.bytes == 100
    assert gate.bytes == 0


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/video"])
def test_senders_who_pause_or_dribble_are_ended(path: str) -> None:
    limits = Limits(idle_seconds=0.3, upload_rate=10_000)
    running = run(ServiceSettings(limits=limits))
    kind = "video/mp4" if path == "/v1/video" else "image/jpeg"

    def dribble() -> Any:
        for _ in range(100):
            yield b"x"
            time.sleep(0.05)

    def pause() -> Any:
        yield b"x"
        time.sleep(1)

    try:
        for body in (dribble(), pause()):
            began = time.monotonic()
            answer = httpx.post(
                running.url + path, content=body, headers={"content-type": kind}, timeout=30
            )
            assert (answer.status_code, answer.json()["error"]["code"]) == (408, "too_slow")
            assert time.monotonic() - began < 3
        jobs = running.server.config.app.state.jobs  # type: ignore[union-attr]
        assert not jobs.jobs
    finally:
        running.stop()


def test_one_caller_cannot_take_all_places_for_videos() -> None:
    running = run(ServiceSettings(limits=Limits(video_waiting=4, video_per_caller=2)))
    port = int(running.url.rpartition(":")[2])
    head = (
        b"POST /v1/video HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: video/mp4\r\n"
        b"Content-Length: 100000\r\n\r\nx"
    )
    jobs = running.server.config.app.state.jobs  # type: ignore[union-attr]
    idle = []
    try:
        for _ in range(2):
            idle.append(socket.create_connection(("127.0.0.1", port)))
            idle[-1].sendall(head)
        _until(lambda: len(jobs.jobs) == 2)
        kind = {"content-type": "video/mp4"}
        refused = httpx.post(f"{running.url}/v1/video", content=b"x", headers=kind, timeout=30)
        assert (refused.status_code, refused.json()["error"]["code"]) == (
            429,
            "too_many_requests",
        )
    finally:
        for one in idle:
            one.close()
        running.stop()


def test_a_head_that_does_not_come_ends_its_connection() -> None:
    """Also on a connection that has had an answer before; whole requests are not concerned."""
    running = run(ServiceSettings(limits=Limits(idle_seconds=0.5)))
    port = int(running.url.rpartition(":")[2])
    connections = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
    try:
        for one in connections[1:]:
            one.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127")
        used = connections[-1]
        used.sendall(b".0.0.1\r\n\r\n")
        assert b"200 OK" in _answer(used)
        time.sleep(0.7)
        used.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")  # a pause is no fault
        assert b"200 OK" in _answer(used)
        used.sendall(b"GET /hea")
        for one in connections:
            one.settimeout(10)
            assert one.recv(4096) == b""
    finally:
        for one in connections:
            one.close()
        running.stop()


def _answer(connection: socket.socket) -> bytes:
    """All of one answer of the endpoint ``/healthz``."""
    data = b""
    while not data.endswith(b"}"):
        data += connection.recv(4096)
    return data


def test_a_caller_who_hangs_up_in_the_middle_of_a_body_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = run()
    port = int(running.url.rpartition(":")[2])
    try:
        with caplog.at_level("INFO", logger="mien.web"):
            for path in ("/v1/predict", "/v1/video"):
                kind = "video/mp4" if path == "/v1/video" else "image/jpeg"
                with socket.create_connection(("127.0.0.1", port)) as one:
                    one.sendall(
                        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
                        "Content-Length: 100000\r\n\r\nx".encode()
                    )
                    time.sleep(0.2)
            _until(lambda: sum(" 499 " in r.getMessage() for r in caplog.records) == 2)
        assert not [r for r in caplog.records if r.levelname == "ERROR"]
        text = httpx.get(f"{running.url}/metrics").text
        assert 'mien_requests_total{route="/v1/predict",status="499"} 1.0' in text
        assert 'status="500"' not in text
    finally:
        running.stop()
