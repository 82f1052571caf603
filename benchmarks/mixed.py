"""A mixed load on ``mien serve`` for minutes: every kind of caller at once, memory sampled.

    python -m benchmarks.serve --minutes 20

Callers pause between their requests, so that the machine is loaded and not full.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from PIL import Image

from benchmarks.calls import Caller, memory

EVERY: Final = 10.0  # seconds between two samples of memory
WARM: Final = 120.0  # seconds, after which every kind of request has been answered
METHODS: Final = ("cam", "regions", "occlusion", "dncshap")
Call = Callable[["Mixed", Caller, random.Random], Awaitable[int]]


class Mixed:
    """The bodies that are sent, and what was answered: statuses by kind of caller."""

    def __init__(self, photo: bytes) -> None:
        self.photo = photo
        image = Image.open(io.BytesIO(photo)).convert("RGB")
        self.large = [_encoded(image.resize((6000, 4000)), "JPEG"), _deep(image, 3000)]
        self.clip = _clip(image, seconds=2)
        self.refused = _refused(photo)
        self.statuses: dict[str, Counter[str]] = {}
        self.until = 0.0

    async def run(self, port: int, minutes: float) -> None:
        """All callers until the time is up; each kind has an address of its own."""
        self.until = time.monotonic() + 60 * minutes
        callers: list[tuple[str, Call, float]] = [
            *[("predict", _predict, 0.3)] * 3,
            ("explain", _explain, 2.0),
            ("refused", _refuse, 0.5),
            ("large", _large, 3.0),
            ("video", _video, 5.0),
            ("hang up", _hang_up, 0.5),
        ]
        await asyncio.gather(
            *(self._call(port, n, *caller) for n, caller in enumerate(callers, start=1))
        )

    async def _call(self, port: int, number: int, kind: str, call: Call, pause: float) -> None:
        chance = random.Random(number)
        caller = Caller(port, f"127.0.0.{number}")
        seen = self.statuses.setdefault(kind, Counter())
        while time.monotonic() < self.until:
            try:
                seen[str(await call(self, caller, chance))] += 1
            except (OSError, asyncio.IncompleteReadError) as error:
                seen[type(error).__name__] += 1
                caller.close()
            await asyncio.sleep(pause * chance.uniform(0.5, 1.5))
        caller.close()


async def _predict(mixed: Mixed, caller: Caller, _: random.Random) -> int:
    return await caller.ask("/v1/predict", mixed.photo)


async def _explain(mixed: Mixed, caller: Caller, chance: random.Random) -> int:
    form = chance.choice(["json", "png"])
    return await caller.ask(
        f"/v1/explain?method={chance.choice(METHODS)}&format={form}", mixed.photo
    )


async def _refuse(mixed: Mixed, caller: Caller, chance: random.Random) -> int:
    path, kind, host, body = chance.choice(mixed.refused)
    return await caller.ask(path, body, kind=kind, host=host)


async def _large(mixed: Mixed, caller: Caller, chance: random.Random) -> int:
    return await caller.ask("/v1/predict", chance.choice(mixed.large), kind="image/png")


async def _video(mixed: Mixed, caller: Caller, chance: random.Random) -> int:
    """A job until it is done, its result, clip and table, and its end; one in four is stopped."""
    overlay = chance.choice(["none", "cam"])
    status = await caller.ask(f"/v1/video?every=2&overlay={overlay}", mixed.clip, kind="video/mp4")
    if status != 202:
        return status
    place = f"/v1/video/{json.loads(caller.answer)['id']}"
    if chance.random() < 0.25:
        return await caller.ask(place, method="DELETE")
    while await caller.ask(place, method="GET") == 200:
        if json.loads(caller.answer)["state"] not in ("waiting", "working"):
            break
        await asyncio.sleep(0.5)
    found = [
        await caller.ask(place + name, method="GET")
        for name in ("/result", "/clip.mp4", "/table.csv")
    ]
    return max(*found, await caller.ask(place, method="DELETE"))


async def _hang_up(mixed: Mixed, caller: Caller, chance: random.Random) -> int:
    """Leave within the body, or before the answer; counted as 0, for there is none."""
    path = chance.choice(["/v1/predict", "/v1/explain", "/v1/video"])
    body = mixed.clip if path == "/v1/video" else mixed.photo
    kind = "video/mp4" if path == "/v1/video" else "image/jpeg"
    sent = chance.choice([len(body) // 3, len(body)]) if path != "/v1/video" else len(body) // 3
    _, writer = await caller.open()
    writer.write(caller.head(path, len(body), kind=kind) + body[:sent])
    await writer.drain()
    await asyncio.sleep(chance.uniform(0, 0.2))
    caller.close()
    return 0


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def _deep(image: Image.Image, side: int) -> bytes:
    """A PNG of 16 bits."""
    grey = np.asarray(image.convert("L").resize((side, side)), dtype=np.uint16) * 257
    return _encoded(Image.fromarray(grey), "PNG")


def _clip(image: Image.Image, seconds: int) -> bytes:
    """The photo as a clip of 25 frames a second, moving a little."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with av.open(str(path), "w") as out:
            stream = out.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 480, 480, "yuv420p"
            for n in range(25 * seconds):
                left = n % 16
                part = image.crop((left, 16, left + 480, 496))
                out.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(part), format="rgb24")))
            out.mux(stream.encode())
        return path.read_bytes()


