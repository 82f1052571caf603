"""What a server is started with: a model, an address, and limits."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from mien.types import InputError

LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Limits:
    """What is refused, so that no caller can take the machine from the others."""

    body: int = 20_000_000  # bytes of a photo's file
    pixels: int = 50_000_000  # of a photo, checked in its header before it is decoded
    accepted: int = 256  # requests accepted and not answered, of all callers
    per_caller: int = 128  # the same, of one address
    held: int = 400_000_000  # bytes of all photos that wait
    upload_seconds: float = 30.0  # for a photo's body to arrive
    idle_seconds: float = 10.0  # for the next piece of a body, or the head of a request, to arrive
    upload_rate: float = 10_000.0  # bytes per second of a body, once that time has passed
    explain_seconds: float = 60.0  # for one explanation
    explain_options: int = 20_000  # largest number that an option of a method may be
    batch: int = 32  # most photos answered together
    wait: float = 0.003  # seconds for which a photo waits for others
    video_body: int = 500_000_000  # bytes
    video_seconds: float = 600.0  # of a clip
    video_pixels: int = 9_000_000  # of a frame
    video_waiting: int = 4  # clips that are uploaded, wait or are analysed
    video_per_caller: int = 2  # the same, of one address
    video_kept: float = 900.0  # seconds for which a finished clip can be fetched
    video_upload_seconds: float = 600.0  # for a clip to arrive

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0 and name != "wait":
                raise InputError(f"{name}: expected a limit above 0, got {value}")


@dataclass(frozen=True)
class ServiceSettings:
    """How a server runs; a ``token`` is asked of every caller of ``/v1`` and ``/metrics``."""

    model: str = "mien"
    head: str | None = None
    contempt: bool = False
    prior: str | None = None
    flip: bool = False
    detector: str = "auto"
    host: str = "127.0.0.1"
    port: int = 8571
    token: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = ()  # names, beside those of this machine, that callers may use
    workers: int = 0  # threads that answer photos; 0 takes as many as cores, at most 4
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise InputError(f"port: expected 0 to 65535, got {self.port}")
        if self.workers < 0:
            raise InputError(f"workers: expected 0 or more threads, got {self.workers}")
        if self.token is not None and not (len(self.token) >= 8 and self.token.isprintable()):
            raise InputError(
                "token: expected 8 characters or more without line breaks; "
                "make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
            )

    @property
    def local(self) -> bool:
        """Whether only programs of this machine can reach the server."""
        return self.host in LOCAL

    @property
    def names(self) -> frozenset[str]:
        """Host names that a request may be addressed to.

        >>> sorted(ServiceSettings().names)
        ['127.0.0.1', '::1', 'localhost']
        """
        bound = () if self.host in ("0.0.0.0", "::", "") else (self.host,)
        return frozenset(name.lower() for name in (*LOCAL, *bound, *self.hosts))

    @property
    def threads(self) -> int:
        """Threads that answer photos."""
        return self.workers or min(os.cpu_count() or 1, 4)
