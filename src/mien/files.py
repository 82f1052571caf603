"""Files: written whole or not at all, and checked before the work that fills them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from mien.types import InputError

PART: Final = ".part"  # ends the name of a file that is still being written


def part_of(path: Path) -> Path:
    """The name under which a file is written until it is whole.

    >>> part_of(Path("rows.csv")).name
    'rows.csv.part'
    """
    return path.with_name(path.name + PART)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to that becomes ``path`` on a clean exit, and vanishes otherwise.

    The part lies beside the target, so that putting it in place is one step of the file system:
    whoever reads ``path`` sees the old file or the new one. Raises InputError where it cannot be
    written.
    """
    part = part_of(path)
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            part.unlink()


def write_whole(path: Path, content: str | bytes, *, errors: str = "strict") -> Path:
    """Write text (as UTF-8) or bytes whole; returns the path. Raises as :func:`whole_file`.

    ``errors`` is what ``str.encode`` does with characters that are no UTF-8.
    """
    data = content.encode("utf-8", errors) if isinstance(content, str) else content
    with whole_file(path) as part:
        part.write_bytes(data)
    return path


def cannot_write(path: Path, error: OSError) -> InputError:
    """What to say where a file cannot be written: which one, and why."""
    return InputError(f"{path}: cannot be written ({error.strerror or error})")


def check_writable(path: Path) -> None:
    """Raise InputError, before any work, where a file could not be written at ``path``."""
    if path.is_dir():
        raise InputError(f"{path}: expected a file to write, got a folder")
    if not path.parent.is_dir():
        raise InputError(f"{path.parent}: no such folder; make it first")
    part = part_of(path)
    try:
        part.touch()
        part.unlink()
    except OSError as error:
        raise cannot_write(path, error) from error


def check_folder(path: Path) -> None:
    """Raise InputError, before any work, for a path that cannot become a folder to write into."""
    if path.exists() and not path.is_dir():
        raise InputError(f"{path}: expected a folder to write into, got a file")


def exists(path: Path) -> bool:
    """Whether a path is there; InputError where its name cannot be one."""
    try:
        return path.exists()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{str(path)[:60]}...: cannot be a file ({reason})") from error
