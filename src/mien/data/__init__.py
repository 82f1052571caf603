"""Data sets of facial expressions: one module per source, registered by its card's name.

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
from mien.data.base import DATASETS, Card, DataSet, Reading, Row

__all__ = ["DATASETS", "Card", "DataSet", "Reading", "Row", "names"]

# importing them fills the registry
_REGISTERED: Final = (
    fer2013, ferplus, rafdb, affectnet, kdef, jaffe, ckplus, ck48, ferg, tfeid, disfa,
    folder, listing, parquet,
)  # fmt: skip


def names() -> list[str]:
    """Names of all registered data sets."""
    return sorted(DATASETS.names())
