"""Maps from one layer's activations and the gradients of the score: one pass there and back.

The maps keep their sign and their scale. The papers end in a ReLU, which drops what speaks
against the target, and in a stretch to 0..1, which hides how much there is: drawing decides that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from mien.explainers.grids import chosen_layers, needs_layers, opened, spread
from mien.explainers.method import Case, Evidence, Function, method
from mien.explainers.parameters import BranchNumber, LayerName
from mien.types import FloatArray

#: What the numbers of methods that hide nothing are.
GRADIENTS: Final = (
    "Evidence comes from gradients: what a small change at a place would do to the model's score, "
    "times what is there; nothing is hidden. It is what the model used, not a cause, and not what "
    "the person feels."
)


def _of_a_layer(name: str, *, rank: float, title: str) -> Callable[[Function], Function]:
    """Registers one of these methods; what they need and what may be asked of them is the same."""
    return method(
        name,
        rank=rank,
        title=title,
        overlay="frame",
        needs=needs_layers,
        baseline=False,
        footnote=GRADIENTS,
    )


@_of_a_layer("gradcam", rank=80, title="Grad-CAM")
def gradcam(case: Case, *, layer: LayerName = "", branch: BranchNumber = -1) -> Evidence:
    """Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391), in logits.

    Each feature map is weighted by its gradient's mean over all places. Where the network ends in
    average pooling and a linear layer this is the class activation map. ``layer`` names another
    layer than the model's own; of a network in branches all are added up, or one is taken.
    """
    return _evidence(case, layer, branch, gradcam_map)


@_of_a_layer("gradcam++", rank=90, title="Grad-CAM++")
def gradcam_plus(case: Case, *, layer: LayerName = "", branch: BranchNumber = -1) -> Evidence:
    """Grad-CAM++ (Chattopadhay et al. 2018, arXiv:1710.11063): places weighted by gradients.

    Its weights suppose that the score is the exponential of the logit, so the map has no unit.
    Options as for ``gradcam``.
    """
    return _evidence(case, layer, branch, gradcam_plus_map, unit="no unit")


@_of_a_layer("layercam", rank=100, title="Layer-CAM")
def layercam(case: Case, *, layer: LayerName = "", branch: BranchNumber = -1) -> Evidence:
    """Layer-CAM (Jiang et al. 2021, doi:10.1109/TIP.2021.3089943): weighted place by place.

    Each activation is multiplied by its own gradient where that is positive, which keeps early
    layers sharp. After a ReLU nothing in it can speak against. Options as for ``gradcam``.
    """
    return _evidence(case, layer, branch, layercam_map)


def gradcam_map(values: FloatArray, gradients: FloatArray) -> FloatArray:
    """``sum_k mean(g_k) a_k`` of activations and gradients ``[C, rows, columns]``."""
    return np.asarray(np.tensordot(gradients.mean(axis=(1, 2)), values, axes=1))


def gradcam_plus_map(values: FloatArray, gradients: FloatArray) -> FloatArray:
    """``sum_k w_k a_k`` with ``w_k = sum alpha relu(g_k)``, equations 19 and 20 of the paper."""
    square = gradients**2
    below = 2 * square + values.sum(axis=(1, 2), keepdims=True) * gradients**3
    # where the denominator is 0 so is the gradient, and the place has no say
    alpha = np.divide(square, below, out=np.zeros_like(square), where=below != 0)
    weights = (alpha * np.maximum(gradients, 0)).sum(axis=(1, 2))
    return np.asarray(np.tensordot(weights, values, axes=1))


def layercam_map(values: FloatArray, gradients: FloatArray) -> FloatArray:
    """``sum_k relu(g_k) a_k``, place by place."""
    return np.asarray((np.maximum(gradients, 0) * values).sum(axis=0))


def _evidence(
    case: Case,
    layer: str,
    branch: int,
    combine: Callable[[FloatArray, FloatArray], FloatArray],
    unit: str = "logits",
) -> Evidence:
    from mien.models.torch.probe import activations, no_gradient

    model = opened(case.model)
    case.stop()
    names = chosen_layers(model, layer, branch)
    found, score = activations(model, case.pixels, case.direction, names)
    for seen in found:
        if not seen.gradients.any():
            raise no_gradient(model, seen.layer.name)
    size = case.pixels.shape[1]
    return Evidence(
        values=np.sum([spread(combine(x.values, x.gradients), size) for x in found], axis=0),
        base=None,
        value=score,
        players=sum(x.layer.grid[0] * x.layer.grid[1] for x in found),
        evaluations=1,
        efficient=False,
        baseline="none",
        unit=unit,
        options={"layer": ", ".join(names), "grid": [list(x.layer.grid) for x in found]},
    )
