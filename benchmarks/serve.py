"""Load on ``mien serve``: latency at 1, 8 and 64 callers, limits, memory, the page in Chromium.

    python -m benchmarks.serve --requests 10000

starts a server of its own on a free port and writes serve.json and serve.md beside this file. The
callers run in this process, on the same cores as the server: what they cost is part of the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks import mixed
from benchmarks.calls import Caller, memory, start

ROOT = Path(__file__).parent.parent
PHOTO = ROOT / "examples" / "astronaut.jpg"


async def load(
    port: int, path: str, callers: int, requests: int, addresses: int = 1, seconds: float = 30
) -> dict[str, Any]:
    """What callers that ask again as soon as they are answered get to see.

    It ends after so many requests, or when ``seconds`` are over and the last answers are here.
    """
    photo = PHOTO.read_bytes()
    left = iter(range(requests))
    times: list[float] = []
    statuses: Counter[int] = Counter()

    async def call(number: int) -> None:
        caller = Caller(port, f"127.0.0.{1 + number % addresses}")
        for _ in left:
            if time.perf_counter() - started > seconds:
                break
            began = time.perf_counter()
            status = await caller.ask(path, photo)
            statuses[status] += 1
            if status == 200:
                times.append(time.perf_counter() - began)
        caller.close()

    started = time.perf_counter()
    await asyncio.gather(*(call(number) for number in range(callers)))
    took = time.perf_counter() - started
    times.sort()
    found = {
        "path": path,
        "callers": callers,
        "addresses": addresses,
        "requests": sum(statuses.values()),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "p50_ms": round(1e3 * times[len(times) // 2], 1),
        "p99_ms": round(1e3 * times[min(int(len(times) * 0.99), len(times) - 1)], 1),
        "answers_per_second": round(len(times) / took, 1),
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(found, file=sys.stderr, flush=True)
    return found


def steady(port: int, pid: int, requests: int, callers: int = 8) -> dict[str, Any]:
    """Memory over many requests: a tenth of them at a time."""
    points = [round(memory(pid), 1)]
    statuses: Counter[str] = Counter()
    for _ in range(10):
        found = asyncio.run(load(port, "/v1/predict", callers, requests // 10, seconds=9999))
        statuses.update(found["statuses"])
        points.append(round(memory(pid), 1))
    return {
        "requests": requests,
        "callers": callers,
        "statuses": dict(statuses),
        "megabytes": points,
    }


def page(url: str, times: int = 7) -> dict[str, Any]:
    """Milliseconds to the first paint, and from giving a photo to its explanation on the page."""
    from playwright.sync_api import sync_playwright

    answered = "#evidence[aria-busy=false] .bars li"
    paints, faces, answers = [], [], []
    with sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for _ in range(times):
            context = browser.new_context(viewport={"width": 1280, "height": 900})
            tab = context.new_page()
            tab.goto(url, wait_until="networkidle")
            paints.append(
                tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            )
            began = time.perf_counter()
            tab.set_input_files("#file", str(PHOTO))
            tab.wait_for_selector("#boxes .face")
            faces.append(1e3 * (time.perf_counter() - began))
            tab.wait_for_selector(answered)
            answers.append(1e3 * (time.perf_counter() - began))
            context.close()
        version = browser.version
        browser.close()
    return {
        "chromium": version,
        "times": times,
        "first_paint_ms": round(statistics.median(paints)),
        "expression_ms": round(statistics.median(faces)),
        "explanation_ms": round(statistics.median(answers)),
        "load_average": round(os.getloadavg()[0], 1),
    }


def markdown(found: dict[str, Any]) -> str:
    rows = [
        f"| `{r['path']}` | {r['callers']} | {r['requests']:,} | {r['p50_ms']:,} | "
        f"{r['p99_ms']:,} | {r['answers_per_second']:,} | "
        f"{', '.join(f'{k}: {v:,}' for k, v in r['statuses'].items())} | {r['load_average']} |"
        for r in [*found["load"], *found["above"]]
    ]
    kept, seen = found["memory"], found["page"]
    return "\n".join(
        [
            "# `mien serve` under load",
            "",
            f"`python -m benchmarks.serve`, {found['date']}, {found['cores']} cores "
            f"({found['machine']}), Python {found['python']}, model {found['model']}. One photo of "
            "512 x 512 (75 kB), sent again as soon as it is answered; callers run on the same "
            "cores. \"load\" is the machine's load average after each row, this benchmark's own "
            "included.",
            "",
            "| path | callers | requests | p50 ms | p99 ms | answers/s | statuses | load |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            "The last rows are above the limits of 128 requests of one address (429) and of 256 of "
            "all (503); latencies are of answered requests.",
            "",
            f"**Memory** over {kept['requests']:,} requests of {kept['callers']} callers, resident "
            f"MB before and after each tenth: {', '.join(f'{m:g}' for m in kept['megabytes'])}. "
            f"Statuses: {', '.join(f'{k}: {v:,}' for k, v in kept['statuses'].items())}.",
            "",
            f"**Page** in Chromium {seen['chromium']}, median of {seen['times']}: first paint "
            f"{seen['first_paint_ms']} ms; from giving the photo to its expression "
            f"{seen['expression_ms']} ms, to its explanation (`regions`, 256 forward passes) "
            f"{seen['explanation_ms']} ms. Load {seen['load_average']}.",
            "",
            f"**Stop**: after SIGTERM with {found['stop']['open']} requests open, answered "
            f"{found['stop']['answered']} of them, exit code {found['stop']['exit']}.",
            "",
            *([mixed.markdown(found["mixed"])] if "mixed" in found else []),
        ]
    )


def stopped(server: subprocess.Popen[bytes], port: int) -> dict[str, Any]:
    """SIGTERM while requests are open: which of them are answered."""

    async def ask() -> list[int]:
        photo = PHOTO.read_bytes()
        asked = [asyncio.create_task(Caller(port).ask("/v1/explain", photo)) for _ in range(8)]
        await asyncio.sleep(0.3)
        server.terminate()
        return await asyncio.gather(*asked)

    statuses = asyncio.run(ask())
    return {"open": 8, "answered": statuses.count(200), "exit": server.wait(60)}


def latencies(requests: int, seconds: float) -> dict[str, Any]:
    """The page, the rows of latencies, the limits, the memory, the stop."""
    server, port = start()
    try:
        asyncio.run(load(port, "/v1/predict", 4, 50))
        return {
            "date": time.strftime("%Y-%m-%d"),
            "cores": os.cpu_count(),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "model": json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models"))[
                "models"
            ][0]["identity"],
            "page": page(f"http://127.0.0.1:{port}/"),
            "load": [
                asyncio.run(load(port, path, callers, 1000, seconds=seconds))
                for path in ("/v1/predict", "/v1/explain?method=cam", "/v1/explain")
                for callers in (1, 8, 64)
            ],
            "above": [
                asyncio.run(load(port, "/v1/predict", 200, 1000)),
                asyncio.run(load(port, "/v1/predict", 500, 2000, addresses=5)),
            ],
            "memory": steady(port, server.pid, requests),
            "stop": stopped(server, port),
        }
    finally:
        server.kill()


def mixed_load(minutes: float) -> dict[str, Any]:
    """What :mod:`benchmarks.mixed` measures, on a server of its own."""
    server, port = start()
    try:
        return asyncio.run(mixed.load(PHOTO.read_bytes(), port, server.pid, minutes))
    finally:
        server.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000, help="for the memory")
    parser.add_argument("--seconds", type=float, default=15, help="for each row of latencies")
    parser.add_argument("--minutes", type=float, help="only a mixed load, for so long")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)  # before the work, not after it
    written = chosen.out / "serve.json"
    results: dict[str, Any] = json.loads(written.read_text()) if written.is_file() else {}
    if chosen.minutes is None:
        results |= latencies(chosen.requests, chosen.seconds)
    else:
        results["mixed"] = mixed_load(chosen.minutes)
    written.write_text(json.dumps(results, indent=1) + "\n")
    text = markdown(results) if "load" in results else mixed.markdown(results["mixed"])
    chosen.out.joinpath("serve.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
