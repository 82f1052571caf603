"""Sources cut into work units, written down once, so that a job that goes on has the same ones."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mien.batch.settings import JobSettings
from mien.batch.sources import inputs
from mien.batch.storage import Place, place
from mien.results.predictions import require_parquet
from mien.types import InputError
from mien.vision.stream import in_groups

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
    units = named = 0
    # a file here first: it may be larger than memory
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plan.parquet"
        with pq.ParquetWriter(path, schema) as writer:
            for rows in in_groups(_units(settings), GROUP):
                table = [{**asdict(u), "items": [_bytes(name) for name in u.items]} for u in rows]
                writer.write_table(pa.Table.from_pylist(table, schema=schema), row_group_size=GROUP)
                units += len(rows)
                named += sum(u.count for u in rows)
        if not units:
            raise InputError(f"{', '.join(settings.source)}: expected images or videos, found none")
        if where.local:
            where.write(path.read_bytes())
        else:
            where.fs.put_file(str(path), where.path)
    return units, named


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
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with place(where).open() as file:
            return list(pq.ParquetFile(file).read_row_group(group).to_pylist())
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{where}: expected the plan of a job, but the file is gone, cut short or not Mien's "
            f"({type(error).__name__}); give another --output, or delete the job's folder to "
            "begin anew"
        ) from error


def _units(settings: JobSettings) -> Iterator[Unit]:
    """Units of all sources; images of several folders share units."""
    waiting: list[str] = []
    for kind, item in inputs(settings.source, settings.column):
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


def _parquet_units(where: Place, size: int) -> Iterator[Unit]:
    """Units of a Parquet file of images, none across two row groups."""
    import pyarrow.parquet as pq

    with where.open() as file:
        about = pq.ParquetFile(file).metadata
    for group in range(about.num_row_groups):
        rows = about.row_group(group).num_rows
        for start in range(0, rows, size):
            yield Unit(0, "parquet", (str(where),), group, start, min(size, rows - start))
