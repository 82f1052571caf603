"""One application for requests in this process, and one server for the browser."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from fastapi.testclient import TestClient

from mien.web.app import create_app
from mien.web.server import server_config
from mien.web.settings import ServiceSettings
from tests.conftest import PORTRAIT
from tests.video import clips

HOST = "http://127.0.0.1"
JPEG = {"content-type": "image/jpeg"}
VIDEO = {"content-type": "video/mp4"}


@pytest.fixture(scope="session")
def photo() -> bytes:
    return PORTRAIT.read_bytes()


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of two drawn people."""
    return clips.write(tmp_path_factory.mktemp("web") / "film.mp4", 24)


@pytest.fixture(scope="package")
def client() -> Iterator[TestClient]:
    with TestClient(create_app(), base_url=HOST) as found:
        yield found


@dataclass
class Running:
    """A server in a thread of this process."""

    server: uvicorn.Server
    thread: threading.Thread
    url: str

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(90)
        assert not self.thread.is_alive()


def run(settings: ServiceSettings | None = None) -> Running:
    """A server on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = settings or ServiceSettings()
    config = server_config(
        create_app(settings), port=port, grace=60, seconds=settings.limits.idle_seconds
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    ends = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < ends
        time.sleep(0.02)
    return Running(server, thread, f"http://127.0.0.1:{port}")


@pytest.fixture(scope="package")
def running() -> Iterator[Running]:
    found = run()
    yield found
    found.stop()
