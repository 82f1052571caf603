"""Tables of data sets: their counts, and what a check found in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from mien.data.check import Check

MOST_PAIRS = 16  # pairs of splits that the table of a check lists


def count_table(counts: Mapping[tuple[str | None, str | None], int]) -> Table:
    """A table of counts: a row per split, a column per label, with sums."""
    from mien.data.prepare import nested

    rows = nested(counts)
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("split")
    for name in (*names, "sum"):
        table.add_column("no label" if name == "all" else name, justify="right")
    for split, row in rows.items():
        cells = [str(row.get(name, 0)) for name in names]
        table.add_row("none" if split == "all" else split, *cells, str(sum(row.values())))
    if len(rows) > 1:
        sums = [sum(row.get(name, 0) for row in rows.values()) for name in names]
        table.add_row("sum", *(str(n) for n in sums), str(sum(sums)))
    return table


def check_table(found: Check) -> Table:
    """What a check found, a row per kind."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column("what")
    table.add_column("number", justify="right")
    table.add_row("images", str(found.rows))
    table.add_row("unreadable", str(found.unreadable_count))
    table.add_row("blank", str(found.blank_count))
    table.add_row("different images", str(found.unique))
    table.add_row("groups of exact copies", str(found.groups))
    table.add_row("  with conflicting labels", str(found.conflicting))
    _add_pairs(table, found.copies)
    table.add_row("pairs of near duplicates", str(found.near_pairs))
    table.add_row("  with conflicting labels", str(found.near_conflicting))
    _add_pairs(table, found.near)
    for how, number in found.altered.items():
        table.add_row(f"pairs of which one is {how}", str(number))
    table.add_row("images with a copy on another side", str(found.across))
    table.add_row("subjects", str(found.subjects) if found.subjects else "not named")
    if len(found.shared_subjects) > MOST_PAIRS:
        people = {person for shared in found.shared_subjects.values() for person in shared}
        table.add_row("  on two sides", str(len(people)))
    else:
        for (one, other), shared in found.shared_subjects.items():
            table.add_row(f"  in {one} and {other}", str(len(shared)))
    return table


def _add_pairs(table: Table, pairs: Mapping[tuple[str, str], int]) -> None:
    if len(pairs) > MOST_PAIRS:
        return  # many folds: the table ends with the sum over all sides, the JSON has the rest
    for (one, other), n in sorted(pairs.items()):
        what = f"{one} images with a copy in {other}" if one != other else f"again within {one}"
        table.add_row(f"  {what}", str(n))
