"""A finished job's rows under the prior that all its faces have, estimated from their answers."""

from __future__ import annotations

import io
import json
from typing import Any, Final

import numpy as np

from mien.batch.storage import Place
from mien.batch.work import part_of
from mien.priors import estimated, shifted
from mien.results.predictions import BOX, PLAIN, PRIOR
from mien.types import FloatArray, InputError
from mien.vision.measures import MEASURES

DONE: Final = "_mien/prior.json"


def estimate_prior(out: Place, units: int) -> dict[str, float] | None:
    """Answer all rows of a job anew under the prior estimated from them; None without a face.

    Each file is rewritten whole and says under which prior its rows are, so that what ends this
    half-way loses nothing: the same call goes on, and what is done stays as it is. Raises
    InputError where the prior of the model's answers is not known.
    """
    known = out / DONE
    if known.exists():
        return dict(json.loads(known.read()))
    parts = [part_of(out, number) for number in range(units)]
    found = [_stated(part, _table(part)) for part in parts]
    labels = found[0][0] if found else []
    even = np.full(len(labels), 1 / max(len(labels), 1))
    answers = np.concatenate([shifted(_faces(p), prior, even) for _, p, prior in found])
    if not len(answers):
        return None
    goal = estimated(answers, even)
    shares = dict(zip(labels, map(float, goal), strict=True))
    for part in parts:
        _rewrite(part, goal)
    known.write(json.dumps(shares).encode())
    return shares


def _table(part: Place) -> Any:
    import pyarrow.parquet as pq

    with part.open() as file:
        return pq.read_table(file)


def _stated(part: Place, table: Any) -> tuple[list[str], FloatArray, FloatArray]:
    """Labels, the answers of all rows ``[N, K]``, and the prior ``[K]`` that they are under.

    Rows without a face hold NaN.
    """
    labels = [n for n in table.column_names if n not in (*PLAIN, *BOX, *MEASURES)]
    stated = (table.schema.metadata or {}).get(PRIOR)
    if stated is None:
        raise InputError(
            f"{part}: expected rows that know the prior of their answers, got none; leave out "
            "--prior estimate"
        )
    shares = json.loads(stated)
    columns = [table.column(name).to_numpy(zero_copy_only=False) for name in labels]
    values = np.stack(columns, axis=1).astype(np.float64)
    return labels, values, np.array([float(shares[name]) for name in labels])


def _faces(values: FloatArray) -> FloatArray:
    return np.asarray(values[~np.isnan(values).any(axis=1)])


def _rewrite(part: Place, goal: FloatArray) -> None:
    """One file's rows under the prior ``goal`` ``[K]``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = _table(part)
    labels, values, prior = _stated(part, table)
    p = shifted(values, prior, goal)
    empty = np.asarray(np.isnan(p).any(axis=1))
    best = np.where(empty, 0, np.nan_to_num(p).argmax(axis=1))
    named = [None if e else labels[i] for e, i in zip(empty.tolist(), best.tolist(), strict=True)]
    new = {name: pa.array(p[:, k], mask=empty) for k, name in enumerate(labels)}
    new["score"] = pa.array(p[np.arange(len(p)), best], mask=empty)
    new["dominant_emotion"] = pa.array(named, type=pa.string())
    for name, column in new.items():
        at = table.column_names.index(name)
        table = table.set_column(at, table.schema.field(at), column)
    shares = dict(zip(labels, map(float, goal), strict=True))
    about = {**(table.schema.metadata or {}), PRIOR: json.dumps(shares)}
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(about), buffer, compression="zstd")
    part.write(buffer.getvalue())
