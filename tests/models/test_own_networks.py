"""Networks that users bring, in other precisions, shapes and forms: they work, or say why not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: make test does without it")
timm = pytest.importorskip("timm", reason="timm is not installed: make test does without it")

from torch import Tensor, nn  # noqa: E402 - after the check for torch

from mien.emotions import SEVEN  # noqa: E402
from mien.models.torch import probe  # noqa: E402
from mien.models.torch.model import TorchModel  # noqa: E402
from mien.models.torch.networks.backbone import timm_spec  # noqa: E402
from mien.models.torch.own import own_spec  # noqa: E402
from mien.types import FloatArray, InputError, ModelError  # noqa: E402
from mien.vision.geometry import Preprocess  # noqa: E402

HOW = Preprocess(size=64, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)
HAPPY = np.asarray(np.eye(7)[3])


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def resnet(**how: Any) -> nn.Module:
    how = {"layers": (1, 1, 1, 1), "channels": (8, 16, 16, 16), "num_classes": 7, **how}
    net: nn.Module = timm.create_model("resnet18", **how)
    return net


def vit(name: str = "vit_tiny_patch16_224", **how: Any) -> nn.Module:
    how = {"embed_dim": 24, "depth": 2, "num_heads": 2, "img_size": 64, "num_classes": 7, **how}
    net: nn.Module = timm.create_model(name, **how)
    return net


def wrapped(net: nn.Module, size: int = 0) -> TorchModel:
    return TorchModel(net, timm_spec(net, 7, size=size), SEVEN)


def noise(model: TorchModel, n: int = 2) -> FloatArray:
    how = model.card.preprocess
    shape = (n, how.channels, how.size, how.size)
    return np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)


def gradients_reach(model: TorchModel) -> bool:
    """Whether every layer of the spec is a map on which the answer depends."""
    names = [layer.name for layer in model.spec.layers]
    found, _ = probe.activations(model, noise(model)[0], HAPPY, names)
    return bool(names) and all(one.gradients.any() for one in found)


def checkpointed(net: nn.Module) -> nn.Module:
    anyone: Any = net
    anyone.set_grad_checkpointing()
    return net


def quantised(net: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch moves its quantisation to another package
        found: nn.Module = torch.ao.quantization.quantize_dynamic(
            net.eval(), {nn.Linear}, torch.qint8
        )
        return found


class Answering(nn.Module):
    """A network that gives its logits in another form."""

    def __init__(self, form: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.net: Any = resnet()
        self.form = form

    def forward(self, x: Tensor) -> Any:
        features = self.net.forward_features(x)
        return self.form(self.net.forward_head(features), features)


class WithLogits:
    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


@pytest.mark.parametrize(
    ("change", "close"),
    [(nn.Module.half, 2e-2), (nn.Module.bfloat16, 1e-1), (nn.Module.double, 1e-5)],
)
@pytest.mark.parametrize("build", [resnet, vit])
def test_another_precision_gives_the_same_answers_and_maps(
    build: Callable[[], nn.Module], change: Callable[[nn.Module], nn.Module], close: float
) -> None:
    torch.manual_seed(0)
    plain = wrapped(build(), 64)
    torch.manual_seed(0)
    other = wrapped(change(build()), 64)
    expected = plain.logits(noise(plain))
    np.testing.assert_allclose(other.logits(noise(plain)), expected, atol=close)
    assert gradients_reach(other)
    assert (other.spec.class_map is None) == (plain.spec.class_map is None)


def test_channels_and_size_are_the_networks() -> None:
    grey = wrapped(resnet(in_chans=1), 64)
    assert (grey.spec.preprocess.channels, len(grey.spec.preprocess.mean)) == (1, 1)
    assert grey.spec.preprocess.mean[0] == pytest.approx(np.mean([0.485, 0.456, 0.406]))
    assert gradients_reach(grey)
    small = wrapped(vit(img_size=112))
    assert small.spec.preprocess.size == 112
    assert small.spec.layers[0].grid == (7, 7)
    with pytest.raises(ModelError, match=r"1 channel \(grey\) or 3 \(RGB\), got 4"):
        wrapped(resnet(in_chans=4))
    with pytest.raises(ModelError, match="expected square pictures"):
        wrapped(vit(img_size=(64, 32)))
    with pytest.raises(ModelError, match=r"fails on pixels of shape \[1, 3, 96, 96\]"):
        wrapped(vit(), 96)


@pytest.mark.parametrize(
    "form",
    [
        lambda logits, _: {"logits": logits, "loss": None},
        lambda logits, features: {"features": features, "scores": logits},
        lambda logits, features: (logits, features),
        lambda logits, _: [logits],
        lambda logits, _: WithLogits(logits),
    ],
    ids=["logits of a dict", "the tensor that fits", "tuple", "list", "object"],
)
def test_logits_are_found_in_dicts_tuples_and_objects(form: Any) -> None:
    net = Answering(form)
    model = TorchModel(net, own_spec(net, 7, HOW), SEVEN)
    net.eval()
    with torch.no_grad():
        values = torch.from_numpy(HOW.normalise(noise(model)))
        expected = net.net(values).numpy()
    np.testing.assert_allclose(model.logits(noise(model)), expected, atol=1e-5)
    assert gradients_reach(model)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (lambda logits, _: (logits, logits), r"got a tuple of \[1, 7\], \[1, 7\]"),
        (lambda logits, _: {"a": logits, "b": logits}, r"got a dict of a \[1, 7\], b \[1, 7\]"),
        (lambda logits, _: logits[:, :5], r"expected logits of shape \[1, 7\], got \[1, 5\]"),
        (lambda logits, _: logits.argmax(dim=1), r"got \[1\]"),
        (lambda logits, _: (logits * 9).long(), "floating-point numbers, got torch.int64"),
        (lambda *_: None, "got NoneType"),
        (lambda logits, _: logits * torch.nan, "not finite"),
        (lambda *_: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_no_answer_is_named(form: Any, told: str) -> None:
    net = Answering(form)
    with pytest.raises(ModelError, match=told) as caught:
        TorchModel(net, own_spec(net, 7, HOW), SEVEN)
    assert "\n" not in str(caught.value)


def test_a_failure_after_construction_is_named_too() -> None:
    net: Any = resnet()
    model = wrapped(net, 64)
    with torch.no_grad():
        net.fc.bias[2] = torch.nan
    with pytest.raises(ModelError, match=r"ResNet: .*not finite"):
        model.logits(noise(model))
    net.fc = nn.Linear(3, 7)
    with pytest.raises(ModelError, match=r"fails on pixels of shape \[2, 3, 64, 64\]"):
        model.logits(noise(model))


@pytest.mark.filterwarnings("ignore:quantized..linear_dynamic")  # of torch, on gradients
def test_int8_linear_layers_answer_and_say_that_they_have_no_gradient() -> None:
    net = resnet().eval()
    plain, model = wrapped(net, 64), wrapped(quantised(net), 64)
    np.testing.assert_allclose(model.logits(noise(model)), plain.logits(noise(plain)), atol=0.1)
    assert model.spec.class_map is None
    with pytest.raises(ModelError, match=r"its answer has no gradient.*'regions'"):
        gradients_reach(model)
    one, other = noise(model)
    with pytest.raises(ModelError, match="its answer has no gradient"):
        probe.integrated(model, one, other, HAPPY, 2, lambda: None)
    found, _ = probe.activations(model, noise(model)[0], HAPPY, ["layer4"], gradients=False)
    assert found[0].values.any()
    again: Any = resnet().eval()
    assert wrapped(quantised(again), 64).sha256 != model.sha256
    assert wrapped(quantised(net), 64).sha256 == model.sha256


def test_checkpointing_compiling_and_freezing_change_nothing() -> None:
    net = resnet().eval()
    expected = wrapped(net, 64).logits(noise(wrapped(net, 64)))
    compiled: Any = torch.compile(net, backend="eager")
    for one in (compiled, checkpointed(net), net.requires_grad_(requires_grad=False)):
        model = wrapped(one, 64)
        np.testing.assert_allclose(model.logits(noise(model)), expected, atol=1e-5)
        assert gradients_reach(model)
        assert model.spec.class_map is not None
    assert net.get_submodule("layer1")
    transformer = wrapped(checkpointed(vit()))
    weights, _ = probe.attention(transformer, noise(transformer)[0], HAPPY)
    assert all(one.gradients.any() for one in weights)


def test_a_network_that_forbids_gradients_says_so() -> None:
    class Forbidding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = resnet()

        def forward(self, x: Tensor) -> Any:
            with torch.no_grad():
                return self.net(x)

    net = Forbidding()
    model = TorchModel(net, own_spec(net, 7, HOW), SEVEN)
    with pytest.raises(ModelError, match="has no gradient"):
        gradients_reach(model)


def test_a_network_not_of_timm_is_measured() -> None:
    torchvision = pytest.importorskip("torchvision")
    net = torchvision.models.resnet18(num_classes=7)
    with pytest.raises(ModelError, match=r"torchvision\.models\.resnet\.ResNet; take .*own_spec"):
        timm_spec(net, 7)
    model = TorchModel(net, own_spec(net, 7, HOW), SEVEN)
    assert (model.spec.layers[0].name, model.spec.layers[0].grid) == ("layer4", (2, 2))
    assert model.spec.class_map is not None
    assert model.spec.output_layers == ("fc",)
    assert gradients_reach(model)
    output = model.run(noise(model), cam=True)
    assert output.cam is not None
    rebuilt = output.cam.mean(axis=(2, 3)) + np.array(model.head.bias)
    np.testing.assert_allclose(rebuilt, output.logits, atol=1e-4)
    tokens = torchvision.models.VisionTransformer(64, 16, 2, 2, 24, 48, num_classes=7)
    assert TorchModel(tokens, own_spec(tokens, 7, HOW), SEVEN).spec.layers == ()


def parallel(kind: str) -> nn.Module:
    from timm.models import vision_transformer

    return vit(block_fn=getattr(vision_transformer, kind))


SMALL: dict[str, Any] = {"img_size": 64, "num_classes": 7}
TWINS: dict[str, Any] = {
    **SMALL,
    "embed_dims": (8,) * 4,
    "num_heads": (1,) * 4,
    "depths": (1, 1, 1, 2),
}
FAMILIES: dict[str, tuple[Callable[[], nn.Module], str, str, int, int, int]] = {
    # how it is built, its layer, how that reads, tokens before the patches, cells, attention
    "BEiT": (lambda: vit("beit_base_patch16_224"), "blocks.1.norm1", "NLC", 1, 4, 2),
    "Hiera": (
        lambda: timm.create_model(
            "hiera_tiny_224", embed_dim=8, stages=(1, 1, 2, 1), img_size=(64, 64), num_classes=7
        ),
        "blocks.4", "NLC", 0, 2, 0,
    ),
    "Twins-SVT": (
        lambda: timm.create_model("twins_svt_small", **TWINS), "blocks.3.1", "NLC", 0, 2, 0
    ),
    "Twins-PCPVT": (
        lambda: timm.create_model("twins_pcpvt_small", **TWINS), "blocks.3.1", "NLC", 0, 2, 0
    ),
    "HRNet": (
        lambda: timm.create_model("hrnet_w18_small", num_classes=7), "final_layer", "NCHW", 0, 2, 0
    ),
    "parallel, one norm": (
        lambda: parallel("ParallelScalingBlock"), "blocks.1.in_norm", "NLC", 1, 4, 2
    ),
    "parallel, several": (lambda: parallel("ParallelThingsBlock"), "blocks.0", "NLC", 1, 4, 0),
    "norm after": (lambda: parallel("ResPostBlock"), "blocks.0", "NLC", 1, 4, 2),
    "patches averaged": (
        lambda: vit(class_token=False, global_pool="avg"), "blocks.1.norm1", "NLC", 0, 4, 2
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_families_of_timm_have_a_layer_with_gradients(family: str) -> None:
    build, name, layout, prefix, side, attention = FAMILIES[family]
    net = build()
    for module in net.modules():  # some heads start as zeros, which no gradient passes
        if isinstance(module, nn.Linear) and module.out_features == 7:
            nn.init.normal_(module.weight)
    model = wrapped(net, 64)
    (layer,) = model.spec.layers
    assert (layer.name, layer.layout, layer.prefix, layer.grid) == (
        (name, layout, prefix, (side, side))
    )
    assert gradients_reach(model)
    assert len(model.spec.attention) == attention
    if attention:
        weights, _ = probe.attention(model, noise(model)[0], HAPPY)
        assert all(np.allclose(one.values.sum(axis=2), 1, atol=1e-5) for one in weights)
        assert weights[-1].gradients.any()


def test_hieras_last_tokens_lie_row_by_row() -> None:
    """Its tokens are unrolled on the way; each of the last depends most on its own quarter."""
    model = wrapped(FAMILIES["Hiera"][0](), 64)
    kept: list[Tensor] = []
    model.net.get_submodule("blocks.4").register_forward_hook(lambda *a: kept.append(a[2]))
    pixels = torch.randn(1, 3, 64, 64, requires_grad=True)
    model.net.eval()(pixels)
    for token in range(4):
        (gradient,) = torch.autograd.grad(kept[0][0, token].sum(), pixels, retain_graph=True)
        quarters = gradient.abs().sum(dim=(0, 1)).reshape(2, 32, 2, 32).sum(dim=(1, 3))
        assert int(quarters.flatten().argmax()) == token


def test_a_spec_that_names_other_modules_is_refused() -> None:
    other = timm_spec(vit(), 7)
    with pytest.raises(ModelError, match=r"the spec names 'blocks\.0\.attn', .*does not have"):
        TorchModel(resnet(), other, SEVEN)


def test_hints_name_other_layers_than_the_one_that_fails() -> None:
    net: Any = resnet()
    nn.init.zeros_(net.fc.weight)
    model = wrapped(net, 64)
    found, _ = probe.activations(model, noise(model)[0], HAPPY, ["layer4"])
    assert not found[0].gradients.any()
    text = str(probe.no_gradient(model, "layer4"))
    assert "take 'layer1' or 'layer2' or 'layer3'" in text
    bare = TorchModel(nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 7)), bare_spec(), SEVEN)
    with pytest.raises(InputError, match="no map of rows and columns; take a method that only"):
        probe.activations(bare, noise(bare)[0], HAPPY, ["1"])
    with pytest.raises(ValueError, match="unknown layer 'x'; take a method that only asks"):
        probe.check_layer(bare, "x")


def bare_spec() -> Any:
    from mien.models.torch import Spec

    return Spec("flat", 7, "", HOW, layers=(), output_layers=("1",))
