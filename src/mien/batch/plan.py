"""Sources cut into work units, written down once, so that a job that goes on has the same ones."""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mien.batch.settings import JobSettings
from mien.batch.storage import Place, place
from mien.results.predictions import require_parquet
from mien.types import InputError
from mien.video.clip import SUFFIXES as VIDEOS
from mien.vision.find import OWN
from mien.vision.find import SUFFIXES as IMAGES
from mien.vision.stream import in_groups

LISTS = (".txt", ".lst")
COLUMNS = ("image", "path", "file", "url", "input", "file_name")  # tried in this order
GROUP = 64  # units that are read from the plan together


@dataclass(frozen=True)
class Unit:
    """Some images of a list, some rows of a Parquet file, or one video."""

    number: int
    kind: str  # paths, parquet or video
    items: tuple[str, ...]  # paths or URLs; of parquet and video the one file
    group: int = 0  # parquet: row group, first row in it, rows
    start: int = 0
    count: int = 0


def write_plan(settings: JobSettings, where: Place) -> tuple[int, int]:
    """Write the units of a source as Parquet; returns the numbers of units and of inputs."""
    require_parquet()
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("kind", pa.string()),
            ("items", pa.list_(pa.binary())),
            ("group", pa.int64()),
            ("start", pa.int64()),
            ("count", pa.int64()),
        ]
    )
    units = inputs = 0
    # a file here first: it may be larger than memory
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.parquet"
        with pq.ParquetWriter(path, schema) as writer:
            for rows in in_groups(_units(settings), GROUP):
                table = [{**asdict(u), "items": [_bytes(name) for name in u.items]} for u in rows]
                writer.write_table(pa.Table.from_pylist(table, schema=schema), row_group_size=GROUP)
                units += len(rows)
                inputs += sum(u.count for u in rows)
        if not units:
            raise InputError(f"{', '.join(settings.source)}: expected images or videos, found none")
        if where.local:
            where.write(path.read_bytes())
        else:
            where.fs.put_file(str(path), where.path)
    return units, inputs


def read_unit(where: Place, number: int) -> Unit:
    """One unit of a plan."""
    row = _plan_group(str(where), number // GROUP)[number % GROUP]
    items = tuple(name.decode("utf-8", "surrogateescape") for name in row["items"])
    return Unit(number, row["kind"], items, row["group"], row["start"], row["count"])


def _bytes(name: str) -> bytes:
    """A file's name as it is on disk: it need not be UTF-8."""
    return name.encode("utf-8", "surrogateescape")


@lru_cache(maxsize=2)
def _plan_group(where: str, group: int) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    with place(where).open() as file:
        return list(pq.ParquetFile(file).read_row_group(group).to_pylist())


def _units(settings: JobSettings) -> Iterator[Unit]:
    """Units of all sources; images of several folders share units."""
    waiting: list[str] = []
    for kind, item in _inputs(settings):
        if kind == "path":
            waiting.append(item)
            if len(waiting) == settings.unit:
                yield Unit(0, "paths", tuple(waiting), count=len(waiting))
                waiting = []
        elif kind == "video":
            yield Unit(0, "video", (item,), count=1)
        else:
            yield from _parquet_units(place(item), settings.unit)
    if waiting:
        yield Unit(0, "paths", tuple(waiting), count=len(waiting))


def _inputs(settings: JobSettings) -> Iterator[tuple[str, str]]:
    """(path, image), (video, file) or (parquet, file) for everything that the source names."""
    for source in settings.source:
        yield from _inputs_of(source, settings)


def _inputs_of(source: str, settings: JobSettings) -> Iterator[tuple[str, str]]:
    where = place(source)
    suffix = Path(where.path).suffix.lower()
    if where.is_folder():
        yield from _folder(source, where)
    elif not where.exists() and glob.has_magic(source):
        hits = sorted(where.fs.glob(where.path))
        if not hits:
            raise InputError(f"{source}: no file matches this pattern")
        for hit in hits:
            found = Place(where.fs, str(hit), where.local)
            if not found.is_folder():
                yield from _file(found, settings)
    elif not where.exists():
        raise InputError(
            f"{source}: no such file or folder; give a folder, a glob, a .txt list, Parquet or "
            "a video"
        )
    elif suffix in LISTS:
        with where.open() as file:
            for line in file:
                name = line.decode("utf-8", "surrogateescape").strip()
                if name:
                    yield ("video" if Path(name).suffix.lower() in VIDEOS else "path"), name
    else:
        yield from _file(where, settings)


def _folder(source: str, where: Place) -> Iterator[tuple[str, str]]:
    """Images and videos of a folder; where it has none, its Parquet files."""
    tables: list[str] = []
    found = False
    for file in where.walk():
        suffix = Path(file.path).suffix.lower()
        if file.path.endswith(OWN):
            continue
        if suffix in IMAGES or suffix in VIDEOS:
            found = True
            yield ("video" if suffix in VIDEOS else "path"), str(file)
        elif suffix == ".parquet" and not found:
            tables.append(str(file))
    if not found:
        if not tables:
            raise InputError(f"{source}: expected a folder with images or videos, found none")
        for table in tables:
            yield "parquet", table


def _file(where: Place, settings: JobSettings) -> Iterator[tuple[str, str]]:
    suffix = Path(where.path).suffix.lower()
    if suffix != ".parquet":
        yield ("video" if suffix in VIDEOS else "path"), str(where)
    elif image_column(where, settings.column)[1] == "bytes":
        yield "parquet", str(where)
    else:
        yield from _listed(where, settings)


def _listed(where: Place, settings: JobSettings) -> Iterator[tuple[str, str]]:
    """The paths that a Parquet file names."""
    import pyarrow.parquet as pq

    column, _ = image_column(where, settings.column)
    with where.open() as file:
        for rows in pq.ParquetFile(file).iter_batches(columns=[column], batch_size=4096):
            for value in rows.column(0).to_pylist():
                name = value.get("path") if isinstance(value, dict) else value
                if not name:
                    raise InputError(f"{where}: the column {column!r} has rows without a path")
                yield ("video" if Path(name).suffix.lower() in VIDEOS else "path"), str(name)


def image_column(where: Place, wanted: str | None) -> tuple[str, str]:
    """The column of images, and whether it holds ``bytes`` or ``paths``."""
    require_parquet()
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with where.open() as file:
            schema = pq.read_schema(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{where}: expected Parquet, but it cannot be read ({error})") from error
    tried = [wanted] if wanted else [name for name in COLUMNS if name in schema.names]
    if not tried or tried[0] not in schema.names:
        raise InputError(
            f"{where}: expected a column {wanted or ' or '.join(COLUMNS)}, got "
            f"{', '.join(schema.names)}; name it with --column"
        )
    kind = schema.field(tried[0]).type
    if pa.types.is_struct(kind):
        names = {kind.field(i).name for i in range(kind.num_fields)}
        return tried[0], "bytes" if "bytes" in names else "paths"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return tried[0], "bytes"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return tried[0], "paths"
    raise InputError(f"{where}: expected images or paths in {tried[0]!r}, got {kind}")


def _parquet_units(where: Place, size: int) -> Iterator[Unit]:
    """Units of a Parquet file of images, none across two row groups."""
    import pyarrow.parquet as pq

    with where.open() as file:
        about = pq.ParquetFile(file).metadata
    for group in range(about.num_row_groups):
        rows = about.row_group(group).num_rows
        for start in range(0, rows, size):
            yield Unit(0, "parquet", (str(where),), group, start, min(size, rows - start))
