"""Files here or in an object store, through fsspec: listed, read, and written whole or not."""

from __future__ import annotations

import contextlib
import io
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mien import extras
from mien.files import PART
from mien.types import InputError, MissingExtraError


@dataclass(frozen=True, eq=False)
class Place:
    """A folder or file, on any file system that fsspec knows."""

    fs: Any
    path: str
    local: bool

    def __truediv__(self, name: str) -> Place:
        return Place(self.fs, f"{self.path.rstrip('/')}/{name}", self.local)

    def __str__(self) -> str:
        return self.path if self.local else str(self.fs.unstrip_protocol(self.path))

    def exists(self) -> bool:
        """Whether something is there."""
        return bool(self.fs.exists(self.path))

    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return bool(self.fs.isdir(self.path))

    def read(self) -> bytes:
        """All bytes of a file."""
        return bytes(self.fs.cat_file(self.path))

    def open(self) -> Any:
        """A file to read at any position."""
        return self.fs.open(self.path, "rb")

    def write(self, data: bytes) -> None:
        """Write a file that appears whole or not at all, also under ``kill -9``.

        Object stores do so with one upload; here a file of another name is renamed. Raises
        InputError where it cannot be written; what is there already stays.
        """
        try:
            if self.local:
                self._write_here(data)
            else:
                self.fs.pipe_file(self.path, data)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _write_here(self, data: bytes) -> None:
        # readers of tables pass over names that begin with a dot
        folder, name = os.path.split(self.path)
        part = os.path.join(folder, f".{name}.{uuid.uuid4().hex}{PART}")  # noqa: PTH118
        try:
            with open(part, "wb") as file:  # noqa: PTH123 - fsspec's paths are strings
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # a rename must not outlive its data
            os.replace(part, self.path)  # noqa: PTH105 - likewise
        finally:
            with contextlib.suppress(OSError):
                os.unlink(part)  # noqa: PTH108 - likewise

    def make_folder(self) -> None:
        """Make the folder and those above it; InputError where that cannot be done."""
        try:
            self.fs.makedirs(self.path, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self}: cannot be made ({error.strerror or error})") from error

    def _cannot_write(self, error: OSError) -> InputError:
        return InputError(
            f"{self}: cannot be written ({error.strerror or error}); make room there, or make it "
            "writable, and run the same command to go on"
        )

    def remove(self) -> None:
        """Remove a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm_file(self.path)

    def names(self) -> list[str]:
        """Names of what is in the folder; none where it does not exist."""
        try:
            self.fs.invalidate_cache(self.path)
            return sorted(
                str(entry).rstrip("/").rsplit("/", 1)[-1]
                for entry in self.fs.ls(self.path, detail=False)
            )
        except (FileNotFoundError, NotADirectoryError):
            return []

    def walk(self) -> Iterator[Place]:
        """All files below the folder, folder by folder, in order."""
        # the system's own walk does not follow links in circles
        walk = os.walk(self.path) if self.local else self.fs.walk(self.path)
        for folder, folders, files in walk:
            folders.sort()
            for name in sorted(files):
                yield Place(self.fs, f"{folder.rstrip('/')}/{name}", self.local)


def place(url: str) -> Place:
    """Where a path or a URL such as ``s3://bucket/folder`` points.

    Raises MissingExtraError where the library for that kind of store is not installed.
    """
    core = extras.need("fsspec.core", "batch", "batch work")
    local = extras.need("fsspec.implementations.local", "batch", "batch work")
    if "://" not in url:  # a name may hold what would mean something in a URL
        return Place(local.LocalFileSystem(), os.path.abspath(url), True)  # noqa: PTH100
    try:
        fs, path = core.url_to_fs(url)
    except ImportError as error:  # such as: Install s3fs to access S3
        raise MissingExtraError(f"{url}: {error}; install it beside Mien") from error
    except ValueError as error:
        raise InputError(f"{url}: cannot be opened ({error})") from error
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol
    return Place(fs, path, "file" in protocols)


class RemoteFile(io.RawIOBase):
    """A file of an object store, fetched when it is read: in the thread that reads it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self._content: io.BytesIO | None = None

    def read(self, size: int = -1) -> bytes:
        """The next bytes; InputError where it cannot be fetched."""
        if self._content is None:
            self._content = io.BytesIO(self._fetched())
        return self._content.read(size)

    def _fetched(self) -> bytes:
        try:
            return place(self.url).read()
        except FileNotFoundError:
            raise InputError(f"{self.url}: no such file; check the list") from None
        except InputError:
            raise
        except Exception as error:  # stores raise many kinds
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise InputError(f"{self.url}: cannot be fetched ({reason})") from error
