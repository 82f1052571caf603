"""How results show themselves in a notebook: HTML in which every text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

SHOWN: Final = 50  # rows of a table


def html_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table; of many rows the first ones, and how many more there are.

    >>> html_table(["a"], [["<b>"], [0.5]])
    '<table><thead><tr><th>a</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr><tr><td>0.50</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{escape(str(name))}</th>" for name in header)
    lines = ["<tr>" + "".join(map(_cell, row)) + "</tr>" for row in rows[:SHOWN]]
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    more = len(rows) - SHOWN
    return table if more <= 0 else f"{table}<p>and {more:,} more</p>"


def html_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a table of those columns in which anything stands."""
    if not rows:
        return "<p>no rows</p>"
    names = [n for n in rows[0] if any(row[n] not in (None, "") for row in rows)]
    return html_table(names, [[row[n] for n in names] for row in rows])


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
    return f"<td>{escape(text)}</td>"
