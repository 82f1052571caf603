"""A server of its own, connections to it, and its memory: what the loads on ``mien serve`` need."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


class Caller:
    """One keep-alive connection from one address of this machine."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self.port, self.address = port, address
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.answer = b""  # the body of the last answer

    async def ask(
        self,
        path: str,
        body: bytes = b"",
        *,
        method: str = "POST",
        kind: str = "image/jpeg",
        host: str = "",
    ) -> int:
        """Send a request; the answer's status, after all of it has come."""
        reader, writer = await self.open()
        writer.write(self.head(path, len(body), method=method, kind=kind, host=host) + body)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        size = next(x for x in head.split("\r\n") if x.startswith("content-length:"))
        self.answer = await reader.readexactly(int(size.split(":")[1]))
        if "connection: close" in head:
            self.close()
        return int(head.split()[1])

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The connection, made where there is none."""
        if self.streams is None:
            self.streams = await asyncio.open_connection(
                "127.0.0.1", self.port, local_addr=(self.address, 0)
            )
        return self.streams

    def head(
        self,
        path: str,
        length: int,
        *,
        method: str = "POST",
        kind: str = "image/jpeg",
        host: str = "",
    ) -> bytes:
        """The request line and the headers."""
        return (
            f"{method} {path} HTTP/1.1\r\nHost: {host or f'127.0.0.1:{self.port}'}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        ).encode()

    def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


def memory(pid: int) -> float:
    """Resident megabytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(x for x in status.splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def start(*options: str) -> tuple[subprocess.Popen[bytes], int]:
    """A server of its own, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mien.commands.main",
        "serve",
        "--quiet",
        "--port",
        str(port),
        *options,
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz").close()
        except OSError:
            if server.poll() is not None:
                raise SystemExit("the server did not start") from None
            time.sleep(0.05)
        else:
            return server, port
