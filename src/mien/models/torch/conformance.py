"""Checks that every registered network passes, also those of other distributions.

Each takes a network's name and raises AssertionError with what is wrong:

>>> from mien.models.torch.conformance import CHECKS
>>> [check.__name__ for check in CHECKS][:2]
['has_a_small_variant', 'parameters_are_counted']

They run on the small variant that the network was registered with.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import torch
from torch import Tensor, nn

from mien.models.torch.borrow import borrowed
from mien.models.torch.build import create, describe
from mien.models.torch.registry import MODELS, Builder, count, shrunk
from mien.models.torch.spec import Spec


def tiny(name: str, classes: int = 7) -> tuple[nn.Module, Spec]:
    """A small network of this kind, evaluating, and its spec."""
    net, spec = _made(name, classes, MODELS.get(name).build)
    return copy.deepcopy(net), spec


@lru_cache(maxsize=4)  # the checks of one network come one after another
def _made(name: str, classes: int, build: Builder) -> tuple[nn.Module, Spec]:
    del build  # of two networks that have had a name, each is made
    with torch.random.fork_rng(devices=[]):  # the caller's own numbers go on
        torch.manual_seed(0)
        net, spec = create(name, classes=classes, **shrunk(name))
    return net.eval(), spec


@lru_cache(maxsize=4)
def _whole(name: str, build: Builder) -> Spec:
    """The spec of the network in its full size."""
    del build
    return describe(name)


def batch(spec: Spec, n: int = 2) -> Tensor:
    """Normalised noise of the shape that the network takes."""
    how = spec.preprocess
    noise = torch.Generator().manual_seed(0)
    return torch.randn(n, how.channels, how.size, how.size, generator=noise)


def has_a_small_variant(name: str) -> None:
    """The registered options make the network smaller; the counts are the whole one's."""
    net, spec = tiny(name)
    entry = MODELS.get(name)
    assert entry.tiny, "register it with options that make it small: tiny={...}"
    assert count(net) < max(entry.counts.values()), "its small variant is not smaller"
    assert spec.name == name
    assert spec.counts == {}, "a changed network is not the one that the paper counted"


def parameters_are_counted(name: str) -> None:
    """By default it has the registered numbers of parameters, to the unit."""
    entry = MODELS.get(name)
    assert entry.counts, "register it with its numbers of parameters by classes"
    for classes, expected in entry.counts.items():
        with torch.device("meta"):
            net, _ = entry.build(classes)
        assert count(net) == expected, f"{count(net):,} parameters for {classes} classes"
    assert _whole(name, entry.build).counts == entry.counts


def is_documented(name: str) -> None:
    """The builder has a docstring, the spec names its paper."""
    entry = MODELS.get(name)
    build = entry.build
    assert getattr(build, "func", build).__doc__, "its builder has no docstring"
    assert _whole(name, entry.build).paper, "its spec names no paper"


def answers_and_repeats(name: str) -> None:
    """A pass gives finite logits; in evaluation, a second the same."""
    net, spec = tiny(name)
    pixels = batch(spec, 3)
    with torch.no_grad():
        first, second = net(pixels), net(pixels)
    assert first.shape == (3, 7), f"logits of shape {list(first.shape)}"
    assert bool(torch.isfinite(first).all()), "logits that are not finite"
    assert torch.equal(first, second), "two passes in evaluation differ"


def gradients_reach_everything(name: str) -> None:
    """In training, every parameter and the pixels get gradients."""
    net, spec = tiny(name)
    net.train()
    pixels = batch(spec, 4).requires_grad_()
    net(pixels).logsumexp(dim=1).sum().backward()
    gradients = {name: p.grad for name, p in net.named_parameters()}
    for key, gradient in gradients.items():
        assert gradient is not None, f"no gradient reaches {key}"
        assert bool(torch.isfinite(gradient).all()), f"the gradient of {key} is not finite"
    assert pixels.grad is not None
    assert float(pixels.grad.abs().sum()) > 0, "no gradient reaches the pixels"


def layers_are_maps(name: str) -> None:
    """Each layer gives a map that nothing overwrites, and on which the answer depends."""
    net, spec = tiny(name)
    assert spec.layers, "its spec names no layer to explain"
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
            assert output.shape[1] == places, f"{layer.name}: {output.shape[1]} tokens"
        else:
            assert (layer.layout, tuple(output.shape[2:])) == ("NCHW", layer.grid)
        (gradient,) = torch.autograd.grad(logits[:, 1].sum(), output)
        patches = gradient[:, layer.prefix :] if layer.layout == "NLC" else gradient
        assert float(patches.abs().sum()) > 0, f"{layer.name}: no gradient reaches its places"


def only_the_output_depends_on_the_classes(name: str) -> None:
    """The modules that the spec names exist; only its output layers depend on the classes."""
    build = MODELS.get(name).build
    with torch.device("meta"):
        six, spec = build(6, **shrunk(name))
        seven, _ = build(7, **shrunk(name))
    for attention in spec.attention:
        six.get_submodule(attention.name)
    assert spec.stages, "its spec names no stages"
    for part in (*spec.output_layers, *spec.stages):
        assert count(six.get_submodule(part)) > 0, part
    other = seven.state_dict()
    differ = {k for k, v in six.state_dict().items() if v.shape != other[k].shape}
    assert differ, "nothing depends on the number of classes"
    assert all(any(k.startswith(f"{part}.") for part in spec.output_layers) for k in differ)


def class_maps_average_to_the_logits(name: str) -> None:
    """Where class activation maps are stated, their mean and the bias are the logits."""
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


def attention_is_as_stated(name: str) -> None:
    """Attention has the stated heads and tokens, and rows that sum to 1."""
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


#: What every network goes through: each is called with its name.
CHECKS: Final[tuple[Callable[[str], None], ...]] = (
    has_a_small_variant,
    parameters_are_counted,
    is_documented,
    answers_and_repeats,
    gradients_reach_everything,
    layers_are_maps,
    only_the_output_depends_on_the_classes,
    class_maps_average_to_the_logits,
    attention_is_as_stated,
)
