"""Class activation maps from the network's own last map: no gradients, no framework."""

from __future__ import annotations

import numpy as np

from mien.explainers.grids import spread
from mien.explainers.method import Case, Evidence, method
from mien.models.base import BaseModel


def needs_map(model: BaseModel) -> str:
    """Why a model has no class activation map, "" where it has one."""
    return "" if model.head.cam else "it does not end in average pooling and one linear layer"


@method(
    "cam",
    rank=70,
    title="Class activation map",
    overlay="frame",
    needs=needs_map,
    baseline=False,
    footnote=(
        "Evidence is in logits, the model's scores before they become probabilities: what each "
        "place of the last feature map adds to the score, beside the network's own bias; nothing "
        "is hidden. It is what the model used, not a cause, and not what the person feels."
    ),
)
def cam(case: Case) -> Evidence:
    """The class activation map (Zhou et al. 2016, arXiv:1512.04150), one forward pass.

    The network averages its last feature map and applies one linear layer, so the logit is the
    map's mean plus the bias: each cell's part of the logit is known exactly. The base is the bias.
    """
    case.stop()
    output = case.model.run(case.pixels[None], cam=True)
    assert output.cam is not None  # run() raises where the model has none
    grid = np.tensordot(case.direction, output.cam[0].astype(np.float64), axes=1)
    bias = float(np.asarray(case.model.head.bias, dtype=np.float64) @ case.direction)
    return Evidence(
        values=spread(grid / grid.size, case.pixels.shape[1]),
        base=bias,
        value=float(output.logits[0].astype(np.float64) @ case.direction),
        players=grid.size,
        evaluations=1,
        baseline="none (bias)",
        reference="the network's own bias",
        options={"grid": list(grid.shape)},
    )
