"""Class activation maps where several linear layers follow the pooling: linearised at the crop."""

from __future__ import annotations

import numpy as np

from mien.explainers.grids import chosen_layers, needs_layers, opened, spread
from mien.explainers.method import Case, Evidence, method
from mien.explainers.parameters import LayerName
from mien.models.base import BaseModel


def needs_planes(model: BaseModel) -> str:
    """Why a model has no such map: its last one must be of planes, as convolutions make."""
    if reason := needs_layers(model):
        return reason
    planes = model.spec is not None and all(x.layout == "NCHW" for x in model.spec.layers)
    return "" if planes else "its last map is one of tokens, not of planes that are pooled"


@method(
    "linearcam",
    rank=75,
    title="Class activation, linearised",
    overlay="frame",
    needs=needs_planes,
    baseline=False,
    footnote=(
        "Evidence is in logits: what each place of the last feature map adds to the score through "
        "the layers behind it, taken as the straight line that they are near this crop; nothing is "
        "hidden. It is what the model used, not a cause, and not what the person feels."
    ),
)
def linearcam(case: Case, *, layer: LayerName = "") -> Evidence:
    """The class activation map of a head of several layers, linearised at the crop.

    Zhou et al. 2016 (arXiv:1512.04150) ask for pooling and one linear layer. Where several follow,
    with ReLUs between them, as in GiMeFive, the head is a straight line around each crop: its
    slopes stand for the one layer's weights, and what is left of the logit is the base. With one
    layer it is the class activation map itself; another crop has other slopes.
    """
    from mien.models.torch.probe import activations, no_gradient

    model = opened(case.model)
    case.stop()
    names = chosen_layers(model, layer, -1)
    found, score = activations(model, case.pixels, case.direction, names)
    size = case.pixels.shape[1]
    values = np.zeros((size, size))
    for seen in found:
        if not seen.gradients.any():
            raise no_gradient(model, seen.layer.name)
        values += spread((seen.values * seen.gradients).sum(axis=0), size)
    return Evidence(
        values=values,
        base=score - float(values.sum()),
        value=score,
        players=sum(x.layer.grid[0] * x.layer.grid[1] for x in found),
        evaluations=1,
        baseline="none (bias)",
        reference="the bias of the straight line",
        options={"layer": ", ".join(names), "grid": [list(x.layer.grid) for x in found]},
    )
