"""What is refused, and how: every refusal has a status, a code and a sentence."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image
from starlette.requests import Request

from mien.registry import choose
from mien.types import InputError, UnknownNameError
from mien.vision import formats
from mien.vision.formats import Header

DRAINED = 100_000_000  # bytes of a refused body that are read, so that its sender can hear why
TURNED = frozenset((5, 6, 7, 8))  # EXIF orientations that swap width and height


class Refusal(Exception):  # noqa: N818 - it is an answer, not a failure
    """An answer that is not 200: ``status``, a ``code`` for programs, a sentence for people."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = dict(headers or {})

    def body(self) -> dict[str, dict[str, str]]:
        """The JSON that callers get."""
        return {"error": {"code": self.code, "message": self.message}}


def known_only(request: Request) -> None:
    """422 for a parameter that the endpoint does not have: it would change nothing, silently."""
    known = [str(field.alias) for field in request.scope["route"].dependant.query_params]
    for name in request.query_params:
        try:
            choose("parameter", name[:40], known)
        except UnknownNameError as error:
            raise Refusal(422, "unknown_name", str(error)) from error


class Reservation:
    """Bytes that one request may take; what it turns out not to take is given back."""

    def __init__(self, gate: Gate, size: int) -> None:
        self._gate, self._size = gate, size

    def shrink(self, size: int) -> None:
        """Give back all but ``size`` bytes."""
        self._gate.bytes -= max(self._size - size, 0)
        self._size = min(self._size, size)


class Gate:
    """Counts what is accepted, in requests and bytes, of one caller and of all."""

    def __init__(self, accepted: int, per_caller: int, most_bytes: int) -> None:
        self.accepted, self.per_caller, self.most_bytes = accepted, per_caller, most_bytes
        self.count, self.bytes = 0, 0
        self.callers: Counter[str] = Counter()

    @contextmanager
    def enter(self, caller: str) -> Iterator[None]:
        """A place among the accepted, or 429 for this caller, or 503 for everybody."""
        if self.callers[caller] >= self.per_caller:
            raise too_many(self.per_caller, "requests")
        if self.count >= self.accepted:
            raise self._full()
        self.count += 1
        self.callers[caller] += 1
        try:
            yield
        finally:
            self.count -= 1
            self.callers[caller] -= 1
            if not self.callers[caller]:
                del self.callers[caller]  # memory does not grow with the number of callers

    @contextmanager
    def reserve(self, size: int) -> Iterator[Reservation]:
        """Room for a body of so many bytes, or 503."""
        if self.bytes + size > self.most_bytes:
            raise self._full()
        self.bytes += size
        reserved = Reservation(self, size)
        try:
            yield reserved
        finally:
            reserved.shrink(0)

    @staticmethod
    def _full() -> Refusal:
        return Refusal(
            503, "busy", "all places are taken; ask again in a second", {"Retry-After": "1"}
        )


def caller_of(request: Request) -> str:
    """The address that a request came from."""
    return request.client.host if request.client else "unknown"


def too_many(limit: int, what: str) -> Refusal:
    """429 for a caller who has too much under way."""
    return Refusal(
        429,
        "too_many_requests",
        f"expected at most {limit} {what} at a time from one caller; "
        "wait for an answer before asking again",
        {"Retry-After": "1"},
    )


def too_large(limit: int, what: str) -> Refusal:
    """413 for a body; says the limit."""
    return Refusal(
        413, "too_large", f"expected {what} of at most {limit / 1e6:g} MB; send a smaller one"
    )


def stated_length(request: Request) -> int | None:
    """The body's length as its header states it, None where it does not."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


@dataclass(frozen=True)
class Body:
    """What a request's body may be."""

    what: str  # such as "an image"
    bytes: int
    seconds: float  # for all of it to arrive
    idle: float  # seconds, for its next piece to arrive
    rate: float  # bytes per second, from ``idle`` seconds on


async def limited(request: Request, body: Body) -> AsyncIterator[bytes]:
    """The body in pieces.

    Raises Refusal: 413 where it is too long, 408 where it, or its next piece, takes too long, or
    where it comes more slowly than it may.
    """
    stream = request.stream()
    stated = stated_length(request)
    began = time.monotonic()
    size = 0
    if stated is not None and stated > body.bytes:
        await _drain(stream, began + body.seconds)
        raise too_large(body.bytes, body.what)
    while True:
        passed = time.monotonic() - began
        if passed > body.idle and size < (passed - body.idle) * body.rate:
            raise _too_slow(f"{body.what} at {body.rate / 1e3:g} kB a second or faster")
        try:
            async with asyncio.timeout(min(body.idle, body.seconds - passed)):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise _too_slow(
                f"{body.what} within {body.seconds:g} s, without a pause of {body.idle:g} s"
            ) from None
        if chunk is None:
            return
        size += len(chunk)
        if size > body.bytes:
            await _drain(stream, began + body.seconds)
            raise too_large(body.bytes, body.what)
        yield chunk


def _too_slow(expected: str) -> Refusal:
    return Refusal(408, "too_slow", f"expected {expected}; send it again", {"Connection": "close"})


async def _drain(stream: AsyncIterator[bytes], ends: float) -> None:
    size = 0
    try:
        async with asyncio.timeout(ends - time.monotonic()):
            async for chunk in stream:
                size += len(chunk)
                if size > DRAINED:
                    return
    except TimeoutError:
        return


def read_header(data: bytes, pixels: int) -> Header:
    """Kind and size of an image, from its header alone: no pixel is decoded.

    The format that is judged here is the one that is decoded. Raises Refusal: 422 for what is no
    image of a known kind, 413 for one of too many pixels.
    """
    if not data:
        raise Refusal(422, "empty", "expected an image in the body, got nothing")
    try:
        header = formats.read_header(data)
    except InputError as error:
        if isinstance(error.__cause__, Image.DecompressionBombError):
            raise _too_many(pixels) from error
        raise Refusal(
            422,
            "not_an_image",
            f"expected an image ({', '.join(formats.FORMATS)}), but the body cannot be read as one",
        ) from error
    if header.pixels > pixels:
        raise _too_many(pixels)
    return header


def _too_many(pixels: int) -> Refusal:
    return Refusal(
        413,
        "too_many_pixels",
        f"expected an image of at most {pixels / 1e6:g} million pixels; send a smaller one",
    )
