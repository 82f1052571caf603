"""One job at a time on one output, here or in an object store."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mien.batch.storage import Place
from mien.runs.lock import locked as locked_here
from mien.types import InputError

FOLDER = "_mien"
NOTE = f"{FOLDER}/lock.json"  # in an object store
BEAT = 20.0  # seconds between an owner's signs of life there
GONE = 120.0  # seconds without one, after which it is taken for dead


@contextlib.contextmanager
def locked(out: Place) -> Iterator[None]:
    """Hold the output for this process; InputError names the process that holds it already.

    On this machine's file systems it is the system's own lock, which ends with its process. In
    an object store it is a note that its owner renews: one without news for two minutes loses
    it, and two jobs that begin within the same moment may, rarely, both get it.
    """
    if out.local:
        with locked_here(Path(out.path) / FOLDER, "batch job"):
            yield
        return
    note = {"host": platform.node(), "process": os.getpid(), "key": uuid.uuid4().hex}
    _claim(out, note)
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(out, note, ended), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        (out / NOTE).remove()


def _claim(out: Place, note: dict[str, Any]) -> None:
    owner = _owner(out)
    if time.time() - owner.get("renewed", 0.0) < GONE:
        raise _taken(out, owner)
    _write(out, note)
    found = _owner(out)
    if found.get("key") != note["key"]:  # another job began in the same moment
        raise _taken(out, found)


def _renew(out: Place, note: dict[str, Any], ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        with contextlib.suppress(Exception):  # a store that is away for a moment
            _write(out, note)


def _write(out: Place, note: dict[str, Any]) -> None:
    (out / NOTE).write(json.dumps({**note, "renewed": time.time()}).encode())


def _owner(out: Place) -> dict[str, Any]:
    try:
        found = json.loads((out / NOTE).read())
        return found if isinstance(found["renewed"], float) else {}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def _taken(out: Place, owner: dict[str, Any]) -> InputError:
    return InputError(
        f"{out}: expected an output that no other job writes to, but process "
        f"{owner.get('process', 'unknown')} on {owner.get('host', 'an unknown host')} does; wait "
        f"for its end, stop it (the output is free {GONE:.0f} s later), or give another --output"
    )
