"""Integrated gradients, by captum."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np

from mien.explainers.grids import needs_torch, opened
from mien.explainers.masks import baseline_pixels
from mien.explainers.method import Case, Evidence, method
from mien.explainers.parameters import Steps
from mien.types import InputError


@method(
    "ig",
    rank=110,
    title="Integrated gradients",
    needs=needs_torch,
    tolerance=0.05,
    quantities=("logit",),
)
def ig(case: Case, *, steps: Steps = 64) -> Evidence:
    """Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365), in logits.

    The gradients of the score along the straight line from the baseline to the crop, times the
    way. The parts add up to ``value - base`` as far as ``steps`` points make up the integral.
    """
    from mien.models.torch.probe import integrated

    if steps < 1:
        raise InputError(f"expected 1 step or more, got {steps}")
    baseline = baseline_pixels(case.pixels, case.baseline)
    found = integrated(opened(case.model), case.pixels, baseline, case.direction, steps, case.stop)
    base, value = case.score(np.stack([baseline, case.pixels]))[:, 0]
    values = found.sum(axis=0)
    return Evidence(
        values=values,
        base=float(base),
        value=float(value),
        players=values.size,
        evaluations=steps + 2,
        remedy="take more steps",
        options={"steps": steps, "by": f"captum {version('captum')}"},
    )
