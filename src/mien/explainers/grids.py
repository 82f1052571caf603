"""Maps of a few cells on the crop's own pixels, and what models must have for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.explainers.masks import paint
from mien.models.base import BaseModel
from mien.types import FloatArray, InputError, IntArray

if TYPE_CHECKING:
    from mien.models.torch.model import TorchModel  # which imports torch
    from mien.models.torch.spec import Layer


def cells(grid: tuple[int, int], size: int) -> IntArray:
    """Which cell ``[size, size]`` of a grid each pixel lies in, row by row.

    >>> cells((2, 2), 4)[0].tolist()
    [0, 0, 1, 1]
    """
    rows, columns = grid
    along = np.arange(size)
    return np.asarray((along * rows // size)[:, None] * columns + along * columns // size)


def spread(grid: FloatArray, size: int) -> FloatArray:
    """A map ``[rows, columns]`` on ``size`` x ``size`` pixels, with the same sum.

    >>> spread(np.array([[4.0, 0.0], [0.0, 8.0]]), 4).sum()
    np.float64(12.0)
    """
    rows, columns = grid.shape
    if max(rows, columns) > size:
        raise InputError(
            f"the layer's map has {rows} x {columns} cells, the crop {size} x {size} pixels; "
            "take a later layer"
        )
    return paint(grid.ravel(), cells((rows, columns), size))


def needs_torch(model: BaseModel) -> str:
    """Why a method that looks inside a network cannot explain a model."""
    if model.spec is None:
        return "only a run's folder shows the network inside"
    return "it follows one pass, and flip=True answers by two" if model.flip else ""


def needs_layers(model: BaseModel) -> str:
    """The same for methods that read a layer as a map."""
    if model.spec is None or model.flip:
        return needs_torch(model)
    return "" if model.spec.layers else "none of its layers is known to be a map of the face"


def needs_attention(model: BaseModel) -> str:
    """The same for methods that read attention."""
    if model.spec is None or model.flip:
        return needs_torch(model)
    return "" if model.spec.attention else "it has no attention between patches that can be read"


def opened(model: BaseModel) -> TorchModel:
    """The model as one in torch; InputError where it is none."""
    from mien.models.torch.model import TorchModel

    if not isinstance(model, TorchModel):
        raise InputError(f"{model.card.name}: {needs_torch(model)}; give the folder of a run")
    return model


def chosen_layers(model: TorchModel, layer: str, branch: int) -> list[str]:
    """Names of the layers to read: the one asked for, the branch's, or one per branch.

    InputError where the model has no such branch.
    """
    known: tuple[Layer, ...] = model.spec.layers
    if layer:
        return [layer]
    if not -1 <= branch < len(known):
        raise InputError(
            f"expected a branch in 0..{len(known) - 1}, or -1 for all of {model.card.name}, "
            f"got {branch}"
        )
    return [x.name for x in known] if branch < 0 else [known[branch].name]
