"""Find the image files that paths, folders and globs name."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from mien.files import exists
from mien.types import InputError

SUFFIXES: Final = frozenset({
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpe", ".jpeg", ".jpg", ".jp2", ".pbm",
    ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
})  # fmt: skip
OWN: Final = ".mien.png"  # pictures that Mien drew: no photos


def is_image_name(path: Path) -> bool:
    """Whether a file's name is that of an image which Mien did not draw itself.

    >>> is_image_name(Path("a.HEIC")), is_image_name(Path("a.mien.png"))
    (True, False)
    """
    return path.suffix.lower() in SUFFIXES and not path.name.endswith(OWN)


def is_url(path: str | Path) -> bool:
    """Whether a path is an address such as ``https://host/a.jpg`` (a drive's letter is none).

    >>> is_url("s3://bucket/a.jpg"), is_url(Path("https://host/a.jpg")), is_url("C:/a.jpg")
    (True, True, False)
    """
    return re.match(r"[a-z][a-z0-9+.-]+:/", str(path), re.IGNORECASE) is not None


def find_images(patterns: Iterable[str | Path]) -> list[Path]:
    """Image paths for files, folders (searched to the bottom) and globs, in a stable order.

    A path that names a file is kept whatever its suffix, also where nothing is there, and so is
    what a folder holds under an image's name and is no file (a pipe, a device, a broken link):
    reading it says what is wrong. A folder or glob without an image raises InputError.
    """
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern)
        if exists(path) and path.is_dir():
            matches = sorted(p for p in path.rglob("*") if is_image_name(p) and not p.is_dir())
            if not matches:
                raise InputError(f"{path}: expected a folder with images, found none in it")
        elif not is_url(pattern) and not exists(path) and glob.has_magic(str(pattern)):
            hits = sorted(Path(p) for p in glob.glob(str(pattern), recursive=True))  # noqa: PTH207 - pathlib refuses absolute patterns
            matches = [p for p in hits if not p.is_dir() and not p.name.endswith(OWN)]
            if not matches:
                raise InputError(f"{pattern}: no file matches this pattern")
        else:
            matches = [path]
        found.update(dict.fromkeys(matches))
    return list(found)
