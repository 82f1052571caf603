"""What the report shows of a network: features before the last layer, and explained images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.train.small import CPU, RECIPE, rows_of

torch = pytest.importorskip("torch", reason="torch is not installed: make test does without it")

from mien.models.torch import create  # noqa: E402 - after the check
from mien.models.torch.registry import shrunk  # noqa: E402
from mien.train import report  # noqa: E402
from mien.train.embedding import LEAST, penultimate, project  # noqa: E402
from mien.train.examples import drawn as draw  # noqa: E402
from mien.train.fit import fit  # noqa: E402
from mien.train.folds import Fold, folds_of  # noqa: E402
from mien.train.loader import select  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

#: Models and the layer that makes logits of the features; crossvit-b averages two of them.
LAST = {
    "gimefive-15": ["head.6"], "vit-b16": ["head"], "vit-b16-mlp": ["head.4"],
    "vgg16": ["head.fc"], "resnet18": ["fc"], "compact": ["head"], "vgg19-svm": ["svm"],
    "resnet50-dense": ["fc.6"], "crossvit-b": ["head.0", "head.1"],
}  # fmt: skip


@pytest.mark.parametrize("name", LAST)
def test_features_are_what_the_last_layer_makes_logits_of(name: str) -> None:
    net, spec = create(name, classes=7, **shrunk(name))
    net.eval()
    how = spec.preprocess
    shape = (3, how.channels, how.size, how.size)
    pixels = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), penultimate(net, spec) as features:
        logits = torch.cat([net(pixels[:2]), net(pixels[2:])])
    layers = [net.get_submodule(layer) for layer in LAST[name]]
    widths = [layer.in_features for layer in layers]
    parts = torch.from_numpy(features.array).split(widths, dim=1)
    with torch.no_grad():
        made = [layer(part) for layer, part in zip(layers, parts, strict=True)]
    torch.testing.assert_close(torch.stack(made).mean(dim=0), logits, atol=1e-5, rtol=1e-4)
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_clusters_stay_clusters_and_few_images_are_not_laid_out() -> None:
    random = np.random.default_rng(0)
    n = 60
    rows = rows_of(["test"] * n, [None] * n)
    fold = Fold("", np.arange(0), np.arange(0), np.arange(n))
    features = random.normal(size=(n, 16)) + 30 * rows.label[:, None]
    recipe = replace(RECIPE)
    points = project(rows, fold.test, rows.label, features, recipe, "features")
    assert points is not None
    assert (points.flat.shape, points.deep.shape, points.whole) == ((n, 2), (n, 3), n)
    for places in (points.flat, points.deep):
        apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
        np.fill_diagonal(apart, np.inf)
        assert (rows.label[apart.argmin(axis=1)] == rows.label).mean() > 0.95
    again = project(rows, fold.test, rows.label, features, recipe, "features")
    assert again is not None
    np.testing.assert_array_equal(points.flat, again.flat)
    few = np.arange(LEAST - 1)
    assert project(rows, few, rows.label, features[: LEAST - 1], recipe, "features") is None


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_features_that_never_vary_or_are_not_finite_are_left_out(value: float) -> None:
    n = 20
    rows = rows_of(["test"] * n, [None] * n)
    fold = Fold("", np.arange(0), np.arange(0), np.arange(n))
    assert project(rows, fold.test, rows.label, np.full((n, 4), value), RECIPE, "features") is None


def test_features_of_few_dimensions_and_equal_images_are_laid_out() -> None:
    n = 20
    rows = rows_of(["test"] * n, [None] * n)
    fold = Fold("", np.arange(0), np.arange(0), np.arange(n))
    features = np.tile(rows.label[:, None].astype(float), (1, 4))  # two places, ten times each
    points = project(rows, fold.test, rows.label, features, RECIPE, "features")
    assert points is not None
    assert np.isfinite(points.flat).all()
    assert np.isfinite(points.deep).all()


def test_examples_are_one_right_and_one_wrong_answer_of_each_class(
    drawn: Path, tmp_path: Path
) -> None:
    rows = select(RECIPE, drawn)
    (fold,) = folds_of(rows, 0)
    probability = np.eye(7)[np.zeros(len(rows.number), int)]  # all are called angry
    chosen = draw(rows, fold.test, probability, RECIPE)
    assert set(chosen) <= set(fold.test.tolist())
    assert sorted(rows.label[chosen]) == list(range(7))
    run = fit(RECIPE, drawn, tmp_path / "run", where=CPU)
    text = report.write(run, examples=True).read_text(encoding="utf-8")
    assert text.count('class="card"') >= 7
    assert 'id="points"' in text
    text = report.write(run).read_text(encoding="utf-8")
    assert 'class="card"' not in text
