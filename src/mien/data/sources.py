"""Where a data set lies: a folder, a file, or an archive that is unpacked with care."""

from __future__ import annotations

import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from mien.types import InputError
from mien.vision.find import SUFFIXES

TAR = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def is_archive(path: Path) -> bool:
    """Whether a file's name says that it is a ZIP or TAR archive."""
    return path.is_file() and path.name.lower().endswith((".zip", *TAR))


@contextmanager
def opened(source: str | Path) -> Iterator[Path]:
    """The source as a folder or file; an archive is unpacked to a temporary folder meanwhile.

    Raises InputError where nothing is there, where the archive is damaged, where one of its
    names climbs out of the folder, or where the disk is too small for it.
    """
    path = Path(source)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; give the place of the data set")
    if not is_archive(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="mien-data-") as folder:
        _unpack(path, Path(folder))
        yield Path(folder)


def _unpack(path: Path, folder: Path) -> None:
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as packed:
                members = packed.infolist()
                for member in members:
                    _check_name(path, member.filename)
                    if stat.S_ISLNK(member.external_attr >> 16):
                        raise InputError(f"{path}: {member.filename!r} is a link; repack without")
                _check_room(path, sum(m.file_size for m in members), folder)
                packed.extractall(folder)
            return
        with tarfile.open(path) as packed_tar:
            entries = packed_tar.getmembers()
            for entry in entries:
                _check_name(path, entry.name)
                if not (entry.isfile() or entry.isdir()):
                    raise InputError(
                        f"{path}: {entry.name!r} is neither a file nor a folder; repack without"
                    )
            _check_room(path, sum(e.size for e in entries), folder)
            packed_tar.extractall(folder, filter="data")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: expected a whole archive, but it cannot be unpacked ({reason}); "
            "fetch it again"
        ) from error


def _check_name(path: Path, name: str) -> None:
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or ":" in (pure.parts or ("",))[0]:
        raise InputError(
            f"{path}: the name {name!r} in the archive climbs out of its folder; "
            "nothing was unpacked: do not trust this archive"
        )


def _check_room(path: Path, needed: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if needed > 0.9 * free:
        raise InputError(
            f"{path}: unpacked it needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free in "
            f"{folder.parent}; free some or unpack it elsewhere (TMPDIR) and give the folder"
        )


def find_file(source: Path, names: Iterable[str], what: str) -> Path:
    """The file of one of these names: the source itself, or the first at or below the folder.

    Raises InputError, which names what was looked for, where there is none.
    """
    wanted = [name.lower() for name in names]
    if source.is_file():
        return source
    found = {p.name.lower(): p for p in sorted(source.rglob("*"), reverse=True) if p.is_file()}
    for name in wanted:
        if name in found:
            return found[name]
    raise InputError(f"{source}: expected {what} ({' or '.join(names)}), found none of them in it")


def find_folder(source: Path, names: Iterable[str], what: str) -> Path:
    """The folder of one of these names (any case), at or below the source; InputError if none."""
    wanted = {name.lower() for name in names}
    if source.is_dir():
        if source.name.lower() in wanted:
            return source
        for path in sorted(source.rglob("*")):
            if path.is_dir() and path.name.lower() in wanted:
                return path
    raise InputError(f"{source}: expected {what} (a folder {' or '.join(names)}), found none in it")


def images_below(folder: Path) -> list[Path]:
    """Image files below a folder, sorted; hidden files and macOS's copies (._) are left out.

    Parameters
    ----------
    folder
        Searched to the bottom.
    """
    return sorted(
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in SUFFIXES
        and not any(part.startswith((".", "__MACOSX")) for part in p.relative_to(folder).parts)
    )


def needs_folder(source: Path, name: str) -> Path:
    """The source, which must be a folder."""
    if not source.is_dir():
        raise InputError(f"{source}: expected the folder of {name} (or its archive), got a file")
    return source
