"""``mien serve`` as it is started and stopped."""

from __future__ import annotations

import importlib.resources
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import httpx
import pytest
from PIL import Image

from mien.extras import install
from mien.web.home import LOCK, PREFIX, Home, remove_abandoned
from mien.web.settings import Limits
from tests.conftest import PORTRAIT
from tests.web.conftest import JPEG


@contextmanager
def serving(*options: str, **env: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command on a free port, and its address."""
    server = subprocess.Popen(
        [sys.executable, "-m", "mien.commands.main", "serve", "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200", **env},
    )
    watchdog = threading.Timer(60, server.kill)
    watchdog.start()
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert found, line
        yield server, found[0]
    finally:
        watchdog.cancel()
        server.kill()
        server.wait()
        for pipe in (server.stdout, server.stderr):
            assert pipe is not None
            pipe.close()


def ask(url: str) -> httpx.Response:
    ends = time.monotonic() + 20
    while True:
        try:
            return httpx.get(url)
        except httpx.ConnectError:
            assert time.monotonic() < ends
            time.sleep(0.05)


def test_it_serves_logs_routes_and_ends_well_on_sigterm() -> None:
    with serving(MIEN_TOKEN="open sesame") as (server, url):
        assert ask(f"{url}/healthz").json() == {"status": "ok"}
        assert ask(f"{url}/v1/models").status_code == 401
        right = {**JPEG, "authorization": "Bearer open sesame"}
        photo = PORTRAIT.read_bytes()
        answer = httpx.post(f"{url}/v1/predict", content=photo, headers=right, timeout=30)
        assert answer.json()["faces"][0]["dominant_emotion"] == "happy"
        refused = httpx.post(f"{url}/v1/predict?x=secret", content=photo, headers=right)
        assert refused.status_code == 422
        server.send_signal(signal.SIGTERM)
        out, err = server.communicate(timeout=30)
    assert server.returncode == 0
    assert re.search(r"POST /v1/predict 200 \d+ ms", err)
    for word in ("sesame", "secret", "happy", "warning"):
        assert word not in out + err


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_memory_that_large_pictures_took_is_given_back() -> None:
    large = io.BytesIO()
    slope = Image.linear_gradient("L").resize((7000, 7000))
    Image.merge("RGB", [slope] * 3).save(large, "PNG", compress_level=1)
    with serving("--workers", "2") as (server, url):

        def resident() -> float:
            status = Path(f"/proc/{server.pid}/status").read_text()
            return int(status.split("VmRSS:")[1].split()[0]) / 1e3  # MB

        def predict(body: bytes) -> int:
            answer = httpx.post(f"{url}/v1/predict", content=body, headers=JPEG, timeout=60)
            return answer.status_code

        ask(f"{url}/healthz")
        assert predict(PORTRAIT.read_bytes()) == 200
        before = resident()
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(predict, [large.getvalue()] * 4)) == {200}
        ends = time.monotonic() + 30
        while resident() > before + 120:
            assert time.monotonic() < ends, (before, resident())
            time.sleep(0.5)


def test_it_warns_where_others_can_reach_it() -> None:
    with serving("--host", "0.0.0.0", "--quiet") as (server, url):
        assert ask(f"{url}/healthz").status_code == 200
        assert ask(f"{url}/healthz").headers.get("server") is None
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=30)
    assert "other machines can reach this server" in err
    assert "no token is asked" in err


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [
            sys.executable,
            "-m",
            "mien.commands.main",
            "serve",
            "--port",
            str(taken.getsockname()[1]),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "Address already in use" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_base_install_says_what_is_missing(run: Callable[..., CompletedProcess[str]]) -> None:
    done = run("serve")
    assert done.returncode == 2
    assert install("web") in done.stderr
    assert run("serve", "--help").returncode == 0


@pytest.mark.parametrize(
    "options",
    [("--port", "99999"), ("--token", "short"), ("--model", "absent.onnx"), ("--workers", "-1")],
)
def test_wrong_options_are_one_line(options: tuple[str, str]) -> None:
    command = [sys.executable, "-m", "mien.commands.main", "serve", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_what_a_killed_server_left_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Process ids say nothing: in a container every server is process 1."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    living = Home()
    mine = living.new_folder()
    left, old, young = (tmp_path / f"{PREFIX}{name}" for name in ("left", "old", "young"))
    for folder in (left, old, young):
        (folder / "job").mkdir(parents=True)
    (left / LOCK).touch()  # its owner is gone, and with it the lock
    os.utime(old, (0, 0))  # it never had one
    remove_abandoned()
    assert [folder.exists() for folder in (left, old, young, mine)] == [False, False, True, True]
    living.close()
    assert not mine.exists()


def test_the_page_is_in_the_package_and_asks_no_other_host() -> None:
    static = importlib.resources.files("mien.web") / "static"
    names = {entry.name for entry in static.iterdir()}
    assert {"index.html", "style.css", "icon.svg", "example.jpg", "js"} <= names
    assert (static / "example.jpg").read_bytes() == PORTRAIT.read_bytes()
    texts = [static / "index.html", static / "style.css", *(static / "js").iterdir()]
    for text in texts:
        found = re.findall(r"(?:https?:)?//[\w.]+\.\w+", text.read_text(encoding="utf-8"))
        assert [url for url in found if "www.w3.org" not in url] == [], text  # names of SVG
        assert len(text.read_text(encoding="utf-8").splitlines()) <= 300, text


def test_the_page_of_the_documentation_states_the_limits() -> None:
    page = (PORTRAIT.parent.parent / "docs" / "serve.md").read_text(encoding="utf-8")
    limits = Limits()
    for text in (
        f"{limits.body / 1e6:g} MB, {limits.pixels / 1e6:g} megapixels",
        f"videos {limits.video_body / 1e6:g} MB, {limits.video_seconds / 60:g} min, "
        f"{limits.video_pixels / 1e6:g} megapixels",
        f"{limits.accepted} requests, {limits.held / 1e6:g} MB, {limits.video_waiting} videos; "
        f"{limits.explain_seconds:g} s",
        f"too many requests open | {limits.per_caller} |",
        f"at most {limits.wait * 1e3:g} ms for others, up to {limits.batch}",
        f"{limits.upload_seconds:g} s; videos {limits.video_upload_seconds / 60:g} min",
    ):
        assert text in page, text
