"""Shapley values: exact ones over the facial regions, and DnCShap over halves of halves."""

from __future__ import annotations

import numpy as np

from mien.explainers.designs import dncshap_design, exact_design, interactions
from mien.explainers.masks import baseline_pixels, evaluate_coalitions, paint
from mien.explainers.method import Case, Evidence, method
from mien.explainers.parameters import Contexts, Levels, Snap
from mien.explainers.segments import tree_players
from mien.vision.regions import REGIONS


@method("regions", rank=0, title="Shapley values of the regions", overlay="key")
def regions(case: Case) -> Evidence:
    """Exact Shapley values over the facial regions, with their pairwise interactions.

    At most 2^8 = 256 forward passes in one batch; a region that the crop does not show is no
    player and holds 0.
    """
    present = np.unique(case.regions)
    players = np.searchsorted(present, case.regions)
    design = exact_design(len(present))
    baseline = baseline_pixels(case.pixels, case.baseline)
    scores = evaluate_coalitions(case.score, case.pixels, baseline, players, design.coalitions)
    scores = scores[:, 0]
    matrix = np.zeros((len(REGIONS), len(REGIONS)))
    matrix[np.ix_(present, present)] = interactions(scores, len(present))
    return Evidence(
        values=paint(design.solve(scores), players),
        base=float(scores[0]),
        value=float(scores[-1]),
        players=len(present),
        evaluations=len(scores),
        interactions=matrix,
        regional=True,
    )


@method(
    "dncshap",
    rank=10,
    title="DnCShap: halves of halves",
    variants={"printed": {"contexts": "printed"}},
    tiny={"levels": 4},
    most={"levels": 8},
)
def dncshap(
    case: Case, *, levels: Levels = 6, contexts: Contexts = "both", snap: Snap = False
) -> Evidence:
    """DnCShap (Malik, Kumar and Raman 2021), repaired: the crop is halved again and again.

    Each part's value is shared by its halves, of which there are ``2^levels`` in the end, by what
    they add beside others: ``contexts`` both, absent, present, owen or printed. With more levels
    the parts become as small as pixels: the paper's pixel-wise maps. ``snap`` puts their borders
    on those of a vision transformer's patches.

    Forward passes for n leaves: ``both`` 4n - 4, ``absent``, ``present`` and ``printed`` 2n,
    ``owen`` 2(n^2 - 1)/3 + 2.
    """
    players = tree_players(case, levels, snap)
    design = dncshap_design(levels, contexts)
    baseline = baseline_pixels(case.pixels, case.baseline)
    scores = evaluate_coalitions(case.score, case.pixels, baseline, players, design.coalitions)
    scores = scores[:, 0]
    full, empty = design.coalitions.all(axis=1), ~design.coalitions.any(axis=1)
    return Evidence(
        values=paint(design.solve(scores), players),
        base=float(scores[empty][0]),
        value=float(scores[full][0]),
        players=2**levels,
        evaluations=len(scores),
        efficient=contexts != "printed",
        options={"levels": levels, "contexts": contexts, "snap": snap},
    )
