"""A page of the documentation as steps to run: its Python, its ``mien`` commands, what it prints.

``python -m tests.pages PAGE ...`` writes what the Python of a page prints into the page.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from typer.testing import CliRunner

from mien.commands.main import app

ROOT: Final = Path(__file__).parent.parent
PAGES: Final = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
FENCE: Final = re.compile(
    r"(?:^\*Not run by the tests: (?P<reason>[^*]+)\.\*\n\n)?"
    r"^```(?P<language>\w+)(?P<title> title=\"prints\")?\n(?P<code>.*?)^```$",
    re.M | re.S,
)


@dataclass(frozen=True)
class Block:
    """One fenced block: its language, its lines, and the reason why no test runs it, if any."""

    language: str  # "prints" for what the block before it prints
    code: str
    reason: str
    line: int  # of its fence, from 1


def blocks(page: Path, language: str = "") -> list[Block]:
    """The blocks of a page, in order; of one language, where one is named."""
    text = page.read_text(encoding="utf-8")
    found = [
        Block(
            language="prints" if match["title"] else match["language"],
            code=match["code"],
            reason=match["reason"] or "",
            line=text.count("\n", 0, match.start("language")) + 1,
        )
        for match in FENCE.finditer(text)
    ]
    return [block for block in found if language in ("", block.language)]


def words_of(block: Block) -> list[list[str]]:
    """The arguments of the ``mien`` commands in a block."""
    lines = [line.removeprefix("$ ") for line in block.code.splitlines()]
    split = [shlex.split(line, comments=True) for line in lines if line.startswith("mien ")]
    return [words[1:] for words in split]


def commands(page: Path) -> list[list[str]]:
    """The arguments of every ``mien`` command of a page."""
    return [words for block in blocks(page, "console") for words in words_of(block)]


def run_python(block: Block, page: Path, names: dict[str, Any]) -> str:
    """Run one block with the names of those before it; what it prints."""
    said = io.StringIO()
    code = "\n" * block.line + block.code  # so that a traceback names the page's line
    with contextlib.redirect_stdout(said):
        exec(compile(code, str(page), "exec", dont_inherit=True), names)
    return said.getvalue()


def same(said: str, printed: str) -> bool:
    """Whether two texts have the same words, and numbers that are as good as the same.

    >>> same("mouth +5.66", "mouth +5.71"), same("mouth +5.66", "mouth +4.9")
    (True, False)
    """
    ours, theirs = said.split(), printed.split()
    return len(ours) == len(theirs) and all(map(_alike, ours, theirs))


def _alike(ours: str, theirs: str) -> bool:
    try:
        return math.isclose(float(ours), float(theirs), rel_tol=0.02, abs_tol=0.1)
    except ValueError:
        return ours == theirs


def run_command(words: Sequence[str], codes: Sequence[int] = (0,)) -> None:
    """Run a ``mien`` command in this process; AssertionError for an exit code that is not meant."""
    done = CliRunner().invoke(app, list(words))
    trace = done.exception if not isinstance(done.exception, SystemExit) else None
    assert done.exit_code in codes, (list(words), done.exit_code, done.output, trace)


def follow(
    page: Path, *, also: Sequence[str] = (), codes: Sequence[int] = (0,), with_commands: bool = True
) -> list[tuple[Block, str]]:
    """Do what a page says, in order; what its Python printed, by the block that says so.

    ``also`` goes to each command.
    """
    names: dict[str, Any] = {"__name__": "page"}
    said, printed = "", []
    for block in blocks(page):
        if block.reason:
            continue
        if block.language == "python":
            said = run_python(block, page, names)
        elif block.language == "console" and with_commands:
            for words in words_of(block):
                run_command([*words, *also], codes)
        elif block.language == "prints":
            printed.append((block, said))
    return printed


def write(page: Path) -> None:
    """Put what the Python of a page prints into its blocks."""
    text = page.read_text(encoding="utf-8")
    for block, said in follow(page, codes=(0, 1)):
        if not same(block.code, said):
            text = text.replace(f"\n{block.code}```", f"\n{said}```", 1)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        chosen = Path(name).resolve()
        with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
            shutil.copytree(ROOT / "examples", "examples")
            write(chosen)
