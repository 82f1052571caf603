"""Where a transformer looks: raw attention, attention rollout, and its gradient version.

All attention of a network is read as acting on one row of tokens: prefix tokens and patches, of
both branches where there are two. A layer that sees some of the tokens only, as ConViT's gated
layers see no class token and CrossViT's fusions one class token and the other branch's patches,
leaves the rest as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mien.explainers.grids import needs_attention, opened, spread
from mien.explainers.method import Case, Evidence, method
from mien.explainers.parameters import BranchNumber, Head, LayerNumber
from mien.results.mosaic import Maps
from mien.types import FloatArray, InputError, IntArray, ModelError

if TYPE_CHECKING:
    from mien.models.torch.probe import Weights  # which imports torch
    from mien.models.torch.spec import Attention, Spec


#: What the numbers of attention alone are.
LOOKED: Final = (
    "Attention says where the network looked, not what it made of it: it is the same for every "
    "expression, and has no parts that speak against."
)


@dataclass(frozen=True, eq=False)
class Branch:
    """The tokens of one branch among all tokens of the network."""

    start: int
    prefix: int
    grid: tuple[int, int]

    @property
    def patches(self) -> IntArray:
        """Positions of its patches."""
        first = self.start + self.prefix
        return np.arange(first, first + self.grid[0] * self.grid[1])

    @property
    def tokens(self) -> IntArray:
        """Positions of its prefix tokens and its patches."""
        return np.arange(self.start, self.patches[-1] + 1)


@dataclass(frozen=True, eq=False)
class Step:
    """One attention layer: which tokens it changes, and which it looks at."""

    queries: IntArray
    keys: IntArray


def branches_of(spec: Spec) -> list[Branch]:
    """The branches of a network, one for most; ModelError where grids are mixed otherwise."""
    grids = list(dict.fromkeys(a.grid for a in spec.attention))
    if len(grids) > 1:  # in the order of the layers that stand for the branches
        grids = [layer.grid for layer in spec.layers]
    found: list[Branch] = []
    for grid in grids:
        start = int(found[-1].tokens[-1]) + 1 if found else 0
        prefix = max((a.prefix for a in spec.attention if a.grid == grid), default=0)
        found.append(Branch(start, prefix, grid))
    crossed = any(a.kind == "cross" for a in spec.attention)
    if len(found) not in (1, 2) or (len(found) == 2) != crossed or len(set(grids)) < len(grids):
        raise ModelError(
            f"{spec.name}: expected one grid of patches, or two that look at each other, got "
            f"{grids}; use 'gradcam'"
        )
    return found


def step_of(layer: Attention, branches: list[Branch]) -> Step:
    """Which tokens a layer changes and which it looks at."""
    number = next(i for i, b in enumerate(branches) if b.grid == layer.grid)
    branch = branches[number]
    if layer.kind == "cross":  # the class token of one branch looks at the patches of the other
        token = np.array([branches[1 - number].start])
        return Step(token, np.concatenate([token, branch.patches]))
    if layer.prefix == branch.prefix:
        return Step(branch.tokens, branch.tokens)
    return Step(branch.patches, branch.patches)  # before the class token joins


def readout(found: list[Weights], branches: list[Branch]) -> IntArray:
    """Tokens that the answer is read from: those whose last attention changes the score.

    Measured, not supposed: a class token, the mean over patches, and two class tokens of a
    distilled network all show in the gradients.
    """
    rows: list[IntArray] = []
    for branch in branches:
        last = next(
            (seen, step)
            for seen in reversed(found)
            if (step := step_of(seen.layer, branches)).queries[0] in branch.tokens
        )
        seen, step = last
        used = np.abs(seen.gradients).sum(axis=(0, 2)) > 0 if seen.gradients.size else []
        rows.append(step.queries[np.flatnonzero(used)])
    return np.concatenate(rows)


def rollout_matrix(found: list[Weights], branches: list[Branch]) -> FloatArray:
    """Attention multiplied through all layers, ``[tokens, tokens]``; each row sums to 1.

    Abnar and Zuidema 2020, arXiv:2005.00928: half attention, the mean of the heads, and half the
    token itself, for the connection around each layer. Nothing is discarded.
    """
    count = int(branches[-1].tokens[-1]) + 1
    total = np.eye(count)
    for seen in found:
        step = step_of(seen.layer, branches)
        own = np.eye(count)[step.queries]
        own[:, step.keys] += seen.values.mean(axis=0)
        total[step.queries] = own / own.sum(axis=1, keepdims=True) @ total
    return total


def relevance_matrix(found: list[Weights], branches: list[Branch]) -> FloatArray:
    """Relevance through all layers, ``[tokens, tokens]``.

    Chefer et al. 2021, arXiv:2103.15679, equations 5 and 6: each layer adds the mean over heads of
    attention times gradient, where that is positive, applied to what came before.
    """
    count = int(branches[-1].tokens[-1]) + 1
    total = np.eye(count)
    for seen in found:
        step = step_of(seen.layer, branches)
        if seen.gradients.size:
            mean = np.maximum(seen.values * seen.gradients, 0).mean(axis=0)
            total[step.queries] += mean @ total[step.keys]
    return total


@method(
    "attention",
    rank=120,
    title="Attention of one layer",
    overlay="frame",
    needs=needs_attention,
    baseline=False,
    about_target=False,
    footnote=LOOKED,
)
def attention(
    case: Case, *, layer: LayerNumber = -1, head: Head = -1, branch: BranchNumber = -1
) -> Evidence:
    """Attention of the tokens that the answer is read from to each patch, in one layer.

    ``layer`` counts the attention layers from 0, or from the end with -1, the last; ``head`` -1 is
    the mean of all heads. Before a class token joins (ConViT) it is the mean over all patches.
    ``branch`` keeps to layers that look at that branch's patches.
    """
    seen, read, branches, score = _read(case)
    if branch >= 0:
        grid = _branch(branches, branch).grid
        seen = [one for one in seen if one.layer.grid == grid]
    if not -len(seen) <= layer < len(seen):
        raise InputError(f"expected a layer in 0..{len(seen) - 1}, or from the end, got {layer}")
    chosen = seen[layer]
    if not -1 <= head < chosen.layer.num_heads:
        raise InputError(
            f"expected a head in 0..{chosen.layer.num_heads - 1}, or -1 for the mean, got {head}"
        )
    heads = head_maps(chosen, read, branches)
    grid_values = heads.mean(axis=0) if head < 0 else heads[head]
    index = layer % len(seen)
    return Evidence(
        values=spread(grid_values, case.pixels.shape[1]),
        base=None,
        value=score,
        players=grid_values.size,
        evaluations=1,
        efficient=False,
        baseline="none",
        what="attention",
        unit="share of attention",
        signed=False,
        options={
            "layer": index,
            "name": chosen.layer.name,
            "head": "mean" if head < 0 else head,
            "on other tokens": round(float(1 - grid_values.sum()), 4),
        },
        maps=_sheet(seen, read, branches),
    )


@method(
    "rollout",
    rank=130,
    title="Attention rollout",
    overlay="frame",
    needs=needs_attention,
    baseline=False,
    about_target=False,
    footnote=LOOKED,
)
def rollout(case: Case, *, branch: BranchNumber = -1) -> Evidence:
    """Attention rollout (Abnar and Zuidema 2020): attention followed back through all layers.

    Of two branches both are followed at once; the map adds them up, or shows one ``branch``.
    """
    seen, read, branches, score = _read(case)
    total = rollout_matrix(seen, branches)[read].mean(axis=0)
    return _through(
        case, total, branches, branch, score, what="attention", unit="share of attention"
    )


@method(
    "gradrollout",
    rank=140,
    title="Attention rollout with gradients",
    overlay="frame",
    needs=needs_attention,
    baseline=False,
    footnote=(
        "Relevance follows attention and its gradients to the answer. It has no unit and no parts "
        "that speak against: compare places, not sizes."
    ),
)
def gradrollout(case: Case, *, branch: BranchNumber = -1) -> Evidence:
    """Attention times gradient through all layers (Chefer et al. 2021), for the target.

    What a token starts with, itself, is left out: where the answer is read from the patches it
    would be the same in every cell and hide the rest. Of two branches both are followed at once;
    the map adds them up, or shows one ``branch``.
    """
    seen, read, branches, score = _read(case)
    through = relevance_matrix(seen, branches)
    total = (through - np.eye(len(through)))[read].mean(axis=0)
    return _through(case, total, branches, branch, score, what="relevance", unit="relevance")


def _read(case: Case) -> tuple[list[Weights], IntArray, list[Branch], float]:
    from mien.models.torch import probe

    model = opened(case.model)
    branches = branches_of(model.spec)
    case.stop()
    seen, score = probe.attention(model, case.pixels, case.direction)
    read = readout(seen, branches)
    if not read.size:
        raise InputError(
            f"{case.model.card.name}: no gradient of the score reaches its attention; use 'gradcam'"
        )
    return seen, read, branches, score


def _branch(branches: list[Branch], number: int) -> Branch:
    if not 0 <= number < len(branches):
        raise InputError(
            f"expected a branch in 0..{len(branches) - 1}, or -1 for all, got {number}"
        )
    return branches[number]


def _through(
    case: Case,
    total: FloatArray,
    branches: list[Branch],
    branch: int,
    score: float,
    *,
    what: str,
    unit: str,
) -> Evidence:
    """What all layers together give each patch: ``total [tokens]``, seen from the answer."""
    taken = branches if branch < 0 else [_branch(branches, branch)]
    size = case.pixels.shape[1]
    maps = [total[b.patches].reshape(b.grid) for b in taken]
    options: dict[str, Any] = {"grid": [list(b.grid) for b in taken]}
    if what == "attention":
        options["on other tokens"] = round(1 - sum(float(m.sum()) for m in maps), 4)
    return Evidence(
        values=np.sum([spread(m, size) for m in maps], axis=0),
        base=None,
        value=score,
        players=sum(m.size for m in maps),
        evaluations=1,
        efficient=False,
        baseline="none",
        what=what,
        unit=unit,
        signed=False,
        options=options,
    )


def head_maps(seen: Weights, read: IntArray, branches: list[Branch]) -> FloatArray:
    """What each head gives each patch ``[heads, rows, columns]``, seen from the answer's tokens."""
    step = step_of(seen.layer, branches)
    rows = np.flatnonzero(np.isin(step.queries, read))
    # before the class token joins, all patches speak for it
    chosen = seen.values[:, rows] if rows.size else seen.values
    patches = len(step.keys) - seen.layer.grid[0] * seen.layer.grid[1]
    return np.asarray(chosen.mean(axis=1)[:, patches:].reshape(-1, *seen.layer.grid))


def _sheet(seen: list[Weights], read: IntArray, branches: list[Branch]) -> Maps:
    """Every head of every layer: a column of tiles each layer, a row each head."""
    found = [head_maps(one, read, branches) for one in seen]
    heads = max(len(maps) for maps in found)
    blank = np.zeros((1, 1))
    tiles = [(i, h) for h in range(heads) for i in range(len(seen))]
    return Maps(
        values=tuple(found[i][h] if h < len(found[i]) else blank for i, h in tiles),
        names=tuple(f"{i}.{h}" if h < len(found[i]) else "" for i, h in tiles),
        title=(
            "Every layer and head: attention to each patch of the tokens that the answer is read "
            "from, each at its own scale, with its largest share"
        ),
        columns=len(seen),
        row_names=tuple(f"head {h}" for h in range(heads)),
        column_names=("layer 0", *map(str, range(1, len(seen)))),
    )
