"""The parts of a training step: losses, rates, optimisers, and what a strategy trains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mien.runs.losses import LOSSES, soften
from mien.runs.recipe import Training
from mien.types import InputError

torch = pytest.importorskip("torch", reason="torch is not installed: make test does without it")

from mien.models.torch import create  # noqa: E402 - after the check
from mien.models.torch.registry import shrunk  # noqa: E402
from mien.train.loader import EpochSampler  # noqa: E402
from mien.train.module import Fit, freeze, optimizer_of, rate  # noqa: E402
from tests.train.small import RECIPE  # noqa: E402


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_falls_with_the_right_answer_and_has_gradients(name: str) -> None:
    loss, how = LOSSES.get(name), Training(loss=name)
    targets = torch.eye(3)[[0, 1]]
    good = torch.tensor([[4.0, 0, 0], [0, 4.0, 0]], requires_grad=True)
    value = loss(good, targets, torch.ones(3), how)
    (gradient,) = torch.autograd.grad(value, good)
    assert torch.isfinite(gradient).all()
    assert 0 <= float(value.detach()) < float(loss(torch.zeros(2, 3), targets, torch.ones(3), how))


def test_cross_entropy_is_torchs_and_focal_without_gamma_is_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(8, 4, generator=generator), torch.arange(8) % 4
    weights = torch.tensor([1.0, 2, 0.5, 1])
    targets = torch.eye(4)[labels]
    ours = LOSSES.get("cross-entropy")(logits, targets, weights, Training())
    torch.testing.assert_close(ours, torch.nn.functional.cross_entropy(logits, labels, weights))
    plain = LOSSES.get("focal")(logits, targets, weights, Training(focal_gamma=0.0))
    torch.testing.assert_close(plain, ours)
    smooth = LOSSES.get("cross-entropy")(logits, soften(targets, 0.1), torch.ones(4), Training())
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(smooth, expected)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "step", "plateau"])
def test_the_rate_warms_up_to_one_and_never_leaves_its_range(schedule: str) -> None:
    how = Training(epochs=10, schedule=schedule, warmup_epochs=2, warmup_multiplier=10)
    rates = [rate(step, 50, how) for step in range(500)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[100] == pytest.approx(1.0)
    assert all(0 <= r <= 1 for r in rates)
    assert rates[:100] == sorted(rates[:100])
    assert rates[100:] == sorted(rates[100:], reverse=True)


@pytest.mark.parametrize(("strategy", "blocks"), [("full", 0), ("head", 0), ("partial", 2)])
def test_a_strategy_trains_what_it_says(strategy: str, blocks: int) -> None:
    net, spec = create("compact", classes=7)
    freeze(net, replace(RECIPE.training, strategy=strategy, blocks=blocks), spec)
    learning = {n for n, p in net.named_parameters() if p.requires_grad}
    whole = {n for n, _ in net.named_parameters()}
    assert any(n.startswith("head") for n in learning)
    assert (learning == whole) is (strategy == "full")
    if strategy == "partial":
        assert all(n.startswith(("head", *spec.stages[-2:])) for n in learning)
        with pytest.raises(InputError, match="at least 99"):
            freeze(net, replace(RECIPE.training, strategy="partial", blocks=99), spec)


def learning(name: str, **how: Any) -> set[str]:
    """Names of the parameters of a small model that a strategy trains."""
    net, spec = create(name, classes=7, **shrunk(name))
    freeze(net, replace(RECIPE.training, **how), spec)
    return {n for n, p in net.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("strategy", ["full", "head"])
def test_what_is_frozen_keeps_its_statistics(strategy: str) -> None:
    net, spec = create("resnet18", classes=7, **shrunk("resnet18"))
    how = RECIPE.training
    freeze(net, replace(how, strategy=strategy), spec)
    module = Fit(net, RECIPE, spec.preprocess, torch.ones(7)).train()
    before = {n: b.clone() for n, b in net.named_buffers()}
    module(torch.rand(4, 3, 64, 64) * 255)
    moved = {n for n, b in net.named_buffers() if not torch.equal(b, before[n])}
    assert bool(moved) is (strategy == "full")
    assert net.get_submodule("fc").training


def test_partial_trains_what_follows_the_last_blocks() -> None:
    vit = learning("vit-b16", strategy="partial", blocks=1)
    assert {"norm.weight", "norm.bias", "head.weight"} <= vit
    assert "blocks.1.norm1.weight" in vit
    assert not any(n.startswith(("blocks.0", "patch_embed", "cls_token", "pos")) for n in vit)
    assert learning("vit-b16", strategy="head") == {"head.weight", "head.bias"}
    residual = learning("resnet18", strategy="partial", blocks=1)
    assert all(n.startswith(("layer4", "fc")) for n in residual)


@pytest.mark.parametrize("name", ["gimefive-15", "gimefive-25", "gimefive-vgg"])
def test_head_trains_the_whole_classifier_of_gimefive(name: str) -> None:
    found = learning(name, strategy="head")
    assert all(n.startswith("head.") for n in found)
    assert {n for n in found if n.endswith("weight")} == {f"head.{i}.weight" for i in (0, 3, 6)}


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_every_optimiser_is_built(name: str) -> None:
    net = torch.nn.Linear(2, 2)
    optimizer = optimizer_of(net, replace(RECIPE.training, optimizer=name, weight_decay=0.01))
    assert type(optimizer).__name__.lower() == name
    assert optimizer.param_groups[0]["weight_decay"] == 0.01


def test_the_order_of_an_epoch_follows_from_seed_and_number() -> None:
    sampler = EpochSampler(50, seed=1)
    first = list(sampler)
    assert first == list(sampler)
    assert sorted(first) == list(range(50))
    sampler.set_epoch(1)
    assert list(sampler) != first
