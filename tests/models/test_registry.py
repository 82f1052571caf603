"""Checks that every registered model passes; a new one is tested as soon as it is registered."""

from __future__ import annotations

import doctest
import importlib
import inspect
import math
import pkgutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: make test does without it")
pytest.importorskip("timm", reason="timm is not installed: make test does without it")

import mien.models  # noqa: E402 - after the check for torch
from mien.models.torch import MODELS, Spec, count, create, describe, names  # noqa: E402
from mien.models.torch.spec import COUNTS  # noqa: E402
from mien.types import InputError, UnknownNameError  # noqa: E402
from tests.models.tiny import TINY  # noqa: E402

GRIDS = {  # layer to explain, rows and columns, tokens before them: at the published size
    "gimefive-10": [("stages.4.relu", 4, 0)],
    "gimefive-13": [("stages.3.relu", 8, 0)],
    "gimefive-15": [("stages.4.relu", 4, 0)],
    "gimefive-16": [("stages.4.relu", 4, 0)],
    "gimefive-17": [("stages.4.relu", 4, 0)],
    "gimefive-25": [("stages.3", 4, 0)],
    "gimefive-vgg": [("stages.2.relu", 16, 0)],
    "gimefive-resnet18": [("net.layer4", 4, 0)],
    "gimefive-resnet34": [("net.layer4", 4, 0)],
    "vgg-residual": [("features.29", 3, 0)],
    "vgg-residual-baseline": [("features.29", 3, 0)],
    "vit-b16": [("blocks.11.norm1", 14, 1)],
    "vit-small": [("blocks.5.norm1", 6, 1)],
    "vit-b16-mlp": [("blocks.11.norm1", 14, 1)],
    "convit-b": [("blocks.11.norm1", 14, 1)],
    "crossvit-b": [("blocks.2.blocks.0", 20, 1), ("blocks.2.blocks.1", 14, 1)],
    "r50-vit-b16": [("blocks.11.norm1", 14, 1)],
    "r50-vit-b16-384": [("blocks.11.norm1", 24, 1)],
    "resnet50d": [("layer4", 7, 0)],
    "vgg16": [("features.29", 14, 0)],
    "vgg19": [("features.35", 14, 0)],
    "resnet18": [("layer4", 7, 0)],
    "resnet50": [("layer4", 7, 0)],
    "vgg19-svm": [("features.36", 7, 0)],
    "resnet50-dense": [("layer4", 7, 0)],
    "compact": [("trunk.10", 6, 0)],
}

MAPPED = [
    "gimefive-resnet18", "gimefive-resnet34", "resnet50d", "resnet18", "resnet50", "vgg19-svm",
    "compact",
]  # fmt: skip
ATTENTIVE = [
    "vit-b16", "vit-b16-mlp", "vit-small", "convit-b", "crossvit-b", "r50-vit-b16",
    "r50-vit-b16-384",
]  # fmt: skip

every = pytest.mark.parametrize("name", names())


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """The same sums in the same order, and no fight over the cores."""
    torch.set_num_threads(1)
    torch.manual_seed(0)


def tiny(name: str, classes: int = 7) -> tuple[Any, Spec]:
    """A small network of this kind, evaluating, and its spec."""
    net, spec = create(name, classes=classes, **TINY[name])
    return net.eval(), spec


def batch(spec: Spec, n: int = 2) -> Any:
    """Normalised noise of the shape that the network takes."""
    how = spec.preprocess
    return torch.randn(n, how.channels, how.size, how.size)


def watched(net: Any, name: str, pixels: Any) -> tuple[Any, Any]:
    """Output of one module, as it was when the module returned it, and the logits."""
    kept: list[Any] = []
    hook = net.get_submodule(name).register_forward_hook(lambda *a: kept.append(a[2]))
    try:
        logits = net(pixels)
    finally:
        hook.remove()
    return kept[0], logits


def test_every_model_has_a_tiny_variant_and_a_stated_grid() -> None:
    assert set(TINY) == set(GRIDS) == set(names())


@every
@pytest.mark.parametrize("classes", [6, 7])
def test_parameters_are_counted_to_the_unit(name: str, classes: int) -> None:
    with torch.device("meta"):
        net, _ = MODELS.get(name)(classes)
    assert count(net) == COUNTS[name][classes]


