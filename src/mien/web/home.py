"""A server's temporary folder: it ends with its server, or is removed by the next one."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

PREFIX: Final = "mien-serve-"
LOCK: Final = "lock"  # held by the server for as long as it lives, however it ends
YOUNG = 60.0  # seconds in which a folder may not have its lock yet


class Home:
    """A folder of temporary files that only this user can read; made at the first use.

    Its owner holds a lock on it, not a process id: in a container every server is process 1.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._lock: int | None = None

    def new_folder(self) -> Path:
        """A new, empty folder in it."""
        if self._path is None:
            remove_abandoned()
            self._path = Path(tempfile.mkdtemp(prefix=PREFIX))
            self._lock = _locked(self._path / LOCK)
        return Path(tempfile.mkdtemp(dir=self._path))

    def close(self) -> None:
        """Delete all of it."""
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)
            self._path = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def remove_abandoned() -> None:
    """Delete the folders of servers that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if folder.is_dir() and not folder.is_symlink() and _abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _abandoned(folder: Path) -> bool:
    lock = folder / LOCK
    try:
        if not lock.exists():
            return time.time() - folder.stat().st_mtime > YOUNG
        held = _locked(lock)
    except OSError:
        return False  # another server's, or another user's
    if held is None:
        return False
    os.close(held)
    return True


def _locked(path: Path) -> int | None:
    """A descriptor that holds a lock on the file; None where the system has no such locks.

    Raises OSError where another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        return None
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
