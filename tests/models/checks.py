"""What every network must hold: shared checks, by name, also for one that a plug-in adds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mien.models.torch import MODELS, Spec, count, create, describe
from mien.models.torch.borrow import borrowed
from mien.models.torch.registry import shrunk


def tiny(name: str, classes: int = 7) -> tuple[nn.Module, Spec]:
    """A small network of this kind, evaluating, and its spec."""
    torch.manual_seed(0)
    net, spec = create(name, classes=classes, **shrunk(name))
    return net.eval(), spec


def batch(spec: Spec, n: int = 2) -> Tensor:
    """Normalised noise of the shape that the network takes."""
    how = spec.preprocess
    noise = torch.Generator().manual_seed(0)
    return torch.randn(n, how.channels, how.size, how.size, generator=noise)


def it_has_a_small_variant(name: str) -> None:
    net, spec = tiny(name)
    entry = MODELS.get(name)
    assert entry.tiny
    assert count(net) < entry.counts[7]
    assert spec.name == name
    assert spec.counts == {}, "a changed network is not the one that the paper counted"


def its_parameters_are_counted_to_the_unit(name: str) -> None:
    entry = MODELS.get(name)
    assert entry.counts
    for classes, expected in entry.counts.items():
        with torch.device("meta"):
            net, _ = entry.build(classes)
        assert count(net) == expected
    assert describe(name).counts == entry.counts


def it_documents_itself_and_names_its_paper(name: str) -> None:
    build = MODELS.get(name).build
    assert getattr(build, "func", build).__doc__
    assert describe(name).paper


def a_pass_gives_logits_and_evaluation_repeats(name: str) -> None:
    net, spec = tiny(name)
    pixels = batch(spec, 3)
    with torch.no_grad():
        first, second = net(pixels), net(pixels)
    assert first.shape == (3, 7)
    assert bool(torch.isfinite(first).all())
    assert torch.equal(first, second)


def gradients_reach_every_parameter_and_the_pixels(name: str) -> None:
    net, spec = tiny(name)
    net.train()
    pixels = batch(spec, 4).requires_grad_()
    net(pixels).logsumexp(dim=1).sum().backward()
    gradients = {name: p.grad for name, p in net.named_parameters()}
    assert [name for name, grad in gradients.items() if grad is None] == []
    assert all(grad is not None and bool(torch.isfinite(grad).all()) for grad in gradients.values())
    assert pixels.grad is not None
    assert float(pixels.grad.abs().sum()) > 0


def its_layers_are_maps_with_gradients_that_nothing_overwrites(name: str) -> None:
    net, spec = tiny(name)
    assert spec.layers
    for layer in spec.layers:
        kept: list[Tensor] = []

        def keep(_: nn.Module, __: Any, output: Tensor, kept: list[Tensor] = kept) -> None:
            kept.extend([output, output.detach().clone()])

        hook = net.get_submodule(layer.name).register_forward_hook(keep)
        logits = net(batch(spec))
        hook.remove()
        output, copy = kept
        assert torch.equal(output, copy), "overwritten in place after the hook"
        places = layer.prefix + math.prod(layer.grid)
        if layer.layout == "NLC":
            assert output.shape[1] == places
        else:
            assert (layer.layout, tuple(output.shape[2:])) == ("NCHW", layer.grid)
        (gradient,) = torch.autograd.grad(logits[:, 1].sum(), output)
        patches = gradient[:, layer.prefix :] if layer.layout == "NLC" else gradient
        assert float(patches.abs().sum()) > 0


def its_modules_exist_and_only_the_output_depends_on_the_classes(name: str) -> None:
    build = MODELS.get(name).build
    with torch.device("meta"):
        six, spec = build(6, **shrunk(name))
        seven, _ = build(7, **shrunk(name))
    for attention in spec.attention:
        six.get_submodule(attention.name)
    assert spec.stages
    for part in (*spec.output_layers, *spec.stages):
        assert count(six.get_submodule(part)) > 0, part
    other = seven.state_dict()
    differ = {k for k, v in six.state_dict().items() if v.shape != other[k].shape}
    assert differ
    assert all(any(k.startswith(f"{part}.") for part in spec.output_layers) for k in differ)


def its_class_maps_average_to_the_logits(name: str) -> None:
    net, spec = tiny(name)
    if spec.class_map is None:
        return
    kept: list[Tensor] = []
    linear = net.get_submodule(spec.class_map.linear)
    assert isinstance(linear, nn.Linear)
    with torch.no_grad(), borrowed(net) as lent:
        lent.watch(spec.class_map.features, kept.append)
        logits = net(batch(spec))
        maps = torch.einsum("nchw,kc->nkhw", kept[0], linear.weight)
    assert tuple(maps.shape[2:]) == spec.class_map.grid
    torch.testing.assert_close(maps.mean(dim=(2, 3)) + linear.bias, logits, atol=1e-5, rtol=1e-4)


def its_attention_has_the_stated_tokens_and_rows_that_sum_to_one(name: str) -> None:
    """The traps: fused attention, and layers with and without the class token."""
    net, spec = tiny(name)
    for known in spec.attention:
        kept: list[Tensor] = []
        with torch.no_grad(), borrowed(net) as lent:
            module = net.get_submodule(known.name)
            if hasattr(module, "fused_attn"):
                lent.set(module, "fused_attn", False)
            lent.watch(f"{known.name}.attn_drop", kept.append)
            net(batch(spec))
        tokens = known.prefix + math.prod(known.grid)
        rows = 1 if known.kind == "cross" else tokens
        assert kept[0].shape == (2, known.num_heads, rows, tokens)
        ones = torch.ones(2, known.num_heads, rows)
        torch.testing.assert_close(kept[0].sum(dim=-1), ones)


CHECKS: tuple[Callable[[str], None], ...] = (
    it_has_a_small_variant,
    its_parameters_are_counted_to_the_unit,
    it_documents_itself_and_names_its_paper,
    a_pass_gives_logits_and_evaluation_repeats,
    gradients_reach_every_parameter_and_the_pixels,
    its_layers_are_maps_with_gradients_that_nothing_overwrites,
    its_modules_exist_and_only_the_output_depends_on_the_classes,
    its_class_maps_average_to_the_logits,
    its_attention_has_the_stated_tokens_and_rows_that_sum_to_one,
)