@every
def test_the_full_size_gives_the_stated_grid(name: str) -> None:
    spec = describe(name, classes=6)
    assert [(x.name, x.grid, x.prefix) for x in spec.layers] == [
        (layer, (side, side), prefix) for layer, side, prefix in GRIDS[name]
    ]
    assert spec.counts == COUNTS[name]
    assert (spec.class_map is not None, spec.has_attention) == (name in MAPPED, name in ATTENTIVE)


@every
def test_a_pass_gives_logits_and_evaluation_repeats(name: str) -> None:
    net, spec = tiny(name)
    pixels = batch(spec, 3)
    with torch.no_grad():
        first, second = net(pixels), net(pixels)
    assert first.shape == (3, 7)
    assert bool(torch.isfinite(first).all())
    assert torch.equal(first, second)
    assert spec.name == name
    assert spec.counts == {}, "a changed network is not the one that the paper counted"


@every
def test_gradients_reach_every_parameter_and_the_pixels(name: str) -> None:
    net, spec = tiny(name)
    net.train()
    pixels = batch(spec, 4).requires_grad_()
    net(pixels).logsumexp(dim=1).sum().backward()
    assert [k for k, p in net.named_parameters() if p.grad is None] == []
    assert all(bool(torch.isfinite(p.grad).all()) for p in net.parameters())
    assert float(pixels.grad.abs().sum()) > 0


@every
def test_the_layers_to_explain_are_maps_with_gradients_that_nothing_overwrites(name: str) -> None:
    net, spec = tiny(name)
    assert spec.layers
    for layer in spec.layers:
        kept: list[Any] = []
        hook = net.get_submodule(layer.name).register_forward_hook(
            lambda *a, kept=kept: kept.extend([a[2], a[2].detach().clone()])
        )
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


@every
def test_heads_and_stages_exist_and_only_heads_depend_on_the_classes(name: str) -> None:
    with torch.device("meta"):
        six, spec = MODELS.get(name)(6, **TINY[name])
        seven, _ = MODELS.get(name)(7, **TINY[name])
    for part in (*spec.heads, *spec.stages, *(a.name for a in spec.attention)):
        six.get_submodule(part)
    assert spec.stages
    for part in (*spec.heads, *spec.stages):
        assert count(six.get_submodule(part)) > 0, part
    other = seven.state_dict()
    differ = {k for k, v in six.state_dict().items() if v.shape != other[k].shape}
    assert differ
    assert all(any(k.startswith(f"{head}.") for head in spec.heads) for k in differ)


@pytest.mark.parametrize("name", MAPPED)
def test_class_maps_average_to_the_logits(name: str) -> None:
    net, spec = tiny(name)
    known = spec.class_map
    assert known is not None
    with torch.no_grad():
        features, logits = watched(net, known.features, batch(spec))
        linear = net.get_submodule(known.linear)
        maps = torch.einsum("nchw,kc->nkhw", features, linear.weight)
        rebuilt = maps.mean(dim=(2, 3)) + linear.bias
    assert tuple(maps.shape[2:]) == known.grid
    torch.testing.assert_close(rebuilt, logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ATTENTIVE)
def test_attention_has_the_stated_tokens_and_rows_that_sum_to_one(name: str) -> None:
    """The traps: fused attention, and layers with and without the class token."""
    net, spec = tiny(name)
    for known in spec.attention:
        module = net.get_submodule(known.name)
        if hasattr(module, "fused_attn"):
            module.fused_attn = False
        kept: list[Any] = []
        hook = module.attn_drop.register_forward_hook(lambda *a, kept=kept: kept.append(a[2]))
        with torch.no_grad():
            net(batch(spec))
        hook.remove()
        tokens = known.prefix + math.prod(known.grid)
        rows = 1 if known.kind == "cross" else tokens
        assert kept[0].shape == (2, known.heads, rows, tokens)
        torch.testing.assert_close(kept[0].sum(dim=-1), torch.ones(2, known.heads, rows))


def test_what_the_spec_says_of_attention() -> None:
    assert describe("vit-b16").rollout
    convit = describe("convit-b")
    assert convit.rollout
    assert [a.prefix for a in convit.attention] == [0] * 10 + [1] * 2
    assert [a.kind for a in convit.attention] == ["gated"] * 10 + ["self"] * 2
    crossvit = describe("crossvit-b")
    assert not crossvit.rollout
    assert {a.grid for a in crossvit.attention} == {(20, 20), (14, 14)}
    plain = describe("gimefive-15")
    assert (plain.has_attention, plain.rollout, plain.patch_grid) == (False, False, None)


