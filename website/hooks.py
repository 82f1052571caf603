"""Hooks of MkDocs: pages from beside ``docs``, generated tables, links, and no other host."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any, Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel

from website import commands, fields, links, names

log = logging.getLogger("mkdocs.hooks.mien")  # a warning fails the build, which is strict
#: ``<!-- mien: WHAT ARGUMENTS -->`` in a page stands for what is made of the source.
DIRECTIVE: Final = re.compile(r"^<!-- mien: (?P<what>\w+) ?(?P<words>.*?) ?-->$", re.M)
ASSET: Final = re.compile(
    r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=\"?(https?:)?//", re.I
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files beside ``docs`` that pages lead to, and lists of folders."""
    folders: dict[str, list[str]] = {}
    for path in links.beside():
        level = InclusionLevel.INCLUDED if _in_nav(config, path) else InclusionLevel.NOT_IN_NAV
        source = str(links.ROOT / path)
        files.append(File.generated(config, path, abs_src_path=source, inclusion=level))
        folders.setdefault(path.rpartition("/")[0], []).append(path)
    listed = _results(folders["benchmarks/results"])
    files.append(File.generated(config, "benchmarks/results/index.md", content=listed))
    return files


def _in_nav(config: MkDocsConfig, path: str) -> bool:
    return f"'{path}'" in repr(config.nav)


def _results(paths: list[str]) -> str:
    """The page that stands for a folder of reports."""
    lines = [
        "# Judged and trained",
        "",
        "Reports of `mien judge` and `mien train` on real data.",
        "",
    ]
    for path in paths:
        if path.endswith(".md"):
            text = (links.ROOT / path).read_text(encoding="utf-8")
            title = next((x[2:] for x in text.splitlines() if x.startswith("# ")), path)
            lines.append(f"- [{title}]({path.rpartition('/')[2]}) (`{path}`)")
    return "\n".join([*lines, ""])


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Fill in what is made of the source, and turn links to where files are on the site."""
    home = page.file.src_uri
    return DIRECTIVE.sub(_filled, links.rewritten(markdown, home))


def _filled(found: re.Match[str]) -> str:
    what, words = found["what"], found["words"].split()
    try:
        if what == "names":
            for path in names.names_of(words[0], words[1:]):
                for gap in names.gaps(path):
                    log.warning(gap)
            return names.shown(words[0], words[1:])
        if what == "commands":
            return commands.pages()
        if what == "fields":
            return fields.dataclass_fields(words[0])
        if what == "record":
            return fields.record_keys()
    except (KeyError, ValueError) as error:
        raise PluginError(f"{found[0]}: {error}") from error
    raise PluginError(f"{found[0]}: expected names, commands, fields or record, got {what!r}")


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a site that loads anything from another host."""
    for path in Path(config.site_dir).rglob("*.html"):
        if asset := ASSET.search(path.read_text(encoding="utf-8")):
            raise PluginError(f"{path}: loads {asset[0]}..., and the site must need no other host")
