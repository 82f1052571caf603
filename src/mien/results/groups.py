"""What a comparison of groups compares: units with their values, and what is left out.

The unit is a row or, where rows hang together (one person's frames), a whole cluster of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from mien.emotions import EIGHT
from mien.results.flat_rows import Row, rows_of
from mien.types import FloatArray, InputError, UnknownNameError
from mien.vision.measures import MEASURES
from mien.vision.regions import REGIONS

FOLDER: Final = "folder"  # as a column: the folder in which the input lies
#: What a table holds of each kind, in the order in which it is reported.
KINDS: Final[dict[str, tuple[str, ...]]] = {
    "expression": EIGHT,
    "region": REGIONS,
    "measure": tuple(name for name in MEASURES if not name.startswith("head_")),
    "angle": tuple(name for name in MEASURES if name.startswith("head_")),
}
MOST_GROUPS: Final = 12


@dataclass(frozen=True, eq=False)
class Units:
    """What is compared: units with their groups and values, and what was left out on the way."""

    columns: tuple[str, ...]
    groups: tuple[str, ...]
    values: dict[str, FloatArray]  # of each group, [units, columns]; row i of all is one cluster
    rows: dict[str, int]  # of each group, how many rows its units hold
    paired: bool  # whether every cluster has rows in every group
    clustered: bool
    excluded: dict[str, int]  # rows that are left out, by reason
    hang_together: bool  # whether frames of one clip are taken for independent
    targets: tuple[str, ...]  # the expressions that the regions speak for


def kind_of(column: str) -> str:
    """``expression``, ``region``, ``measure`` (a length), ``angle`` or ``other``.

    >>> kind_of("happy"), kind_of("mouth"), kind_of("head_yaw"), kind_of("age")
    ('expression', 'region', 'angle', 'other')
    """
    return next((kind for kind, names in KINDS.items() if column in names), "other")


def gather(
    tables: object,
    *,
    by: str | None,
    cluster: str | Sequence[str] | None = None,
    columns: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
) -> Units:
    """The units of tables as :func:`mien.results.comparison.compare_groups` takes them."""
    rows = _labelled(tables, by)
    excluded: Counter[str] = Counter()
    for column, wanted in (where or {}).items():
        _known(column, rows)
        kept = [row for row in rows if _text(_value(row, column)) == str(wanted)]
        if not kept:
            raise InputError(f"no row has {column}={wanted}; it has {_some(rows, column)}")
        excluded[f"with another {column} than {wanted}"] += len(rows) - len(kept)
        rows = kept
    names = _columns(rows, columns)
    targets = _targets(rows, names)
    keys = (cluster,) if isinstance(cluster, str) else tuple(cluster or ())
    for key in keys:
        _known(key, rows)
    kept_rows: list[tuple[str, tuple[str, ...], list[float]]] = []
    for row in rows:
        reason, values = _reason(row, names, keys)
        if reason:
            excluded[reason] += 1
        else:
            unit = tuple(_text(_value(row, key)) for key in keys)
            kept_rows.append((_text(row[_GROUP]), unit, values))
    groups = tuple(dict.fromkeys(group for group, _, _ in kept_rows))
    if not 2 <= len(groups) <= MOST_GROUPS:
        raise InputError(
            f"expected 2 to {MOST_GROUPS} groups in {by or 'the tables'}, got {len(groups)}"
            + (f" ({', '.join(groups[:5])}{', ...' if len(groups) > 5 else ''})" if groups else "")
        )
    hang = not keys and any(_text(row.get("frame")) for row in rows)
    if not keys:
        own = {g: np.array([v for group, _, v in kept_rows if group == g]) for g in groups}
        counts = {g: len(v) for g, v in own.items()}
        return Units(names, groups, own, counts, False, False, _told(excluded), hang, targets)
    return _clusters(kept_rows, names, groups, excluded, targets)


_GROUP: Final = "\0group"  # a name that no column has


def _clusters(
    rows: list[tuple[str, tuple[str, ...], list[float]]],
    names: tuple[str, ...],
    groups: tuple[str, ...],
    excluded: Counter[str],
    targets: tuple[str, ...],
) -> Units:
    """Each cluster as one unit, its value the mean of its rows in a group."""
    cells: dict[tuple[str, ...], dict[str, list[list[float]]]] = {}
    for group, unit, values in rows:
        cells.setdefault(unit, {}).setdefault(group, []).append(values)
    paired = any(len(found) > 1 for found in cells.values())
    if paired:
        for unit in [u for u, found in cells.items() if len(found) < len(groups)]:
            lacking = sum(map(len, cells.pop(unit).values()))
            excluded["of clusters that lack a group"] += lacking
        if not cells:
            raise InputError(
                "expected clusters with rows in every group, or each in one group alone, got none; "
                f"the groups are {', '.join(groups)}: compare two of them, or name another cluster"
            )
    means = {
        g: np.array([np.mean(found[g], axis=0) for found in cells.values() if g in found])
        for g in groups
    }
    counts = {g: sum(len(found.get(g, ())) for found in cells.values()) for g in groups}
    return Units(names, groups, means, counts, paired, True, _told(excluded), False, targets)


def _told(excluded: Counter[str]) -> dict[str, int]:
    return {reason: count for reason, count in excluded.items() if count}


def _labelled(tables: object, by: str | None) -> list[Row]:
    """The rows of all tables, each with its group."""
    if isinstance(tables, Mapping):
        parts = {str(name): rows_of(table) for name, table in tables.items()}
    elif isinstance(tables, list | tuple) and all(isinstance(t, str | Path) for t in tables):
        stems = [Path(path).stem for path in tables]
        alike = len(set(stems)) < len(stems)
        names = map(str, tables) if alike else stems
        parts = {name: rows_of(path) for name, path in zip(names, tables, strict=True)}
    else:
        parts = {"": rows_of(tables)}
    if not any(parts.values()):
        raise InputError("expected rows to compare, got none: the tables are empty")
    if by is not None:
        rows = [row for part in parts.values() for row in part]
        _known(by, rows)
        return [{**row, _GROUP: _value(row, by)} for row in rows]
    if len(parts) < 2:
        raise InputError(
            "expected by=, the column that holds the groups (or 'folder', that of each input), "
            "or a table for each group"
        )
    return [{**row, _GROUP: name} for name, part in parts.items() for row in part]


def _known(column: str, rows: Sequence[Row]) -> None:
    there = dict.fromkeys(name for row in rows for name in row if name != _GROUP)
    if column not in there and not (column == FOLDER and "input" in there):
        raise UnknownNameError(
            f"expected a column of the table, got {column!r}; it has {', '.join(there) or 'none'}"
        )


def _value(row: Row, column: str) -> Any:
    """A cell; the column ``folder`` is made from the input where the table has none."""
    if column == FOLDER and column not in row:
        return Path(str(row.get("input", ""))).parent.name
    return row.get(column)


def _text(value: Any) -> str:
    """A cell as text: 1, 1.0 and "1" are one group; what is empty or not a number is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _some(rows: Sequence[Row], column: str) -> str:
    """The first few values of a column, for an error."""
    found = list(dict.fromkeys(_text(_value(row, column)) or "nothing" for row in rows))
    return ", ".join(found[:5]) + (", ..." if len(found) > 5 else "")


