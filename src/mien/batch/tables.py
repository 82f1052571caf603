"""Parquet files as sources: which column holds images or their paths."""

from __future__ import annotations

from collections.abc import Iterator

from mien.batch.storage import Place
from mien.results.predictions import require_parquet
from mien.types import InputError

COLUMNS = ("image", "path", "file", "url", "input", "file_name")  # tried in this order


def listed_paths(where: Place, wanted: str | None) -> Iterator[str]:
    """The paths that a Parquet file names."""
    import pyarrow.parquet as pq

    column, _ = image_column(where, wanted)
    with where.open() as file:
        for rows in pq.ParquetFile(file).iter_batches(columns=[column], batch_size=4096):
            for value in rows.column(0).to_pylist():
                name = value.get("path") if isinstance(value, dict) else value
                if not name:
                    raise InputError(f"{where}: the column {column!r} has rows without a path")
                yield str(name)


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
