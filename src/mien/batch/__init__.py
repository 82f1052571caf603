"""Millions of images on Ray: read, scored and written, resumable, each exactly once.

>>> from mien import batch
>>> batch.kind_of("a.jpg: expected an image, but it cannot be read (damaged)", "a.jpg")
'expected an image, but it cannot be read'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.batch.job import Summary, score
    from mien.batch.settings import JobSettings, fastest_model
    from mien.batch.work import kind_of

_HOME = {
    "JobSettings": "settings",
    "Summary": "job",
    "fastest_model": "settings",
    "kind_of": "work",
    "score": "job",
}

__all__ = ["JobSettings", "Summary", "fastest_model", "kind_of", "score"]


def __getattr__(name: str) -> Any:
    """Load names on first use, so that the command starts fast."""
    if name not in _HOME:
        raise AttributeError(f"module 'mien.batch' has no attribute {name!r}")
    return getattr(import_module(f"mien.batch.{_HOME[name]}"), name)
