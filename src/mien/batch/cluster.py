"""Ray: started on this machine or reached, quiet, and shut down again."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import warnings
from collections.abc import Iterator
from typing import Any

from mien import extras
from mien.types import InputError, MienError

STORE = 150 * 2**20  # bytes of Ray's object store: only counts travel through it


def need_ray() -> Any:
    """Ray with its Data library, or MissingExtraError."""
    ray = extras.need("ray", "batch", "batch work")
    extras.need("ray.data", "batch", "batch work")
    return ray


def check_address(address: str) -> None:
    """Raise InputError where nothing listens at HOST:PORT: Ray would try for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return  # auto and the like: Ray knows where to look
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{address}: expected a Ray cluster, but none answers there ({reason}); "
            "give HOST:PORT of its head, or auto"
        ) from error


@contextlib.contextmanager
def running(ray: Any, address: str | None) -> Iterator[None]:
    """Ray, started here unless it runs already; quiet, and shut down again if it was started."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # the summary counts what went wrong
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        options |= {"include_dashboard": False, "object_store_memory": STORE}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start(ray, address, options)
    try:
        yield
    finally:
        ray.shutdown()


def start(ray: Any, address: str | None, options: dict[str, Any]) -> None:
    """Start or reach Ray; on a busy machine, where it gives up after 30 seconds, try twice."""
    for last in (False, True):
        try:
            with _silent():
                ray.init(address=address, **options)
            return
        except (ConnectionError, ValueError) as error:
            raise InputError(
                f"{address}: expected a Ray cluster, but none answers there ({error})"
            ) from error
        except Exception as error:  # Ray raises a bare Exception when its time is up
            if "timed out" not in str(error) or last:
                raise MienError(
                    f"Ray could not be started ({str(error).splitlines()[0]}); where the machine "
                    "is busy, try again later"
                ) from error
            ray.shutdown()


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without what libraries in C++ write to stderr."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
