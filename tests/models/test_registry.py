"""Checks that every registered model passes; a new one is tested as soon as it is registered."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: make test does without it")
pytest.importorskip("timm", reason="timm is not installed: make test does without it")

import mien.models  # noqa: E402 - after the check for torch
from mien.models.torch import MODELS, count, create, describe, names  # noqa: E402
from mien.models.torch.conformance import CHECKS, batch, tiny  # noqa: E402
from mien.types import InputError, UnknownNameError  # noqa: E402
from tests.conftest import ROOT  # noqa: E402
from tests.plugins import plug  # noqa: E402

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


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """The same sums in the same order, and no fight over the cores."""
    torch.set_num_threads(1)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", names())
def test_every_network_holds(name: str, check: Any) -> None:
    check(name)


@pytest.mark.parametrize("name", GRIDS)
def test_the_full_size_gives_the_published_grid(name: str) -> None:
    spec = describe(name, classes=6)
    assert [(x.name, x.grid, x.prefix) for x in spec.layers] == [
        (layer, (side, side), prefix) for layer, side, prefix in GRIDS[name]
    ]
    assert (spec.class_map is not None, spec.has_attention) == (name in MAPPED, name in ATTENTIVE)


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The page's example in a distribution beside Mien, named by an entry point."""
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    plugin = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)[-1]
    plug(tmp_path, monkeypatch, MODELS, plugin)
    return "one-layer"


def test_a_network_of_another_distribution_takes_one_file(plugged: str) -> None:
    assert plugged in names()
    for check in CHECKS:
        check(plugged)


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
    with pytest.raises(UnknownNameError, match="option 'dropuot' of 'vit-b16'; did you mean"):
        create("vit-b16", classes=7, dropuot=0.1)
    with pytest.raises(UnknownNameError, match="unknown pooling 'maxx'; did you mean 'max'"):
        create("gimefive-15", classes=7, pooling="maxx")


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("vit-b16", {"dropout": "high"}, "expected a number for the option 'dropout'"),
        ("vit-b16", {"depth": True}, "expected a whole number for the option 'depth'"),
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


def test_deep_networks_without_normalisation_see_images_before_training() -> None:
    """What images differ in is not drowned by the biases: by torch's own start it is 1e-3."""
    for name in ("vgg-residual", "vgg-residual-baseline", "vgg16", "vgg19", "vgg19-svm"):
        net, spec = tiny(name)
        with torch.no_grad():
            logits = net(batch(spec, 8))
        assert logits.std(dim=0).mean() > 0.02 * logits.abs().mean(), name


def test_one_class_is_refused() -> None:
    with pytest.raises(InputError, match="expected 2 classes or more, got 1"):
        create("gimefive-13", classes=1)


def test_lists_from_a_recipe_are_taken_as_tuples() -> None:
    spec = describe("gimefive-15", channels=[8, 8], linear=1)
    assert spec.class_map is not None
    assert spec.class_map.grid == (16, 16)


def test_without_torch_one_line_says_what_to_install() -> None:
    code = "import sys; sys.modules['torch'] = None; from mien.models import create"
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
    assert "a network in torch needs the package 'torch', which" in done.stderr


@pytest.mark.parametrize(
    ("depth", "name"), [(4, "gimefive-13"), (5, "gimefive-15"), (6, "gimefive-17")]
)
def test_a_depth_of_gimefives_search_is_one_of_its_networks(depth: int, name: str) -> None:
    with torch.device("meta"):
        (deep, _), (known, _) = (
            MODELS.get("gimefive-15").build(6, depth=depth),
            MODELS.get(name).build(6),
        )
    assert count(deep) == count(known) == MODELS.get(name).counts[6]
    for wrong in (-1, 9):
        with pytest.raises(InputError, match="depth"):
            MODELS.get("gimefive-15").build(6, depth=wrong)


@pytest.mark.parametrize("linear", [1, 2, 3])
@pytest.mark.parametrize("norm", [True, False])
def test_every_corner_of_gimefives_search_is_a_network(linear: int, norm: bool) -> None:
    for pooling in ("max", "average"):
        spec = describe(
            "gimefive-15", classes=6, depth=6, linear=linear, norm=norm, pooling=pooling
        )
        assert spec.layers[0].grid == (4, 4)
        assert (spec.class_map is not None) is (linear == 1)
