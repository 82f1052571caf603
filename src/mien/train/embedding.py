"""What a network makes of the test images before its last layer, laid out by t-SNE."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor, nn

from mien.models.torch.borrow import Borrowed, borrowed
from mien.models.torch.spec import Spec
from mien.runs.recipe import Recipe
from mien.runs.report import Points
from mien.train.loader import Rows
from mien.types import FloatArray, IntArray

MOST = 2000  # images; more are chosen at random: t-SNE's time grows with them, the picture does not
LEAST = 10  # images below which neighbourhoods say nothing


@dataclass(frozen=True)
class Features:
    """Inputs of the last layers, batch by batch."""

    seen: dict[str, list[Tensor]] = field(default_factory=dict)

    @property
    def array(self) -> FloatArray:
        """``[N, features]``; of several last layers (CrossViT's branches) beside one another."""
        parts = [np.concatenate([t.numpy() for t in batches]) for batches in self.seen.values()]
        return np.concatenate(parts, axis=1)


def last_linear(net: nn.Module, spec: Spec) -> dict[str, str]:
    """The name of the last linear layer inside each output layer that has one."""
    found = {}
    for layer in spec.output_layers:
        inside = net.get_submodule(layer).named_modules(prefix=layer)
        linear = [name for name, module in inside if isinstance(module, nn.Linear)]
        if linear:
            found[layer] = linear[-1]
    return found


@contextmanager
def penultimate(net: nn.Module, spec: Spec) -> Iterator[Features]:
    """Notes what goes into the last linear layer before each output while the network runs."""
    found = Features()

    def watch(lent: Borrowed, layer: str, linear: str) -> None:
        def note(inputs: tuple[Tensor, ...]) -> None:
            found.seen.setdefault(layer, []).append(inputs[0].detach().flatten(1).float().cpu())

        lent.watch_inputs(linear, note)

    with borrowed(net) as lent:
        for layer, linear in last_linear(lent.net, spec).items():
            watch(lent, layer, linear)
        yield found


def project(
    rows: Rows, tested: IntArray, answer: IntArray, features: FloatArray, recipe: Recipe, of: str
) -> Points | None:
    """t-SNE (van der Maaten and Hinton 2008) of the test images in two and in three dimensions.

    ``tested`` are their indices ``[n]`` into the rows, ``features`` ``[n, features]``, which are
    ``of`` what, in words, and ``answer`` ``[all rows]``. At most 2,000 images,
    drawn with the recipe's seed; None for fewer than ten, and where features never vary or are
    not finite (scikit-learn's t-SNE crashes the process on those).
    """
    if len(tested) < LEAST or not np.isfinite(features).all() or not features.std(axis=0).any():
        return None
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    seed = recipe.training.seed
    chosen = np.sort(np.random.default_rng(seed).permutation(len(tested))[:MOST])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a matrix of few dimensions
        few = min(50, len(chosen), features.shape[1])  # as the authors advise
        values = PCA(few, random_state=seed).fit_transform(features[chosen])
        near = min(30.0, (len(chosen) - 1) / 3)
        flat, deep = (
            TSNE(n, perplexity=near, init="pca", random_state=seed).fit_transform(values)
            if few >= n
            else np.zeros((len(chosen), n))
            for n in (2, 3)
        )
    index = tested[chosen]
    return Points(
        labels=recipe.data.labels,
        names=tuple(rows.names[i] for i in index),
        truth=rows.label[index],
        answer=answer[index],
        flat=np.asarray(flat, dtype=float),
        deep=np.asarray(deep, dtype=float),
        whole=len(tested),
        of=of,
    )
