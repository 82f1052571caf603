"""A distribution beside Mien whose one module registers an entry by an entry point."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from mien.registry import Registry


def plug(
    folder: Path, monkeypatch: pytest.MonkeyPatch, registry: Registry[Any], source: str
) -> None:
    """Put the distribution on the path and let the registry look again, until the test ends."""
    module = "plugged_" + registry.kind.replace(" ", "_")
    (folder / f"{module}.py").write_text(dedent(source), encoding="utf-8")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.group}]\nplugged = {module}\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setattr(registry, "_filled", False)