def _refused(photo: bytes) -> list[tuple[str, str, str, bytes]]:
    """Path, type, host and body of requests that are refused, each for another reason."""
    wide = bytearray(_encoded(Image.new("L", (8, 8)), "PNG"))
    wide[16:24] = (60_000).to_bytes(4, "big") * 2  # in its header only
    return [
        ("/v1/predict", "image/jpeg", "", b"no image"),
        ("/v1/predict", "image/jpeg", "", photo[: len(photo) // 3]),
        ("/v1/predict", "image/jpeg", "", bytes(21_000_000)),
        ("/v1/predict", "image/png", "", bytes(wide)),
        ("/v1/predict", "text/plain", "", photo),
        ("/v1/predict?colour=red", "image/jpeg", "", photo),
        ("/v1/explain?method=nothing", "image/jpeg", "", photo),
        ("/v1/predict", "image/jpeg", "evil.example", photo),
        ("/v1/video", "video/mp4", "", b"no clip" * 100),
    ]


async def load(photo: bytes, port: int, pid: int, minutes: float) -> dict[str, Any]:
    """What the callers were answered, and the server's memory each ten seconds.

    The first sample is before the load; the last one half a minute after it.
    """
    mixed = Mixed(photo)
    began = time.monotonic()
    samples = [[0.0, round(memory(pid), 1)]]

    async def sample() -> None:
        while True:
            await asyncio.sleep(EVERY)
            samples.append([round(time.monotonic() - began, 1), round(memory(pid), 1)])

    watching = asyncio.create_task(sample())
    await mixed.run(port, minutes)
    loaded = time.monotonic() - began
    await asyncio.sleep(30)
    watching.cancel()
    asker = Caller(port)
    await asker.ask("/metrics", method="GET")
    asker.close()
    under = [megabytes for at, megabytes in samples if min(WARM, loaded / 2) <= at <= loaded]
    third = max(len(under) // 3, 1)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cores": os.cpu_count(),
        "load_average": round(os.getloadavg()[1], 1),
        "minutes": minutes,
        "statuses": {kind: dict(sorted(seen.items())) for kind, seen in mixed.statuses.items()},
        "requests_in_metrics": _counted(asker.answer.decode()),
        "start_mb": samples[0][1],
        "warm_mb": under[0],
        "largest_mb": max(under),
        "first_third_mb": round(sum(under[:third]) / third, 1),
        "last_third_mb": round(sum(under[-third:]) / third, 1),
        "end_mb": under[-1],
        "idle_mb": samples[-1][1],
        "samples": samples,
    }


def _counted(metrics: str) -> dict[str, int]:
    """Answers by status, as the server counts them."""
    seen: Counter[str] = Counter()
    for line in metrics.splitlines():
        if line.startswith("mien_requests_total{"):
            seen[line.partition('status="')[2].partition('"')[0]] += int(float(line.split()[-1]))
    return dict(sorted(seen.items()))


def markdown(found: dict[str, Any]) -> str:
    """A paragraph and a table."""
    rows = [
        f"| {kind} | {', '.join(f'{status}: {count:,}' for status, count in seen.items())} |"
        for kind, seen in found["statuses"].items()
    ]
    counted = ", ".join(f"{k}: {v:,}" for k, v in found["requests_in_metrics"].items())
    return "\n".join(
        [
            f"**Mixed load** for {found['minutes']:g} minutes (`--minutes`, {found['date']}, load "
            f"{found['load_average']}): photos, explanations, bodies that are refused, pictures of "
            "9 and 24 megapixels, clips of two seconds, callers that hang up. Resident "
            f"MB: {found['start_mb']:g} before, {found['warm_mb']:g} after "
            f"the warm-up, {found['first_third_mb']:g} and {found['last_third_mb']:g} in the mean "
            f"of the first and the last third after it, at most {found['largest_mb']:g}, "
            f"{found['end_mb']:g} at the end, {found['idle_mb']:g} half a minute later.",
            "",
            "| caller | statuses (0: hung up before any) |",
            "|---|---|",
            *rows,
            "",
            f"By the server's own count: {counted}.",
            "",
        ]
    )
