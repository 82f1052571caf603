"""The processes of one training: several devices have one each, started by Lightning."""

from __future__ import annotations

from lightning.pytorch.utilities import rank_zero_only


def rank() -> int:
    """The number of this process; the first, 0, writes what they have in common.

    >>> rank()
    0
    """
    return int(getattr(rank_zero_only, "rank", 0))
