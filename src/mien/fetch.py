"""Files that Mien may fetch when the user asks for it, and only then: checked, kept in a cache."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mien.files import write_whole
from mien.types import ModelError


@dataclass(frozen=True)
class Remote:
    """A file that Mien may fetch when the user asks for it, and only then."""

    name: str  # as in ``mien models fetch NAME``
    url: str
    sha256: str
    bytes: int
    licence: str
    purpose: str

    @property
    def path(self) -> Path:
        """Where the file is, or will be, in the cache folder."""
        return cache_folder() / Path(self.url).name


def cache_folder() -> Path:
    """Folder for fetched files: ``$MIEN_HOME``, ``$XDG_CACHE_HOME/mien`` or ``~/.cache/mien``."""
    if home := os.environ.get("MIEN_HOME"):
        return Path(home)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mien"


def fetched(remote: Remote) -> Path | None:
    """Path of a file that ``fetch`` has brought (or the user has put there), else None."""
    return remote.path if remote.path.is_file() else None


def download(url: str) -> bytes:
    """The bytes behind a URL, or a ModelError that says what to do instead."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return bytes(answer.read())
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise ModelError(
            f"cannot reach {url} ({reason}); on a machine with a network download that file "
            f"and copy it to {cache_folder() / Path(url).name}"
        ) from error


def fetch(remote: Remote, get: Callable[[str], bytes] = download) -> Path:
    """Bring a file into the cache folder, check its SHA-256, and return its path.

    ``get`` turns a URL into bytes. A file already there is checked again. Raises ModelError where
    the network is missing or the bytes are not the expected ones; nothing is then left behind.
    InputError where the folder cannot be written.
    """
    path = remote.path
    content = path.read_bytes() if path.is_file() else get(remote.url)
    digest = hashlib.sha256(content).hexdigest()
    if digest != remote.sha256:
        where = f"{path} (delete it and fetch again)" if path.is_file() else remote.url
        raise ModelError(
            f"{where}: expected SHA-256 {remote.sha256[:12]}..., got {digest[:12]}...; "
            "the file is not the one that Mien was tested with"
        )
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    return path
