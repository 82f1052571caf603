"""LIME and KernelSHAP by captum, SHAP's partition explainer by shap: all on one game.

The game's players are segments of the crop; its score is the model's, with the players of a
coalition shown and the rest at the baseline, exactly as for the methods that are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np

from mien import extras
from mien.explainers.masks import baseline_pixels, evaluate_coalitions, paint
from mien.explainers.method import Case, Evidence, method
from mien.explainers.parameters import Evaluations, Levels, Parts, Samples, Segment, Snap
from mien.explainers.segments import segments, tree_players
from mien.models.base import BaseModel
from mien.types import BoolArray, FloatArray, InputError, IntArray

KERNEL_WIDTH = 0.25  # of LIME's distances, its authors' code for images


@dataclass
class Game:
    """The score of coalitions of a crop's segments, and how many were asked for."""

    case: Case
    players: IntArray  # [h, w]
    evaluations: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.baseline = baseline_pixels(self.case.pixels, self.case.baseline)
        self.count = int(self.players.max()) + 1

    def __call__(self, shown: BoolArray) -> FloatArray:
        """Scores ``[m]`` of coalitions ``[m, n]``."""
        self.evaluations += len(shown)
        return evaluate_coalitions(
            self.case.score, self.case.pixels, self.baseline, self.players, shown
        )[:, 0]

    def ends(self) -> tuple[float, float]:
        """The scores of nobody and of everybody."""
        base, value = self(np.array([[False] * self.count, [True] * self.count]))
        return float(base), float(value)


def needs_package(package: str) -> Callable[[BaseModel], str]:
    """Why a method that is another package's work cannot explain any model, "" where it can."""

    def reason(_model: BaseModel) -> str:
        found = extras.present(package)
        return "" if found else f"it needs {package}: {extras.install('explain')}"

    return reason


@method(
    "lime",
    rank=40,
    title="LIME: squares",
    needs=needs_package("captum"),
    budget={"samples": 256},
    tiny={"samples": 90, "parts": 4},
)
def lime(
    case: Case, *, samples: Samples = 500, segment: Segment = "grid", parts: Parts = 8
) -> Evidence:
    """LIME (Ribeiro, Singh and Guestrin 2016, arXiv:1602.04938): a local linear surrogate.

    Ridge regression of the score on which segments are shown, samples weighted by their cosine
    nearness to the whole crop. ``segment`` is grid, slic, patches or regions; ``parts`` across.
    The weights need not add up to the score.
    """
    attr = extras.need("captum.attr", "explain", "this method")
    linear = extras.need("sklearn.linear_model", "explain", "this method")
    if samples < 10:
        raise InputError(f"expected 10 samples or more, got {samples}")
    game = Game(case, segments(case, segment, parts))
    method = attr.Lime(
        _torch_score(game),
        interpretable_model=_Regression(linear.Ridge(alpha=1.0)),
        similarity_func=nearness,
        perturb_func=_drawn(_any_parts(game.count, np.random.default_rng(case.seed))),
    )
    values = _attribute(method, game, samples)
    options = {"samples": samples, "segment": segment, "parts": parts}
    return _evidence(game, values, case.seed, options, efficient=False)


@method(
    "kernelshap",
    rank=30,
    title="KernelSHAP: squares",
    needs=needs_package("captum"),
    budget={"samples": 256},
    tiny={"samples": 90, "parts": 4},
)
def kernelshap(
    case: Case, *, samples: Samples = 500, segment: Segment = "grid", parts: Parts = 8
) -> Evidence:
    """KernelSHAP (Lundberg and Lee 2017, arXiv:1705.07874): Shapley values by regression.

    Coalitions are sampled by the Shapley kernel; nobody and everybody carry a weight so large
    that the values add up, but for rounding. ``segment`` and ``parts`` as for ``lime``.
    """
    attr = extras.need("captum.attr", "explain", "this method")
    linear = extras.need("sklearn.linear_model", "explain", "this method")
    game = Game(case, segments(case, segment, parts))
    if samples < game.count + 2:
        raise InputError(
            f"expected more samples than the {game.count} parts, got {samples}; fewer parts, "
            "or more samples"
        )
    method = attr.KernelShap(_torch_score(game))
    method.interpretable_model = _Regression(linear.LinearRegression())
    method.perturb_func = _drawn(_by_shapley(game.count, np.random.default_rng(case.seed)))
    values = _attribute(method, game, samples)
    options = {"samples": samples, "segment": segment, "parts": parts}
    return _evidence(game, values, case.seed, options, efficient=True)


def _torch_score(game: Game) -> Any:
    import torch

    def score(shown: Any) -> Any:
        return torch.from_numpy(game(shown.detach().cpu().numpy() > 0.5))

    return score


def nearness(_original: Any, _perturbed: Any, shown: Any, **_: Any) -> Any:
    """Exponential kernel on the cosine distance between a coalition and the whole crop."""
    import torch

    share = shown.double().mean(dim=1)
    distance = 1 - torch.sqrt(share)  # the cosine of a 0/1 vector with the vector of ones
    return torch.exp(-(distance**2) / (2 * KERNEL_WIDTH**2))


def _any_parts(count: int, rng: np.random.Generator) -> Iterator[BoolArray]:
    """Coalitions in which each player stands with a half."""
    while True:
        yield rng.random(count) < 0.5


