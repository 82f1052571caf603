"""Face detectors: one registry, and ``auto``, which takes the best that this machine has.

>>> sorted(names())
['blazeface', 'blazeface-near', 'haar', 'none', 'yunet']
"""

from __future__ import annotations

from typing import Final

from mien.registry import choose
from mien.vision.faces.base import DETECTORS, Detector

__all__ = ["AUTO", "DETECTORS", "Detector", "create", "names"]

AUTO: Final = ("blazeface", "yunet", "haar")  # best first, by the hit rates in docs/faces.md


def names() -> list[str]:
    """Names of all registered detectors."""
    return DETECTORS.names()


def create(name: str = "auto") -> Detector:
    """A detector by name; ``auto`` is the first of BlazeFace, YuNet and Haar that is at hand.

    Raises UnknownNameError for another name and MissingExtraError or ModelError, with what to
    do, for one whose files are absent.

    >>> create("haar").name
    'haar'
    """
    if name == "auto":
        name = next(n for n in AUTO if DETECTORS.get(n).available())
    else:
        choose("detector", name, ["auto", *names()])
    return DETECTORS.get(name)()
