"""Every reader, imported so that the registry is full: take ``DATASETS`` from here.

>>> "fer2013" in names()
True
"""

from __future__ import annotations

from typing import Final

from mien.data import (
    affectnet,
    ck48,
    ckplus,
    disfa,
    fer2013,
    ferg,
    ferplus,
    folder,
    jaffe,
    kdef,
    listing,
    parquet,
    rafdb,
    tfeid,
)
from mien.data.base import DATASETS

__all__ = ["DATASETS", "names"]

_REGISTERED: Final = (
    fer2013, ferplus, rafdb, affectnet, kdef, jaffe, ckplus, ck48, ferg, tfeid, disfa,
    folder, listing, parquet,
)  # fmt: skip


def names() -> list[str]:
    """Names of all registered data sets."""
    return DATASETS.names()
