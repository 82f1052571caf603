"""What is measured on one face: the curves, the hidden squares, and one method's map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from mien.explainers import explain
from mien.explainers.masks import baseline_pixels, evaluate_masks
from mien.judging import measures
from mien.judging.action_units import Expected
from mien.judging.sampling import Sampled
from mien.metrics import probabilities
from mien.models.base import BaseModel
from mien.results.evidence import Query
from mien.results.explanation import Explanation
from mien.types import BoolArray, FloatArray
from mien.vision.regions import REGIONS

CURVES: Final = ("mean", "black", "blur")  # what stands where a pixel is taken away
STEPS: Final = 12  # points of a curve after the first
SQUARES: Final = 48  # hidden squares for the infidelity
NOISE: Final = 5.0  # grey levels to either side, for the sensitivity
TOLERANCE: Final = 15 / 224  # of the side, around true evidence, as the pointing game has it
TOPS: Final = (0.1, 0.2, 0.3)  # shares of the pixels whose overlap is measured

Numbers = dict[str, float]


@dataclass(frozen=True, eq=False)
class Bench:
    """One face on the bench, and what hiding squares of it does, the same for every method."""

    model: BaseModel
    face: Sampled
    seed: int
    hidden: BoolArray = field(repr=False)  # [m, h, w]
    falls: FloatArray = field(repr=False)  # [m], of the target's logit

    @property
    def target(self) -> int:
        """The answer's place among the model's labels."""
        return self.model.labels.index(str(self.face.prediction.dominant_emotion))

    def explain(
        self, query: Query, *, model: BaseModel | None = None, noise: FloatArray | None = None
    ) -> Explanation:
        """The method's explanation of the answer, by another model or with noise where asked."""
        crop = self.face.crop
        if noise is not None:
            crop = replace(crop, pixels=np.clip(crop.pixels + noise, 0, 255).astype(np.float32))
        asked = replace(query, seed=self.seed)
        return explain(model or self.model, crop, self.face.prediction, asked)