@pytest.mark.parametrize(
    ("network", "layers", "attention"),
    [
        ("swin_tiny_patch4_window7_224", [("layers.3", "NHWC", 0, (7, 7))], 0),
        ("deit_tiny_distilled_patch16_224", [("blocks.11.norm1", "NLC", 2, (14, 14))], 12),
        ("vit_small_patch14_reg4_dinov2", [("blocks.11.norm1", "NLC", 5, (37, 37))], 12),
        ("convnext_atto", [("stages.3", "NCHW", 0, (7, 7))], 0),
        ("mixer_s32_224", [], 0),
    ],
)
def test_any_other_network_of_timm_is_measured(
    network: str, layers: list[Any], attention: int
) -> None:
    spec = describe(f"timm:{network}")
    assert [(x.name, x.layout, x.prefix, x.grid) for x in spec.layers] == layers
    assert len(spec.attention) == attention
    assert layers or "no CAM method" in spec.notes[-1]


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean 'gimefive-15'.*timm:NAME"):
        create("gimefive15", classes=7)
    with pytest.raises(UnknownNameError, match="did you mean 'resnet101'"):
        create("timm:resnet1011", classes=7)
    with pytest.raises(UnknownNameError, match="option of 'vit-b16' 'dropuot'; did you mean"):
        create("vit-b16", classes=7, dropuot=0.1)
    with pytest.raises(UnknownNameError, match="unknown pooling 'maxx'; did you mean 'max'"):
        create("gimefive-15", classes=7, pooling="maxx")


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("vit-b16", {"dropout": "high"}, "expected float for the option 'dropout'"),
        ("vit-b16", {"depth": True}, "expected int for the option 'depth'"),
        ("gimefive-15", {"linear": 4}, "expected 1, 2 or 3 linear layers, got 4"),
        ("gimefive-15", {"size": 16}, "expected a size of 32 pixels or more, got 16"),
        ("vgg-residual", {"size": 16}, "expected a size of 32 pixels"),
        ("vgg-residual", {"shortcuts": (5,)}, "expected shortcuts among 1, 2, 3, 4"),
        ("crossvit-b", {"size": 224}, "expected a multiple of 120 pixels, got 224"),
        ("vgg19-svm", {"group": 6}, r"expected a group of 1\.\.5"),
    ],
)
def test_wrong_options_are_named(name: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        describe(name, **options)


def test_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="expected 2 classes or more, got 1"):
        create("gimefive-13", classes=1)


def test_lists_from_a_recipe_are_taken_as_tuples() -> None:
    spec = describe("gimefive-15", channels=[8, 8], linear=1)
    assert spec.class_map is not None
    assert spec.class_map.grid == (16, 16)


def test_every_builder_documents_itself_and_every_spec_names_its_paper() -> None:
    for name in names():
        build = MODELS.get(name)
        assert inspect.getdoc(getattr(build, "func", build)), name
        with torch.device("meta"):
            assert build(7)[1].paper, name


def test_the_examples_in_the_documentation_run() -> None:
    for module in pkgutil.iter_modules(mien.models.__path__, "mien.models."):
        assert doctest.testmod(importlib.import_module(module.name)).failed == 0
    assert doctest.testmod(mien.models).failed == 0


def test_without_torch_one_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['torch'] = None; import mien.models"
    source = Path(mien.models.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PYTHONPATH": str(source)},
    )
    assert done.returncode != 0
    assert "expected torch, which is not installed; pip install 'mien[train]'" in done.stderr


@pytest.mark.parametrize(
    ("depth", "name"), [(4, "gimefive-13"), (5, "gimefive-15"), (6, "gimefive-17")]
)
def test_a_depth_of_gimefives_search_is_one_of_its_networks(depth: int, name: str) -> None:
    with torch.device("meta"):
        (deep, _), (known, _) = (
            MODELS.get("gimefive-15")(6, depth=depth),
            MODELS.get(name)(6),
        )
    assert count(deep) == count(known) == COUNTS[name][6]
    for wrong in (-1, 9):
        with pytest.raises(InputError, match="depth"):
            MODELS.get("gimefive-15")(6, depth=wrong)


@pytest.mark.parametrize("linear", [1, 2, 3])
@pytest.mark.parametrize("norm", [True, False])
def test_every_corner_of_gimefives_search_is_a_network(linear: int, norm: bool) -> None:
    for pooling in ("max", "average"):
        spec = describe(
            "gimefive-15", classes=6, depth=6, linear=linear, norm=norm, pooling=pooling
        )
        assert spec.layers[0].grid == (4, 4)
        assert (spec.class_map is not None) is (linear == 1)
