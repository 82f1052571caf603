"""Tables as Markdown: cells hold any text, and none of it becomes markup."""

from __future__ import annotations

from collections.abc import Sequence


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