def bench(model: BaseModel, face: Sampled, seed: int) -> Bench:
    """Prepare one face: hide random squares of a sixth to a half of its side, one at a time."""
    pixels = face.crop.pixels
    size = pixels.shape[1]
    rng = np.random.default_rng(seed)
    hidden = np.zeros((SQUARES, size, size), dtype=bool)
    for mask in hidden:
        side = int(rng.integers(size // 6, size // 2 + 1))
        top, left = rng.integers(0, size - side + 1, 2)
        mask[top : top + side, left : left + side] = True
    ready = Bench(model, face, seed, hidden, np.zeros(0))
    kept = [~hidden, np.ones((1, size, size), bool)]
    baseline = baseline_pixels(pixels, "mean")
    scores = evaluate_masks(model.logits, pixels, baseline, kept)[:, ready.target]
    return replace(ready, falls=scores[-1] - scores[:-1])


def curves(place: Bench, values: FloatArray) -> Numbers:
    """Areas under the target's probability as pixels appear, and as they vanish, best first.

    Petsiuk et al. 2018, section 4.2: insertion (higher is better) and deletion (lower is better),
    against each baseline; ``gap`` is the mean of their differences.
    """
    pixels = place.face.crop.pixels
    size = pixels.shape[1]
    rank = np.empty(size * size, dtype=np.int64)
    rank[measures.ranking(values, place.seed)] = np.arange(size * size)
    cuts = np.linspace(0, size * size, STEPS + 1)
    first = (rank[None] < cuts[:, None]).reshape(-1, size, size)
    head = place.model.head
    found: Numbers = {}
    for kind in CURVES:
        baseline = baseline_pixels(pixels, kind)
        logits = evaluate_masks(place.model.logits, pixels, baseline, [first, ~first])
        p = probabilities(logits, head.temperature)[:, place.target]
        found[f"insertion, {kind}"] = measures.probability_curve_area(p[: STEPS + 1])
        found[f"deletion, {kind}"] = measures.probability_curve_area(p[STEPS + 1 :])
    gaps = [found[f"insertion, {k}"] - found[f"deletion, {k}"] for k in CURVES]
    return {**found, "gap": float(np.mean(gaps))}


def measured(
    place: Bench,
    result: Explanation,
    query: Query,
    *,
    exact: Explanation,
    shap: Explanation | None,
    expected: Expected,
    randomised: BaseModel | None,
) -> Numbers:
    """All numbers of one method on one face; a measure that does not apply is absent.

    ``exact`` holds the Shapley values over regions, ``shap`` the partition values for the
    overlap, ``randomised`` the same network with its weights shuffled; where it is given
    the method explains twice more, with that and with a noisy crop.
    """
    values = np.asarray(result.values, dtype=np.float64)
    found: Numbers = {
        "seconds": result.seconds,
        "passes": float(result.evaluations),
        **curves(place, values),
        "infidelity": measures.infidelity(values, place.hidden, place.falls),
        "sparseness": measures.sparseness(values),
        "exact Shapley": measures.correlation(
            np.array(list(result.regions.values())), np.array(list(exact.regions.values()))
        ),
    }
    if result.efficient:
        found["efficiency gap"] = result.check()
    share, area = measures.concentration(values, result.labels, len(REGIONS))
    for name, part, size in zip(REGIONS, share, area, strict=True):
        if size > 0:
            found[f"share/area, {name}"] = float(part / size)
    found["background"] = float(share[REGIONS.index("background")])
    if shap is not None:
        for top in TOPS:
            # ties of the two maps are broken apart, else maps on one grid would agree by chance
            other = measures.top(np.asarray(shap.values), top, place.seed)
            seed = place.seed if result is shap else place.seed + 1
            found[f"dice {top:.0%}"] = measures.dice(measures.top(values, top, seed), other)
    for expression, names in expected.items():
        found[f"lift, {expression}"] = lift(values, result.labels, names)
    if place.face.mask is not None and place.face.mask.any():
        truth = _fitted(place.face.mask, values.shape[0])
        near = measures.widened(truth, TOLERANCE)
        found["pointing"] = measures.pointing(values, near)
        found["inside"] = measures.mass_inside(values, truth)
        found["chance"] = float(near.mean())
        found["edges"] = measures.pointing(measures.edges(place.face.crop.pixels), near)
    if randomised is not None:
        found |= _shaken(place, result, query, randomised)
    return found


def lift(values: FloatArray, labels: Any, names: Sequence[str]) -> float:
    """Share of the evidence on the face that lies in some regions, less their share of it.

    Evidence for the target only; the background is left out of both. 0 where it lies anywhere.
    """
    inside = np.isin(labels, [REGIONS.index(name) for name in names])
    on_face = labels != REGIONS.index("background")
    positive = np.maximum(values, 0) * on_face
    total = float(positive.sum())
    area = float((inside & on_face).sum()) / max(int(on_face.sum()), 1)
    return float(positive[inside].sum()) / total - area if total > 0 else 0.0


def _fitted(mask: BoolArray, size: int) -> BoolArray:
    """A drawing's mask on the crop's grid: a cell is true where any of its pixels is."""
    rows = np.arange(mask.shape[0]) * size // mask.shape[0]
    found = np.zeros((size, size), dtype=bool)
    where = np.nonzero(mask)
    found[rows[where[0]], rows[where[1]]] = True
    return found


def _shaken(place: Bench, result: Explanation, query: Query, randomised: BaseModel) -> Numbers:
    """Sensitivity to noise, and likeness to the map of a network that has learnt nothing.

    Max-sensitivity (Yeh et al. 2019, definition 2.2) from one draw of uniform noise; the
    parameter-randomisation check of Adebayo et al. 2018 (arXiv:1810.03292) by rank correlation,
    of which a method that explains the model has little.
    """
    values = np.asarray(result.values, dtype=np.float64)
    shape = place.face.crop.pixels.shape
    noise = np.random.default_rng(place.seed).uniform(-NOISE, NOISE, shape)
    moved = np.asarray(place.explain(query, noise=noise).values)
    shuffled = np.asarray(place.explain(query, model=randomised).values)
    found = {
        "sensitivity": float(np.linalg.norm(moved - values))
        / max(float(np.linalg.norm(values)), 1e-12),
        "randomised": abs(measures.rank_correlation(values, shuffled)),
    }
    if place.face.mask is not None and place.face.mask.any():
        near = measures.widened(_fitted(place.face.mask, values.shape[0]), TOLERANCE)
        found["pointing, randomised"] = measures.pointing(shuffled, near)
    return found