def _by_shapley(count: int, rng: np.random.Generator) -> Iterator[BoolArray]:
    """Everybody, nobody, then coalitions by the Shapley kernel, which is the same for one size."""
    yield np.ones(count, dtype=bool)
    yield np.zeros(count, dtype=bool)
    sizes = np.arange(1, count)
    share = 1 / (sizes * (count - sizes))
    while True:
        size = rng.choice(sizes, p=share / share.sum())
        yield rng.permutation(count) < size


def _drawn(coalitions: Iterator[BoolArray]) -> Any:
    """Our coalitions for captum, whose own come from torch's generator: all threads share that."""
    import torch

    def perturb(_original: Any, **_: Any) -> Iterator[Any]:
        for shown in coalitions:
            yield torch.from_numpy(shown)[None].long()

    return perturb


class _Regression:
    """One of scikit-learn's as captum calls it; captum's own draws from torch's generator."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def fit(self, loader: Any, **_: Any) -> None:
        """Fit coalitions, scores and weights, all at once."""
        shown, scores, weights = (t.double().numpy() for t in loader.dataset.tensors)
        self.model.fit(shown, scores, sample_weight=weights)

    def representation(self) -> Any:
        """The coefficients ``[n]``."""
        import torch

        return torch.from_numpy(self.model.coef_)


def _attribute(method: Any, game: Game, samples: int) -> FloatArray:
    """Values ``[n]``."""
    import torch

    found = method.attribute(
        torch.ones(1, game.count, dtype=torch.float64),
        n_samples=samples,
        feature_mask=torch.arange(game.count)[None],
        perturbations_per_eval=256,
    )
    return np.asarray(found[0].detach().numpy(), dtype=np.float64)


@method(
    "shap",
    rank=20,
    title="SHAP: halves of halves",
    needs=needs_package("shap"),
    budget={"evaluations": 256},
    tiny={"levels": 4, "evaluations": 172},
    most={"levels": 8},
    reference=True,
)
def partition(
    case: Case, *, levels: Levels = 6, evaluations: Evaluations = 500, snap: Snap = False
) -> Evidence:
    """SHAP's partition explainer: Owen values of the same tree that ``dncshap`` halves.

    It opens the parts with the largest values first, until ``evaluations`` are spent; at
    2(n^2 - 1)/3 + 2 of them, for n parts, it is exact and equals ``dncshap`` with contexts
    ``owen``. A part that is not opened shares its value evenly.
    """
    players = tree_players(case, levels, snap)
    game = Game(case, players)
    if evaluations < 4:
        raise InputError(f"expected 4 evaluations or more, got {evaluations}")
    values = partition_values(game, evaluations)
    spent = game.evaluations
    base, value = game.ends()
    return Evidence(
        values=paint(values, players),
        base=base,
        value=value,
        players=game.count,
        evaluations=spent,
        options={
            "levels": levels,
            "evaluations": evaluations,
            "snap": snap,
            "by": f"shap {version('shap')}",
        },
    )


def partition_values(game: Any, evaluations: int, fixed_context: int | None = None) -> FloatArray:
    """Values ``[n]`` of a game of ``2^k`` players by shap, on the balanced tree of their order.

    ``game`` takes coalitions ``[m, n]`` to scores ``[m]`` and has a ``count`` of players;
    ``fixed_context`` 0 hides the rest while a part is split, 1 shows it, None does all of both.
    """
    shap = extras.need("shap", "explain", "this method")

    class Masker(shap.maskers.Masker):  # type: ignore[misc, name-defined]  # imported just above
        """Hands the coalition itself to the game."""

        def __init__(self) -> None:
            self.shape = (1, game.count)
            self.clustering = balanced_tree(game.count)

        def __call__(self, mask: Any, _x: Any) -> Any:
            return (np.asarray(mask, dtype=bool)[None],)

    explainer = shap.explainers.Partition(lambda shown: game(np.asarray(shown, bool)), Masker())
    found = explainer(
        np.ones((1, game.count)),
        max_evals=evaluations,
        fixed_context=fixed_context,
        batch_size=256,
        silent=True,
    )
    return np.asarray(found.values[0], dtype=np.float64).ravel()


def balanced_tree(count: int) -> FloatArray:
    """The balanced binary tree over players in their order, as SciPy's clusterings are written.

    Rows: the two parts that join, their distance, how many players they hold.

    >>> balanced_tree(4)
    array([[0., 1., 1., 2.],
           [2., 3., 1., 2.],
           [4., 5., 2., 4.]])
    """
    rows, nodes, height, made = [], list(range(count)), 1, count
    while len(nodes) > 1:
        joined = []
        for first, second in zip(nodes[::2], nodes[1::2], strict=True):
            rows.append([first, second, height, 2**height])
            joined.append(made)
            made += 1
        nodes, height = joined, height + 1
    return np.array(rows, dtype=np.float64)


def _evidence(
    game: Game, values: FloatArray, seed: int, options: dict[str, Any], *, efficient: bool
) -> Evidence:
    spent = game.evaluations
    base, value = game.ends()
    return Evidence(
        values=paint(values, game.players),
        base=base,
        value=value,
        players=game.count,
        evaluations=spent,
        efficient=efficient,
        seed=seed,
        options=options | {"by": f"captum {version('captum')}"},
    )
