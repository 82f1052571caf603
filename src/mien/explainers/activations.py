"""What a layer answers, feature by feature, whatever the expression."""

from __future__ import annotations

import numpy as np

from mien.explainers.grids import chosen_layers, needs_layers, opened, spread
from mien.explainers.method import Case, Evidence, method
from mien.explainers.parameters import LayerName, OneBranch
from mien.results.mosaic import Maps

SHOWN = 64  # feature maps in the picture


@method(
    "activations",
    rank=150,
    title="Activations of one layer",
    overlay="frame",
    needs=needs_layers,
    baseline=False,
    about_target=False,
    judged=False,
    footnote=(
        "Activation says where a layer answers strongly, whatever for: it is the same for every "
        "expression."
    ),
)
def activations(case: Case, *, layer: LayerName = "", branch: OneBranch = 0) -> Evidence:
    """The mean absolute activation of a layer, and its strongest feature maps as pictures.

    ``layer`` names another layer than the model's own, ``branch`` takes that of another branch.
    The maps are numbered as the layer numbers its channels, strongest mean first.
    """
    from mien.models.torch import probe

    model = opened(case.model)
    case.stop()
    name = chosen_layers(model, layer, max(branch, 0))[0]
    (seen,), score = probe.activations(model, case.pixels, case.direction, [name], gradients=False)
    strength = np.abs(seen.values).mean(axis=(1, 2))
    strongest = np.argsort(-strength, kind="stable")[:SHOWN]
    count, grid = len(strength), seen.layer.grid
    return Evidence(
        values=spread(np.abs(seen.values).mean(axis=0), case.pixels.shape[1]),
        base=None,
        value=score,
        players=grid[0] * grid[1],
        evaluations=1,
        efficient=False,
        baseline="none",
        what="activation",
        unit="mean activation",
        signed=False,
        options={"layer": name, "grid": list(grid), "features": count},
        maps=Maps(
            values=tuple(seen.values[k] for k in strongest),
            names=tuple(f"#{k}" for k in strongest),
            title=(
                f"The {len(strongest)} strongest of {count} feature maps of {name}, each at its "
                "own scale: its number, and its largest value (vermilion above 0, blue below)"
            ),
            signed=True,
        ),
    )
