"""``mien serve``: the page and the service."""

from __future__ import annotations

import logging
import os
import signal
import socket
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from mien.commands.terminal import (
    Contempt,
    Detector,
    Flip,
    HeadName,
    ModelName,
    PriorShares,
    out,
    warn,
)
from mien.extras import need
from mien.types import InputError

if TYPE_CHECKING:
    from mien.web.settings import ServiceSettings

GRACE = 30  # seconds in which answers that are under way are finished

Host = Annotated[
    str,
    typer.Option(
        help="Address to listen on; any other than 127.0.0.1 can be reached from other machines."
    ),
]
Port = Annotated[int, typer.Option(help="Port; 0 picks a free one.")]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="MIEN_TOKEN",
        help="A secret that callers must send. Set it as MIEN_TOKEN: other users of this machine "
        "can see a command's options.",
    ),
]
AllowHost = Annotated[
    list[str] | None, typer.Option(help="A host name by which callers may address the server.")
]
Workers = Annotated[
    int, typer.Option(help="Threads that answer photos; 0: as many as cores, at most 4.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Do not log requests.")]


def serve(
    host: Host = "127.0.0.1",
    port: Port = 8571,
    model: ModelName = "mien",
    head: HeadName = None,
    contempt: Contempt = False,
    prior: PriorShares = None,
    flip: Flip = False,
    detector: Detector = "auto",
    token: Token = None,
    allow_host: AllowHost = None,
    workers: Workers = 0,
    quiet: Quiet = False,
) -> None:
    """Open the page and the service on this machine: drop a photo, see why.

    Stops on Ctrl-C or SIGTERM after it has answered what it accepted.
    """
    from mien.web.settings import ServiceSettings

    settings = ServiceSettings(
        model=model,
        head=head,
        contempt=contempt,
        prior=prior,
        flip=flip,
        detector=detector,
        host=host,
        port=port,
        token=token or None,
        hosts=tuple(allow_host or ()),
        workers=workers,
    )
    server = _server(settings, quiet)
    bound = _bound(host, port)
    _say(settings.local, settings.token, host, bound.getsockname()[1])
    # uvicorn raises the signal again once all is answered: that is an end like any other
    signal.signal(signal.SIGTERM, lambda *_: None)
    server.run(sockets=[bound])


def _server(settings: ServiceSettings, quiet: bool) -> Any:
    """Uvicorn with the service in it; MissingExtraError without the packages of the web."""
    uvicorn = need("uvicorn", "web", "mien serve")
    need("fastapi", "web", "mien serve")
    from mien.web.app import create_app
    from mien.web.memory import few_arenas
    from mien.web.server import server_config

    few_arenas()
    app = create_app(settings)
    # the answers' lines are ours: uvicorn's would hold paths and queries
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    logging.getLogger("mien.web").setLevel(logging.WARNING if quiet else logging.INFO)
    config = server_config(
        app,
        host=settings.host,
        port=settings.port,
        grace=GRACE,
        seconds=settings.limits.idle_seconds,
    )
    return uvicorn.Server(config)


def _bound(host: str, port: int) -> socket.socket:
    """A socket at an address; uvicorn's own would say what went wrong in a line of its own."""
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise InputError(
            f"expected a free address, but {host}:{port} cannot be listened on "
            f"({error.strerror or error}); give another --host or --port"
        ) from error
    return found


def _say(local: bool, token: str | None, host: str, port: int) -> None:
    """Where the page is, and who can reach it."""
    name = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    # the token is shown to who started the server, and never written to a log
    tail = f"/#token={token}" if token and out.is_terminal else "/"
    out.print(escape(f"Mien is at http://{name}:{port}{tail}"), soft_wrap=True, highlight=False)
    if not local:
        text = f"listening on {host}: other machines can reach this server, unencrypted"
        text += "" if token else ", and no token is asked of them (set MIEN_TOKEN)"
        warn(text)
    if os.name == "posix" and hasattr(os, "geteuid") and os.geteuid() == 0 and not local:
        warn("running as root; take a user of its own")
