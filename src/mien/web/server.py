"""Uvicorn, set up to keep no connection open for a caller who does not finish its request."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

KEEP_ALIVE = 30  # seconds for which a connection waits for its next request


class HeadTimeout(H11Protocol):
    """HTTP/1.1 that ends a connection whose request line and headers do not arrive in time.

    Uvicorn itself waits for them for ever. Bodies have limits of their own.
    """

    seconds = 10.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        """Take what came; a head that is not whole yet has until the timer ends."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._start()
        else:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._stop()
        super().connection_lost(exc)

    def _start(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.seconds, self._end)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end(self) -> None:
        self._timer = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


def server_config(
    app: Any, *, host: str = "127.0.0.1", port: int = 0, grace: int = 30, seconds: float = 10.0
) -> uvicorn.Config:
    """How the service is run: ``grace`` seconds to answer at the end, ``seconds`` for a head.

    It writes no log of its own: its lines would hold paths and queries.
    """
    protocol = type("HeadTimeout", (HeadTimeout,), {"seconds": seconds})
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=protocol,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=grace,
        timeout_keep_alive=KEEP_ALIVE,
        lifespan="on",
    )
