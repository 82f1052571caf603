"""Tables as CSV and Markdown: cells hold any text, and none of it becomes a formula or markup."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from mien.wording import counted

#: What spreadsheets take for a formula at the start of a cell; the last four are their wide forms.
STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)


NAMES: Final = ("input", "error")  # columns that hold names of files


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    r"""Rows as CSV, their lines ended; no text in them is a formula to a spreadsheet.

    A text that would be one begins with an apostrophe, which :func:`csv_rows` takes away again.

    >>> csv_text([["name", "x"], ["=1+1.jpg", -2.5]])
    "name,x\n'=1+1.jpg,-2.5\n"
    """
    writer = csv.writer(_Line())
    # the writer ends lines by CR LF, so that it quotes cells in which either stands
    lines = (str(writer.writerow([_guarded(cell) for cell in row])) for row in rows)
    return "".join(f"{line[:-2]}\n" for line in lines)


def csv_rows(lines: Iterable[str]) -> list[list[str]]:
    r"""The rows that :func:`csv_text` wrote, from lines whose ends are kept (``newline=""``).

    Raises csv.Error for text that is no CSV.

    >>> csv_rows(["'=1+1.jpg,-2.5\n", "it's,''=\n"])
    [['=1+1.jpg', '-2.5'], ["it's", "'="]]
    """
    return [[_plain(cell) for cell in row] for row in csv.reader(lines, strict=True)]


def csv_records(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV file by the names in its header; lines without a cell are left out.

    Bytes of a file's name that are no UTF-8 are kept in the columns ``input`` and ``error``. Raises
    ValueError, in words, for another encoding, other separators and lines of another length.
    """
    text = path.read_bytes().decode("utf-8-sig", errors="surrogateescape")
    if "\0" in text:
        raise ValueError("it is not in UTF-8; save it as CSV UTF-8")
    header, *rows = csv_rows(io.StringIO(text, newline="")) or [[]]
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and separator in header[0]:
            raise ValueError(f"its cells are parted by {name}; save it with commas")
    found = []
    for number, row in enumerate(rows, start=2):
        if row and len(row) != len(header):
            cells = counted(len(row), "cell")
            raise ValueError(f"row {number} has {cells}, the header {len(header)}")
        found += [dict(zip(header, row, strict=True))] if row else []
    texts = [text for row in found for name, text in row.items() if name not in NAMES]
    if foreign := next(filter(_no_utf8, [*header, *texts]), None):
        raise ValueError(f"it is not in UTF-8 at {foreign!r}; save it as CSV UTF-8")
    return found


def _no_utf8(text: str) -> bool:
    # most cells are ASCII, which a string knows of itself
    return not text.isascii() and any("\udc80" <= letter <= "\udcff" for letter in text)


class _Line:
    """A file whose ``write`` gives back what it is given, as then does a writer's ``writerow``."""

    def write(self, line: str) -> str:
        return line


def _guarded(cell: Any) -> Any:
    if not isinstance(cell, str) or NUMBER.fullmatch(cell):
        return cell
    # a text that looks guarded is guarded, too, so that what is read is what was written
    return f"'{cell}" if cell.lstrip("'").startswith(STARTS) else cell


def _plain(cell: str) -> str:
    guarded = cell.startswith("'") and cell.lstrip("'").startswith(STARTS)
    return cell[1:] if guarded else cell


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""A table in Markdown, its lines ended.

    Bars, angle brackets, line breaks and control characters of the cells are written so that a
    reader shows them as text.

    >>> print(markdown_table(["face", "answer"], [["a|b.jpg", "happy"]]), end="")
    | face | answer |
    |---|---|
    | a\|b.jpg | happy |
    """
    lines = [_line(header), "|" + "---|" * len(header), *map(_line, rows)]
    return "".join(f"{line}\n" for line in lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(markdown_text, cells)) + " |"


def markdown_text(text: str) -> str:
    r"""A text as Markdown shows it: no markup of HTML, no new column, no control characters.

    >>> markdown_text("<b>a|b</b>")
    '&lt;b&gt;a\\|b&lt;/b&gt;'
    """
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("|", "\\|")
