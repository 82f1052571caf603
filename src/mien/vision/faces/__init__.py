"""Face detectors: one registry, and ``auto``, which takes the best that this machine has.

>>> sorted(names())
['blazeface', 'blazeface-near', 'haar', 'none', 'yunet']
"""

from __future__ import annotations

from mien.fetch import Remote
from mien.registry import choose
from mien.vision.faces.base import DETECTORS, Detector

__all__ = ["DETECTORS", "Detector", "create", "names", "ranked", "remotes"]


def names() -> list[str]:
    """Names of all registered detectors."""
    return DETECTORS.names()


def ranked() -> list[str]:
    """The detectors that ``auto`` tries, best first (by the faces they find, docs/faces.md).

    >>> ranked()
    ['yunet', 'blazeface', 'haar']
    """
    found = [(rank, name) for name in names() if (rank := DETECTORS.get(name).rank) is not None]
    return [name for _, name in sorted(found, reverse=True)]


def remotes() -> dict[str, Remote]:
    """The files that detectors (of other distributions) need and that can be fetched, by name."""
    found = [DETECTORS.get(name).remote for name in names()]
    return {remote.name: remote for remote in found if remote is not None}


def create(name: str = "auto") -> Detector:
    """A detector by name; ``auto`` is the first of :func:`ranked` that this machine can run.

    Parameters
    ----------
    name
        A registered detector, or ``auto``.

    Raises UnknownNameError for another name and MissingExtraError or ModelError, with what to
    do, for one whose files are absent.

    >>> create("haar").name
    'haar'
    """
    if name == "auto":
        name = next(n for n in ranked() if DETECTORS.get(n).available())
    else:
        choose("detector", name, ["auto", *names()])
    return DETECTORS.get(name)()
