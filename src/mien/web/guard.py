"""Who may ask: the right host name, the same origin, the token; and one line of log per answer."""

from __future__ import annotations

import hmac
import json
import logging
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
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

        async def answer(message: Message) -> None:
            nonlocal status
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
            await self.app(scope, receive, answer)
        except Refusal as refusal:
            await refuse(refusal, answer)
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
            log.info("%s %s %d %.0f ms", scope["method"], route(scope), status, took * 1e3)

    def check(self, scope: Scope) -> None:
        """Raise Refusal: 421 for another host, 403 for another origin, 401 without the token."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _address(f"//{host}")[0] not in self.settings.names:
            raise Refusal(
                421,
                "wrong_host",
                "expected the address that this server was started with; "
                "where it has other names, name them with --allow-host",
            )
        origin = headers.get("origin")
        foreign = headers.get("sec-fetch-site") == "cross-site" and scope["method"] != "GET"
        if foreign or (origin is not None and _address(origin)[1] != host.lower()):
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


def _address(url: str) -> tuple[str, str]:
    """The host's name, and name with port; empty where the address makes no sense."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").lower(), parts.netloc.lower()
    except ValueError:
        return "", ""


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
