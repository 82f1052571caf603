"""Where the sheets and the table of ``mien explain`` go, checked before the work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mien.files import check_folder, check_writable
from mien.results.explanation import record_path
from mien.results.predictions import file_format, require_parquet
from mien.results.sheets import told_apart
from mien.types import InputError


def sheet_places(photos: Sequence[Path], output: str | None, kind: str | None) -> dict[Path, Path]:
    """Where each photo's sheet goes, checked before the work: never over a photo itself."""
    if len(photos) == 1 and not photos[0].is_file():
        raise InputError(f"{photos[0]}: expected the path of an image, found no such file")
    folder = _folder(output, len(photos))
    if folder is not None:
        check_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
    if output is not None and folder is None:
        if kind is not None and Path(output).suffix.lower() != f".{kind}":
            raise InputError(f"{output}: expected a name ending in .{kind}, or no --format")
        places = {photos[0]: Path(output)}
    else:
        end = f".mien.{kind or 'png'}"
        names = _names(photos, folder, end)
        places = {photo: (folder or photo.parent) / names[photo] for photo in photos}
    for photo, picture in places.items():
        for place in (picture, record_path(picture)):
            if place.exists() and photo.exists() and place.samefile(photo):
                raise InputError(f"{place}: is the photo itself; give another --output")
            check_writable(place)
    return places


def _folder(output: str | None, photos: int) -> Path | None:
    """The folder that the output means; None for a file, or where none is given."""
    if output is None:
        return None
    if output.endswith(("/", "\\")) or Path(output).is_dir():
        return Path(output)
    if photos > 1:
        raise InputError(f"{output}: expected a folder for {photos} photos, as in {output}/")
    return None


def _names(photos: Sequence[Path], folder: Path | None, end: str) -> dict[Path, str]:
    """A name for each photo's sheet: its own, with its suffix or folders where two are alike.

    One photo that is named in two ways has two sheets: the second with a number.

    >>> _names([Path("a/x.jpg"), Path("a/x.png"), Path("a/y.jpg")], None, ".mien.png").values()
    dict_values(['x.jpg.mien.png', 'x.png.mien.png', 'y.mien.png'])
    >>> list(_names([Path("a/x.jpg"), Path("b/x.jpg")], Path("out"), ".mien.png").values())
    ['a-x.jpg.mien.png', 'b-x.jpg.mien.png']
    """

    def within(photo: Path) -> Path:
        return folder or photo.parent

    stems = Counter((within(photo), photo.stem) for photo in photos)
    apart = {} if folder is None else told_apart(map(str, photos))
    used: Counter[Path] = Counter()
    names = {}
    for photo in photos:
        alone = stems[within(photo), photo.stem] == 1
        name = photo.stem if alone else apart.get(str(photo), photo.name).replace("/", "-")
        used[within(photo) / name] += 1
        count = used[within(photo) / name]
        names[photo] = f"{name}{'' if count == 1 else f'-{count}'}{end}"
    return names


def table_place(table: Path | None, output: str | None, *, many: bool) -> Path | None:
    """Where the table goes, checked before the work."""
    folder = _folder(output, 2) if many else None
    table = table or (None if folder is None else folder / "table.csv")
    if table is not None:
        if file_format(table) == "parquet":
            require_parquet()
        check_writable(table)
    return table
