"""Who may ask: the right host name, the same origin, the token; and one line of log per answer."""

from __future__ import annotations

import hmac
import json
import logging
import re
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mien.web.limits import Refusal
from mien.web.settings import ServiceSettings

log = logging.getLogger("mien.web")

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
        "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
WITH_TOKEN: Final = ("/v1", "/metrics")
LEFT: Final = 499  # the status of a request whose caller has hung up
ADDRESS: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?")  # host, perhaps port


class Guard:
    """ASGI middleware around everything else."""

    def __init__(
        self, app: ASGIApp, settings: ServiceSettings, seen: Callable[[str, int, float], None]
    ) -> None:
        self.app, self.settings, self.seen = app, settings, seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, pass on, log."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        method = scope["method"]
        head = method == "HEAD"

        async def answer(message: Message) -> None:
            nonlocal status
            if head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                took = time.perf_counter() - began
                headers["Server-Timing"] = f"total;dur={took * 1e3:.1f}"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            self.check(scope)
            # the routes know GET; what answers it answers HEAD, without the body
            if head:
                scope = {**scope, "method": "GET"}
            await self.app(scope, receive, answer)
        except Refusal as refusal:
            await refuse(refusal, answer)
        except ClientDisconnect:
            status = LEFT  # in the middle of its body: nobody is there to be answered
        except Exception as error:
            # its text might quote a file's name or content: the kind is enough
            log.error("%s while answering %s", type(error).__name__, route(scope))
            log.debug("its traceback", exc_info=True)
            if not status:
                text = "the service failed unexpectedly; its log says at what"
                await refuse(Refusal(500, "failed", text), answer)
        finally:
            took = time.perf_counter() - began
            self.seen(route(scope), status, took)
            log.info("%s %s %d %.0f ms", method, route(scope), status, took * 1e3)

    def check(self, scope: Scope) -> None:
        """Raise Refusal: 421 for another host, 403 for another origin, 401 without the token."""
        headers = Headers(scope=scope)
        host = headers.get("host", "").lower()
        if host_name(host) not in self.settings.names:
            raise Refusal(
                421,
                "wrong_host",
                "expected the address that this server was started with; "
                "where it has other names, name them with --allow-host",
            )
        origin = headers.get("origin")
        foreign = headers.get("sec-fetch-site") == "cross-site" and scope["method"] != "GET"
        if foreign or (origin is not None and _address(origin) != host):
            raise Refusal(403, "other_origin", "pages of other sites may not ask this server")
        path = scope["path"]
        if self.settings.token is None or not path.startswith(WITH_TOKEN):
            return
        kind, _, given = headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(given.strip().encode(), self.settings.token.encode())
        if kind.lower() != "bearer" or not right:
            raise Refusal(
                401,
                "no_token",
                "expected 'Authorization: Bearer TOKEN' with this server's token",
                {"WWW-Authenticate": "Bearer"},
            )


def host_name(host: str) -> str:
    """The name in a Host header, without its port; empty where it is not NAME or NAME:PORT.

    >>> host_name("127.0.0.1:8571"), host_name("[::1]:8571"), host_name("127.0.0.1:80.evil.com")
    ('127.0.0.1', '::1', '')
    """
    found = ADDRESS.fullmatch(host)
    return found[1].strip("[]") if found else ""


def _address(url: str) -> str:
    """The host with its port; empty where the address makes no sense."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def route(scope: Scope) -> str:
    """The route's template, never the path itself: paths of jobs are secret.

    >>> route({"path": "/nothing/here"})
    'other'
    """
    found: Any = scope.get("route")
    template = getattr(found, "path_format", None) or getattr(found, "path", None)
    return str(template) if template else "static" if "/static/" in scope["path"] else "other"


async def refuse(refusal: Refusal, send: Send) -> None:
    """Send a refusal as JSON."""
    body = json.dumps(refusal.body()).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body))}
    headers |= {name.lower(): value for name, value in refusal.headers.items()}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
