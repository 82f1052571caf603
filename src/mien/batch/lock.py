"""One job at a time on one output: a lock that its owner's end gives up."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

from mien.batch.storage import Place
from mien.types import InputError

BEAT = 20.0  # seconds after which an owner says again that it is there, in an object store
STALE = 90.0  # seconds of silence after which an owner is gone


@contextlib.contextmanager
def locked(out: Place, lock: Place) -> Iterator[None]:
    """Hold the lock of the output ``out``; InputError names the process that holds it already.

    On this machine's file systems it is the system's own lock, which ends with its process. In
    an object store it is a note that its owner renews; two jobs that begin within the same
    moment may both get it there, and one without news for 90 seconds loses it.
    """
    if lock.local and _has_flock():
        descriptor = _acquire(out, lock.path)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.unlink(lock.path)  # noqa: PTH108 - fsspec's paths are strings
            os.close(descriptor)
        return
    note = _note()
    _claim(out, lock, note)
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(lock, note, ended), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        lock.remove()


def _has_flock() -> bool:
    try:
        import fcntl  # noqa: F401 - only whether it is there
    except ImportError:
        return False
    return True


def _acquire(out: Place, path: str) -> int:
    """A descriptor that holds the lock; it is given up when the process ends, however it does."""
    import fcntl

    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # an owner that has just ended may have removed the file that was opened here
            if os.fstat(descriptor).st_ino == os.stat(path).st_ino:  # noqa: PTH116 - likewise
                os.ftruncate(descriptor, 0)
                os.write(descriptor, json.dumps(_note()).encode())
                return descriptor
        except BlockingIOError:
            owner = _parsed(os.pread(descriptor, 4096, 0))
            os.close(descriptor)
            raise _taken(out, owner) from None
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _claim(out: Place, lock: Place, note: dict[str, Any]) -> None:
    owner = _owner(lock)
    if owner and time.time() - float(owner.get("renewed", 0)) < STALE:
        raise _taken(out, owner)
    lock.write(json.dumps(note).encode())
    found = _owner(lock)
    if found.get("key") != note["key"]:  # another job began in the same moment
        raise _taken(out, found)


def _renew(lock: Place, note: dict[str, Any], ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        with contextlib.suppress(Exception):  # a store that is away for a moment
            lock.write(json.dumps({**note, "renewed": time.time()}).encode())


def _note() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "key": uuid.uuid4().hex,
        "renewed": time.time(),
    }


def _owner(lock: Place) -> dict[str, Any]:
    try:
        return _parsed(lock.read())
    except FileNotFoundError:
        return {}


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _taken(out: Place, owner: dict[str, Any]) -> InputError:
    who = f"process {owner.get('process', 'unknown')} on {owner.get('host', 'an unknown host')}"
    return InputError(
        f"{out}: another job works on it ({who}); wait for its end, stop it, or give another "
        "--output"
    )