def _number(value: Any) -> float:
    try:
        return float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        return math.nan


def _columns(rows: Sequence[Row], wanted: Sequence[str]) -> tuple[str, ...]:
    """The columns to compare: those that were named, else all of Mien's that hold numbers."""
    for name in wanted:
        _known(name, rows)
    ours = [name for names in KINDS.values() for name in names]
    filled = {n for row in rows for n in (wanted or ours) if not math.isnan(_number(row.get(n)))}
    for name in wanted or ours:
        texts = [] if name in filled else [row for row in rows if _text(row.get(name))]
        if texts:  # left out, a column would be missed by nobody
            raise InputError(
                f"expected numbers in the column {name!r}, got {_some(texts, name)}; write them as "
                "0.46, or leave the column out"
            )
    if wanted:
        return tuple(dict.fromkeys(wanted))
    if not filled:
        raise InputError(
            "expected columns of expressions, regions or measures, got none; name those to compare"
        )
    return tuple(name for name in ours if name in filled)


def _targets(rows: Sequence[Row], names: Sequence[str]) -> tuple[str, ...]:
    """What the regions speak for; InputError where they are of several methods: not alike."""
    if not any(name in REGIONS for name in names):
        return ()
    methods, targets = ({_text(row.get(c)) for row in rows} - {""} for c in ("method", "target"))
    if len(methods) > 1:
        raise InputError(
            f"expected regions of one method, got {', '.join(sorted(methods))}; choose one, as "
            f"method={min(methods)}"
        )
    return tuple(sorted(targets))


def _reason(row: Row, names: Sequence[str], keys: Sequence[str]) -> tuple[str, list[float]]:
    """Why a row cannot be compared, or an empty text; and its values."""
    if _text(row.get("error")):
        return "with an error", []
    if "face_id" in row and not _text(row["face_id"]):
        return "without a face", []
    if not _text(row[_GROUP]):
        return "without a group", []
    if any(not _text(_value(row, key)) for key in keys):
        return "without a cluster", []
    values = [_number(row.get(name)) for name in names]
    if not all(map(math.isfinite, values)):
        return "with a value missing", []
    return "", values
