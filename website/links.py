"""Links between pages: as they hold in the repository, and as they hold on the site."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
DOCS: Final = "docs/"
#: Files outside ``docs`` that the site shows or hands out, at their own place.
BESIDE: Final = (
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "examples/*",
    "benchmarks/*.md",
    "benchmarks/*.json",
    "benchmarks/results/*",
    "recipes/builtin/*.toml",
)
LINK: Final = re.compile(r"(?P<text>\]\()(?P<to>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")


def beside() -> Iterator[str]:
    """The paths in the repository of the files that :data:`BESIDE` names."""
    for pattern in BESIDE:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file() and ".mien." not in path.name:
                yield path.relative_to(ROOT).as_posix()


def on_site(path: str) -> str:
    """Where a file of the repository is on the site.

    >>> on_site("docs/serve.md"), on_site("SECURITY.md"), on_site("benchmarks/results")
    ('serve.md', 'SECURITY.md', 'benchmarks/results/index.md')
    """
    if (ROOT / path).is_dir():
        path += "/index.md"
    return path.removeprefix(DOCS)


def in_repository(page: str) -> str:
    """Where a page of the site is in the repository.

    >>> in_repository("serve.md"), in_repository("SECURITY.md")
    ('docs/serve.md', 'SECURITY.md')
    """
    return DOCS + page if (ROOT / DOCS / page).is_file() else page


def rewritten(text: str, page: str) -> str:
    """The Markdown of a page whose links hold in the repository, with links that hold on the site.

    >>> rewritten("[speed](../benchmarks/scale.md#memory)", "video.md")
    '[speed](benchmarks/scale.md#memory)'
    >>> rewritten("[the page](docs/serve.md)", "SECURITY.md")
    '[the page](serve.md)'
    """
    home = posixpath.dirname(in_repository(page))

    def moved(found: re.Match[str]) -> str:
        to = found["to"]
        if ":" in to:
            return found[0]
        site = on_site(posixpath.normpath(posixpath.join(home, to)))
        relative = posixpath.relpath(site, posixpath.dirname(page) or ".")
        return f"{found['text']}{relative}{found['anchor'] or ''})"

    return LINK.sub(moved, text)
