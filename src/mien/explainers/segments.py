"""Players of perturbation methods: which part of the crop each pixel belongs to."""

from __future__ import annotations

from typing import Final

import numpy as np

from mien import extras
from mien.explainers.designs import tree_grid
from mien.explainers.grids import cells
from mien.explainers.method import Case
from mien.registry import choose
from mien.types import InputError, IntArray

SEGMENTS: Final = ("grid", "slic", "patches", "regions")


def segments(case: Case, kind: str, parts: int) -> IntArray:
    """Players ``[h, w]``, numbered from 0 without gaps.

    ``grid`` is ``parts`` x ``parts`` squares; ``slic`` about as many superpixels that follow the
    picture (Achanta et al. 2012, by scikit-image); ``patches`` a vision transformer's own, which
    its card or spec names; ``regions`` the facial regions. Raises InputError where the crop
    cannot be cut so, MissingExtraError for ``slic`` without scikit-image.
    """
    size = case.pixels.shape[1]
    if not 2 <= parts <= size:
        raise InputError(f"expected 2 to {size} parts across, got {parts}")
    kind = choose("kind of segments", kind, SEGMENTS)
    if kind == "regions":
        found = case.regions
    elif kind == "patches":
        found = cells(patch_grid(case), size)
    elif kind == "grid":
        found = cells((parts, parts), size)
    else:
        found = _superpixels(case, parts)
    return np.asarray(np.unique(found, return_inverse=True)[1].reshape(size, size))


def patch_grid(case: Case) -> tuple[int, int]:
    """Rows and columns of a model's patches; InputError for a model without any."""
    spec = case.model.spec
    if spec is None or spec.patch_grid is None:
        raise InputError(
            f"{case.model.card.name} has no patches; leave this out, or take a vision "
            "transformer's run folder"
        )
    grid: tuple[int, int] = spec.patch_grid
    return grid


def tree_players(case: Case, levels: int, snap: bool) -> IntArray:
    """The leaves of the tree of halves, on the borders of a ViT's patches where ``snap``."""
    size = case.pixels.shape[1]
    return tree_grid(levels, size, size // patch_grid(case)[1] if snap else 1)


def _superpixels(case: Case, parts: int) -> IntArray:
    slic = extras.need("skimage.segmentation", "explain", "cutting into superpixels").slic
    image = case.pixels.transpose(1, 2, 0).astype(np.float64) / 255
    grey = image.shape[2] == 1
    return np.asarray(
        slic(
            image[..., 0] if grey else image,
            parts**2,
            compactness=0.1 if grey else 10.0,
            channel_axis=None if grey else 2,
            start_label=0,
        )
    )
