"""What a job's sources name: images, videos and tables of images, each of them once."""

from __future__ import annotations

import glob
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from mien.batch.storage import Place, place
from mien.batch.tables import image_column, listed_paths
from mien.types import InputError
from mien.video.clip import SUFFIXES as VIDEOS
from mien.vision.find import is_image_name

LISTS = (".txt", ".lst")
BOM = b"\xef\xbb\xbf"  # at the beginning of lists that some editors write


def inputs(sources: tuple[str, ...], column: str | None) -> Iterator[tuple[str, str]]:
    """(path, image), (video, file) or (parquet, table of images) for all that is named.

    What is named twice, by a folder and a list, or by two spellings of one path, comes once, where
    it was named first. Raises InputError for a source that is not there or holds nothing.
    """
    seen = _Seen()
    # the files of one folder differ: nothing needs to be remembered of them
    alone = len(sources) == 1 and place(sources[0]).is_folder()
    for source in sources:
        for kind, name in _inputs_of(source, column):
            if alone or seen.add(kind, name):
                yield kind, name


class _Seen:
    """Names that have come before, on disk where they are many."""

    def __init__(self) -> None:
        self._table = sqlite3.connect("")  # a file of its own that ends with the connection
        self._table.execute("CREATE TABLE seen (name BLOB PRIMARY KEY) WITHOUT ROWID")

    def add(self, kind: str, name: str) -> bool:
        """Remember a name; whether it is new."""
        whole = name if "://" in name else os.path.abspath(name)  # noqa: PTH100 - '..' is resolved
        key = f"{kind}:{whole}".encode("utf-8", "surrogateescape")
        return self._table.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,)).rowcount == 1


def _inputs_of(source: str, column: str | None) -> Iterator[tuple[str, str]]:
    where = place(source)
    if where.is_folder():
        yield from _folder(source, where)
    elif not where.exists() and glob.has_magic(source):
        hits = sorted(where.fs.glob(where.path))
        if not hits:
            raise InputError(f"{source}: no file matches this pattern")
        for hit in hits:
            found = Place(where.fs, str(hit), where.local)
            if not found.is_folder():
                yield from _file(found, column)
    elif not where.exists():
        raise InputError(
            f"{source}: no such file or folder; give a folder, a glob, a .txt list, Parquet or "
            "a video"
        )
    elif Path(where.path).suffix.lower() in LISTS:
        yield from _list(where)
    else:
        yield from _file(where, column)


def _list(where: Place) -> Iterator[tuple[str, str]]:
    """The paths of a text file, one a line; they need not be UTF-8."""
    _check_regular(where)
    with where.open() as file:
        for number, line in enumerate(file):
            text = line.removeprefix(BOM) if number == 0 else line
            if name := text.decode("utf-8", "surrogateescape").strip():
                yield _kind(name), name


def _kind(name: str) -> str:
    return "video" if Path(name).suffix.lower() in VIDEOS else "path"


def _folder(source: str, where: Place) -> Iterator[tuple[str, str]]:
    """Images and videos of a folder; where it has none, its Parquet files."""
    tables: list[str] = []
    found = False
    for file in where.walk():
        path = Path(file.path)
        if is_image_name(path) or path.suffix.lower() in VIDEOS:
            found = True
            yield _kind(file.path), str(file)
        elif path.suffix.lower() == ".parquet" and not found:
            tables.append(str(file))
    if not found:
        if not tables:
            raise InputError(f"{source}: expected a folder with images or videos, found none")
        for table in tables:
            yield "parquet", table


def _file(where: Place, column: str | None) -> Iterator[tuple[str, str]]:
    if Path(where.path).suffix.lower() != ".parquet":
        yield _kind(where.path), str(where)
        return
    _check_regular(where)
    if image_column(where, column)[1] == "bytes":
        yield "parquet", str(where)
        return
    for name in listed_paths(where, column):
        yield _kind(name), name


def _check_regular(where: Place) -> None:
    """Raise InputError for a pipe or a device, which would be waited for without end."""
    if where.local and not os.path.isfile(where.path):  # noqa: PTH113 - fsspec's paths are strings
        raise InputError(f"{where}: expected a file, got a pipe or a device; copy it to a file")
