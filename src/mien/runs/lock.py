"""One writer to a folder: a lock that names its host and process, and that dies with them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final

from mien.files import cannot_write
from mien.types import InputError

try:
    import fcntl
except ImportError:  # a system without POSIX locks: there the file only says who writes
    fcntl = None  # type: ignore[assignment]  # None where there is no such module

FILE: Final = ".lock"
BEAT: Final = 20.0  # seconds between the marks of life that another host can see
GONE: Final = 120.0  # seconds without one, after which an owner on another host is gone
_held: set[Path] = set()  # by this process, to which its own POSIX locks are always open


@contextmanager
def locked(folder: Path, work: str) -> Iterator[None]:
    """Hold a folder for this process; InputError at once where another one holds it.

    ``work`` says what is done in it, such as "training". The file ``.lock`` in the folder names
    host and process. Its owner is gone when the system has let go of its lock, or, for an owner
    on another host, when the file has not been touched for two minutes.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, locked(Path(folder), "training"):
    ...     sorted(p.name for p in Path(folder).iterdir())
    ['.lock']
    """
    path = (folder / FILE).resolve()
    if path in _held:
        raise _refused(path, work, {"process": os.getpid()})
    file = _opened(path, work)
    _held.add(path)
    ended = Event()
    try:
        _write(file, {"host": platform.node(), "process": os.getpid(), "work": work})
        beat = Thread(target=_beat, args=(path, ended), name="lock", daemon=True)
        beat.start()
        yield
        ended.set()
        beat.join()
    finally:
        ended.set()
        _held.discard(path)
        with suppress(OSError):
            path.unlink()  # while it is still held: who waits opens a new file
        file.close()


def _opened(path: Path, work: str) -> FileIO:
    """The lock file, held; InputError where its owner lives."""
    while True:
        try:
            file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+")
        except OSError as error:
            raise cannot_write(path, error) from error
        try:
            if fcntl is not None:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _same(path, file):
                file.close()  # its owner took it away between our two steps
                continue
            owner = _read(file)
            if owner.get("host", platform.node()) != platform.node() and _fresh(path):
                raise _refused(path, work, owner)
        except OSError as error:
            owner = _read(file)
            file.close()
            raise _refused(path, work, owner) from error
        except InputError:
            file.close()
            raise
        return file


def _same(path: Path, file: FileIO) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _fresh(path: Path) -> bool:
    """Whether the owner has shown life lately, by the clock of the file system itself."""
    clock = path.with_name(f"{FILE}-{platform.node()}-{os.getpid()}")
    clock.touch()
    try:
        return clock.stat().st_mtime - path.stat().st_mtime < GONE
    finally:
        clock.unlink(missing_ok=True)


def _beat(path: Path, ended: Event) -> None:
    while not ended.wait(BEAT):
        with suppress(OSError):
            os.utime(path)


def _read(file: FileIO) -> dict[str, Any]:
    """Who holds the file, as it says; nothing where it was not written whole."""
    try:
        file.seek(0)
        found = json.loads(file.read(4096) or b"{}")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: FileIO, owner: dict[str, Any]) -> None:
    file.seek(0)
    file.truncate()
    file.write(json.dumps(owner).encode())


def _refused(path: Path, work: str, owner: dict[str, Any]) -> InputError:
    host = owner.get("host", platform.node())
    away = f" (where that host is gone, it is free {GONE:.0f} s later)" * (host != platform.node())
    return InputError(
        f"{path.parent}: expected a folder that nothing else writes to, but process "
        f"{owner.get('process', 'unknown')} on {host} does; wait until it ends or stop it{away}, "
        f"or give another folder for this {work}"
    )
