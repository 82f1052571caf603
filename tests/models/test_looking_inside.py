"""Every registered explainer on small networks that it supports, and what is special to each."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: make test does without it")
pytest.importorskip("timm", reason="timm is not installed: make test does without it")
pytest.importorskip("captum", reason="captum is not installed: make test does without it")

import mien  # noqa: E402 - after the check for torch
from mien.explainers import Query, explain, names, supported  # noqa: E402
from mien.explainers import method as registering  # noqa: E402
from mien.explainers.attention import (  # noqa: E402
    branches_of,
    readout,
    relevance_matrix,
    rollout_matrix,
    step_of,
)
from mien.explainers.conformance import CHECKS, Sitting  # noqa: E402
from mien.explainers.gradient_cam import (  # noqa: E402
    gradcam_map,
    gradcam_plus_map,
    layercam_map,
)
from mien.explainers.grids import cells, needs_torch, spread  # noqa: E402
from mien.explainers.method import METHODS, Case, read_query  # noqa: E402
from mien.models.onnx import Model  # noqa: E402
from mien.models.torch import create, probe  # noqa: E402
from mien.models.torch.model import TorchModel  # noqa: E402
from mien.models.torch.networks.backbone import timm_spec  # noqa: E402
from mien.models.weights import locate  # noqa: E402
from mien.types import (  # noqa: E402
    FloatArray,
    ImageArray,
    InputError,
    MienError,
    ModelError,
    Prediction,
    UnknownNameError,
)
from tests.explaining import changed, crop_of  # noqa: E402
from tests.models.runs import tiny_model  # noqa: E402

NETS = ("gimefive-15", "resnet18", "vit-b16", "convit-b", "crossvit-b")
#: Methods that look inside; those that only ask for answers are tested on the built-in file.
INSIDE = [name for name in names() if METHODS.get(name).needs(Model(locate("mien")))]
CURVED = {"gradcam++", "layercam", "gradrollout"}  # a difference of two targets is another map
MODELS = {name: tiny_model(name) for name in NETS}
WHERE = {
    method: [net for net in NETS if method in supported(MODELS[net])] for method in (*INSIDE, "cam")
}
#: The first and the last network that each method supports: the plainest and the most involved.
PAIRS = [(net, m) for m, nets in WHERE.items() for net in dict.fromkeys((nets[0], nets[-1]))]
each = pytest.mark.parametrize(("net", "method"), PAIRS)
SITTINGS: dict[str, Sitting] = {}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """The same sums in the same order."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def ask(face_crop: ImageArray) -> Callable[..., mien.Explanation]:
    """Explain the portrait's crop, or another, by one of the networks."""
    kept = {name: mien.load(model, detector="none") for name, model in MODELS.items()}

    def explain(net: str, method: str, image: ImageArray = face_crop, **how: Any) -> Any:
        return kept[net].explain(image, method=method, **how)[0]

    return explain


def towards(number: int) -> FloatArray:
    """The direction of one logit of seven."""
    return np.asarray(np.eye(7)[number])


def tensor_of(model: TorchModel, image: ImageArray) -> Any:
    values = model.card.preprocess.normalise(model.pixels(image)[None])
    return torch.from_numpy(values)


def test_every_method_that_looks_inside_is_tested_on_some_network() -> None:
    assert (
        {
            "gradcam",
            "gradcam++",
            "layercam",
            "activations",
            "attention",
            "rollout",
            "gradrollout",
            "ig",
        }
        <= set(INSIDE)
        == {m for _, m in PAIRS} - {"cam"}
    )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@each
def test_every_method_holds(
    net: str, method: str, check: Callable[[str, Sitting], None], face_crop: ImageArray
) -> None:
    if net not in SITTINGS:
        recognizer = mien.load(MODELS[net], detector="none")
        crop = recognizer.crops(face_crop)[0]
        answer = recognizer.answers("portrait", [crop])[0]
        SITTINGS[net] = Sitting(MODELS[net], crop, answer)
    check(method, SITTINGS[net])


@each
def test_a_contrast_is_a_difference_where_the_method_is_linear(
    net: str, method: str, ask: Callable[..., mien.Explanation]
) -> None:
    if not ask(net, method).about_target:
        with pytest.raises(InputError, match="the same map for every expression"):
            ask(net, method, target="happy", against="sad")
        first, second = (ask(net, method, target=t).values for t in ("happy", "sad"))
        np.testing.assert_allclose(first, second, atol=1e-12)
        return
    both = ask(net, method, target="happy", against="sad")
    happy, sad = (ask(net, method, target=t) for t in ("happy", "sad"))
    assert both.value == pytest.approx(happy.value - sad.value, abs=1e-5)
    if method not in CURVED:
        np.testing.assert_allclose(both.values, happy.values - sad.values, atol=1e-6)


@each
def test_a_blank_crop_is_explained_or_refused_in_words(
    net: str, method: str, ask: Callable[..., mien.Explanation]
) -> None:
    blank = np.full((64, 64, 3), 128, np.uint8)
    assert np.isfinite(ask(net, method, blank).values).all()


@pytest.mark.parametrize("method", WHERE)
def test_the_picture_and_the_sentence_say_what_the_values_are(
    method: str, ask: Callable[..., mien.Explanation]
) -> None:
    e = ask(WHERE[method][0], method)
    picture = e.picture()
    assert picture.shape[1] >= 1000
    assert len(np.unique(picture @ np.array([1, 256, 65536]))) > 100
    assert e.about_target or "the same for any expression" in e.sentence
    assert e.signed or e.what in e.sentence
    if e.maps is not None:
        plain = changed(e, maps=None)
        assert picture.shape[0] > plain.picture().shape[0] + 40


@pytest.mark.parametrize(("net", "method"), PAIRS)
@pytest.mark.parametrize("broken", [False, True])
def test_the_network_is_left_as_it_was_found(
    net: str, method: str, broken: bool, face_crop: ImageArray
) -> None:
    """Mode of every module, hooks, gradients, what is trained, fused attention; also on failure."""
    whole: Any = copy.deepcopy(MODELS[net].net)
    model = TorchModel(whole, MODELS[net].spec, MODELS[net].labels)
    whole.train()
    for i, module in enumerate(whole.modules()):
        module.training = i % 2 == 0
        if hasattr(module, "fused_attn"):
            module.fused_attn = True
    for i, parameter in enumerate(whole.parameters()):
        parameter.requires_grad = i % 3 == 0
    next(whole.parameters()).grad = marker = torch.ones_like(next(whole.parameters()))
    before = state(whole)
    with torch.no_grad():  # as a user's own code may have it around the call
        if broken:
            failing = fail_late(whole)
            with pytest.raises(ModelError, match="ZeroDivisionError"):
                explain_inside(model, face_crop, method)
            failing.remove()
        else:
            explain_inside(model, face_crop, method)
    assert state(whole) == before
    assert next(whole.parameters()).grad is marker
    assert torch.equal(marker, torch.ones_like(marker))


def state(net: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, module in net.named_modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        fused = getattr(module, "fused_attn", None)
        found[name] = (module.training, tuple(len(h) for h in hooks), fused)
    for name, value in net.named_parameters():
        found[f"{name}?"] = (value.requires_grad, value.grad is None)
    for name, value in net.state_dict().items():
        found[f"{name}="] = float(value.sum())
    return found


def fail_late(net: Any) -> Any:
    """Let the last module fail, after all others have run."""
    last = [m for m in net.modules() if isinstance(m, torch.nn.Linear)][-1]
    return last.register_forward_hook(lambda *_: 1 / 0)


def explain_inside(model: TorchModel, crop: ImageArray, method: str) -> None:
    """The method alone, without the pass that gives the answer."""
    pixels = model.pixels(crop)
    regions = np.zeros(pixels.shape[1:], dtype=int)
    METHODS.get(method).run(Case(model, pixels, regions, towards(0), "mean"))


# Grad-CAM and its kin


@pytest.mark.parametrize("net", ["gimefive-15", "resnet18"])
def test_grad_cam_is_captums(net: str, face_crop: ImageArray) -> None:
    from captum.attr import LayerGradCam

    model = tiny_model(net)
    name = model.spec.layers[0].name
    (seen,), _ = probe.activations(model, model.pixels(face_crop), towards(3), [name])
    ours = gradcam_map(seen.values, seen.gradients)
    other = LayerGradCam(model.net, model.net.get_submodule(name))
    theirs = other.attribute(tensor_of(model, face_crop), target=3)[0, 0].detach().numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * max(1.0, np.abs(theirs).max()))


def test_grad_cam_of_a_transformer_is_captums_on_its_patches(face_crop: ImageArray) -> None:
    """Captum weights channels by the mean over the second axis on: patches are put there."""
    from captum.attr import LayerGradCam

    model = tiny_model("vit-b16")
    layer = model.spec.layers[0]
    (seen,), _ = probe.activations(model, model.pixels(face_crop), towards(3), [layer.name])
    inside = model.net.get_submodule(layer.name)
    tokens = torch.tensor(seen.values.reshape(len(seen.values), -1).T, dtype=torch.float32)

    class FromPatches(torch.nn.Module):  # type: ignore[misc, name-defined]  # torch is Any here
        """From a map of patches [N, C, rows, columns] to the logits."""

        def __init__(self) -> None:
            super().__init__()
            self.place = torch.nn.Identity()

        def forward(self, grid: Any) -> Any:
            grid = self.place(grid)

            def put(_: Any, __: Any, output: Any) -> Any:
                patches = grid.flatten(2).transpose(1, 2)
                return torch.cat([output[:, : layer.prefix].detach(), patches], dim=1)

            hook = inside.register_forward_hook(put)
            try:
                return model.net(tensor_of(model, face_crop))
            finally:
                hook.remove()

    rest = FromPatches()
    grid = tokens.T.reshape(1, -1, *layer.grid)
    theirs = LayerGradCam(rest, rest.place).attribute(grid, target=3)[0, 0].detach().numpy()
    ours = gradcam_map(seen.values, seen.gradients)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("net", ["gimefive-15", "resnet18"])
@pytest.mark.parametrize("name", ["GradCAM", "LayerCAM"])
def test_the_maps_are_torchcams_after_its_relu_and_scaling(
    net: str, name: str, face_crop: ImageArray
) -> None:
    methods = pytest.importorskip("torchcam.methods")
    combine = {"GradCAM": gradcam_map, "LayerCAM": layercam_map}
    model = tiny_model(net)
    layer = model.spec.layers[0].name
    (seen,), _ = probe.activations(model, model.pixels(face_crop), towards(3), [layer])
    ours = np.maximum(combine[name](seen.values, seen.gradients), 0)
    assert ours.max() > 0
    scaled = (ours - ours.min()) / (ours.max() - ours.min() + 1e-8)  # its guard against 0
    size = model.card.preprocess.size
    with getattr(methods, name)(model.net, layer, input_shape=(3, size, size)) as extractor:
        scores = model.net(tensor_of(model, face_crop).requires_grad_())
        theirs = extractor(3, scores)[0][0].detach().numpy()
    np.testing.assert_allclose(scaled, theirs, atol=1e-5)


def test_grad_cam_plus_is_the_papers_with_true_second_and_third_derivatives(
    face_crop: ImageArray,
) -> None:
    """Of exp(logit), by autograd, place by place: equation 19 without its closed form.

    Torchcam 0.5 is no second opinion here: its division acts on a copy, so its weights are the
    sums of the cubed gradients.
    """
    model = tiny_model("resnet18")
    name = model.spec.layers[0].name
    (seen,), _ = probe.activations(model, model.pixels(face_crop), towards(3), [name])
    fc = model.net.get_submodule("fc")
    assert isinstance(fc, torch.nn.Linear)
    weight, bias = (p[3].detach().double() for p in (fc.weight, fc.bias))
    places = torch.tensor(seen.values, dtype=torch.float64).requires_grad_()
    score = torch.exp(places.mean(dim=(1, 2)) @ weight + bias)
    (first,) = torch.autograd.grad(score, places, create_graph=True)
    total = places.detach().sum(dim=(1, 2))
    weights = torch.zeros(len(places), dtype=torch.float64)
    for k, i, j in np.ndindex(*places.shape):
        (second,) = torch.autograd.grad(first[k, i, j], places, create_graph=True)
        (third,) = torch.autograd.grad(second[k, i, j], places, retain_graph=True)
        alpha = second[k, i, j] / (2 * second[k, i, j] + total[k] * third[k, i, j])
        weights[k] += (alpha * first[k, i, j].clamp(min=0)).detach()
    theirs = torch.einsum("k,kij->ij", weights, places.detach()).numpy()
    ours = gradcam_plus_map(seen.values, seen.gradients)
    # the exponential itself, which the paper's closed form leaves out, scales the whole map
    np.testing.assert_allclose(ours * float(score.detach()), theirs, rtol=1e-5)


def test_grad_cam_is_the_class_map_where_there_is_one(
    ask: Callable[..., mien.Explanation],
) -> None:
    gradcam, cam = ask("resnet18", "gradcam"), ask("resnet18", "cam")
    np.testing.assert_allclose(gradcam.values, cam.values, atol=1e-6)
    assert cam.check() <= 1e-5
    assert cam.value == pytest.approx(gradcam.value, abs=1e-5)
    linear = ask("resnet18", "linearcam")
    np.testing.assert_allclose(linear.values, cam.values, atol=1e-6)
    assert linear.base == pytest.approx(cam.base, abs=1e-4)


def test_gradients_reach_the_patches_and_the_trap_is_an_error(
    ask: Callable[..., mien.Explanation],
) -> None:
    assert np.abs(ask("vit-b16", "gradcam").values).max() > 0
    for layer in ("blocks.1", "norm", "blocks.1.norm2"):
        with pytest.raises(InputError, match=r"no gradient reaches.*take 'blocks\.1\.norm1'"):
            ask("vit-b16", "gradcam", options={"layer": layer})


def test_other_layers_are_read_by_what_the_network_says_of_its_tokens(
    ask: Callable[..., mien.Explanation],
) -> None:
    def grid(net: str, layer: str) -> Any:
        return ask(net, "gradcam", options={"layer": layer}).options["grid"]

    assert grid("resnet18", "layer2") == [[8, 8]]
    assert grid("gimefive-15", "stages.2.relu") == [[16, 16]]
    assert grid("vit-b16", "blocks.0") == [[4, 4]]
    assert grid("convit-b", "blocks.0.norm1") == [[4, 4]], "before the class token joins"
    assert grid("convit-b", "blocks.2.norm1") == [[4, 4]], "and after"
    with pytest.raises(UnknownNameError, match=r"did you mean 'blocks\.1\.norm1'"):
        grid("vit-b16", "blocks.1.nrm1")
    with pytest.raises(InputError, match="no map of rows and columns"):
        grid("vit-b16", "head")
    with pytest.raises(InputError, match="take a later layer"):
        spread(np.zeros((9, 9)), 8)


def test_branches_are_added_up_or_taken_one_by_one(ask: Callable[..., mien.Explanation]) -> None:
    for method in ("gradcam", "rollout", "gradrollout"):
        whole = ask("crossvit-b", method)
        parts = [ask("crossvit-b", method, options={"branch": b}) for b in (0, 1)]
        np.testing.assert_allclose(whole.values, parts[0].values + parts[1].values, atol=1e-12)
        assert [p.players for p in parts] == [100, 49]
        with pytest.raises(InputError, match=r"expected a branch in 0\.\.1"):
            ask("crossvit-b", method, options={"branch": 2})


def test_channels_last_are_read_as_such(face_crop: ImageArray) -> None:
    torch.manual_seed(0)
    net, spec = create(
        "timm:swin_tiny_patch4_window7_224",
        classes=7,
        size=64,
        extra={"embed_dim": 8, "depths": (1, 1), "num_heads": (1, 1), "window_size": 4},
    )
    model = TorchModel(
        net, spec, ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    )
    assert spec.layers[0].layout == "NHWC"
    e = mien.load(model, detector="none").explain(face_crop, method="gradcam", target="happy")[0]
    assert e.options["grid"] == [list(spec.layers[0].grid)]
    (seen,), _ = probe.activations(
        model, model.pixels(face_crop), towards(3), [spec.layers[0].name]
    )
    with torch.no_grad():
        timm_net: Any = net.eval()
        features = timm_net.forward_features(tensor_of(model, face_crop))
    assert seen.values.shape == (features.shape[3], *features.shape[1:3])
    with pytest.raises(
        InputError, match="no attention between patches that can be read; these can"
    ):
        mien.load(model, detector="none").explain(face_crop, method="rollout")


# Attention


@pytest.fixture(params=["vit-b16", "convit-b", "crossvit-b"])
def looked(request: pytest.FixtureRequest, face_crop: ImageArray) -> Any:
    model = tiny_model(request.param)
    seen, _ = probe.attention(model, model.pixels(face_crop), towards(3))
    branches = branches_of(model.spec)
    return model, seen, branches, readout(seen, branches)


def test_attention_is_shared_out_over_all_tokens(looked: Any) -> None:
    model, seen, branches, read = looked
    assert [one.layer for one in seen] == list(model.spec.attention)
    for one in seen:
        step = step_of(one.layer, branches)
        assert one.values.shape == (one.layer.num_heads, len(step.queries), len(step.keys))
        np.testing.assert_allclose(one.values.sum(axis=2), 1, atol=1e-5)
    assert list(read) == [b.start for b in branches], "each branch is read at its class token"


def test_rollout_rows_sum_to_one_and_relevance_grows_from_the_identity(looked: Any) -> None:
    _, seen, branches, read = looked
    total = rollout_matrix(seen, branches)
    np.testing.assert_allclose(total.sum(axis=1), 1, atol=1e-9)
    assert total.min() >= 0
    relevance = relevance_matrix(seen, branches)
    assert (relevance >= np.eye(len(relevance))).all()
    patches = np.concatenate([b.patches for b in branches])
    assert relevance[np.ix_(read, patches)].max() > 0


def test_rollout_of_a_plain_transformer_is_the_papers_product(face_crop: ImageArray) -> None:
    """Written anew here: identity plus attention, halved, multiplied from the last to the first."""
    model = tiny_model("vit-b16")
    seen, _ = probe.attention(model, model.pixels(face_crop), towards(3))
    expected = np.eye(17)
    for one in seen:
        expected = (0.5 * one.values.mean(axis=0) + 0.5 * np.eye(17)) @ expected
    np.testing.assert_allclose(rollout_matrix(seen, branches_of(model.spec)), expected, atol=1e-6)


def test_relevance_of_a_plain_transformer_is_the_papers_sum(face_crop: ImageArray) -> None:
    """Equations 5 and 6 of Chefer et al. in torch, one layer after another."""
    model = tiny_model("vit-b16")
    net: Any = model.net
    kept: list[Any] = []
    for block in net.blocks:
        block.attn.fused_attn = False
        block.attn.attn_drop.register_forward_hook(lambda *a: kept.append(a[2]))
    score = net(tensor_of(model, face_crop))[0, 3]
    expected = torch.eye(17)
    for attention, gradient in zip(kept, torch.autograd.grad(score, kept), strict=True):
        step = (attention * gradient)[0].clamp(min=0).mean(dim=0)
        expected = expected + step @ expected
    seen, _ = probe.attention(tiny_model("vit-b16"), model.pixels(face_crop), towards(3))
    ours = relevance_matrix(seen, branches_of(model.spec))
    np.testing.assert_allclose(ours, expected.detach().numpy(), atol=1e-6)


def test_gated_layers_leave_the_class_token_alone(face_crop: ImageArray) -> None:
    model = tiny_model("convit-b")
    seen, _ = probe.attention(model, model.pixels(face_crop), towards(3))
    branches = branches_of(model.spec)
    first = rollout_matrix(seen[:2], branches)
    assert first[0].tolist() == [1.0, *[0.0] * 16]
    assert (first[1:, 1:] > 0).all()


def test_the_tokens_that_are_read_are_measured(face_crop: ImageArray) -> None:
    """Without a class token the answer is the mean over patches; distilled, two tokens."""
    for options, expected in (
        ({"class_token": False, "global_pool": "avg"}, list(range(16))),
        ({"global_pool": "token", "reg_tokens": 2}, [0]),
    ):
        small = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
        torch.manual_seed(0)
        net, spec = create(
            "timm:vit_tiny_patch16_224", classes=7, extra={**small, **options}, size=32
        )
        model = TorchModel(net, spec, tiny_model("vit-b16").labels)
        seen, _ = probe.attention(model, model.pixels(face_crop), towards(3))
        branches = branches_of(spec)
        assert readout(seen, branches).tolist() == expected
        recognizer = mien.load(model, detector="none")
        share = recognizer.explain(face_crop, method="attention")[0]
        other = share.options["on other tokens"]
        assert share.values.sum() + other == pytest.approx(1, abs=1e-3)
        assert (other == 0) == (len(expected) == 16)


def test_layers_and_heads_are_chosen_by_number(ask: Callable[..., mien.Explanation]) -> None:
    heads = [ask("vit-b16", "attention", options={"layer": 0, "head": h}) for h in (0, 1)]
    mean = ask("vit-b16", "attention", options={"layer": 0})
    np.testing.assert_allclose(mean.values, (heads[0].values + heads[1].values) / 2, atol=1e-9)
    assert mean.options["name"] == "blocks.0.attn"
    maps = mean.maps
    assert maps is not None
    assert maps.names == ("0.0", "1.0", "0.1", "1.1")
    shown = spread(maps.values[0], heads[0].values.shape[0])
    np.testing.assert_allclose(shown, heads[0].values, atol=1e-9)
    for options, told in (({"layer": 2}, r"a layer in 0\.\.1"), ({"head": 2}, r"a head in 0\.\.1")):
        with pytest.raises(InputError, match=told):
            ask("vit-b16", "attention", options=options)
    assert ask("crossvit-b", "attention", options={"branch": 1}).players == 49


# Integrated gradients and activations


def test_integrated_gradients_add_up_better_with_more_steps(
    ask: Callable[..., mien.Explanation],
) -> None:
    gaps = [ask("gimefive-15", "ig", options={"steps": n}).check() for n in (1, 64)]
    assert gaps[1] < gaps[0]
    assert gaps[1] < 0.01
    with torch.inference_mode():  # a caller's own
        assert ask("gimefive-15", "ig", options={"steps": 64}).check() == gaps[1]
    for baseline in ("black", "blur"):
        e = ask("resnet18", "ig", baseline=baseline)
        assert (e.baseline, e.evaluations) == (baseline, 66)
        assert e.check() < 0.05
    with pytest.raises(InputError, match="1 step or more"):
        ask("resnet18", "ig", options={"steps": 0})


def test_integrated_gradients_of_a_linear_network_are_exact(face_crop: ImageArray) -> None:
    model = tiny_model("resnet18")
    torch.manual_seed(1)
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 64, 7))
    spec = replace(model.spec, layers=(), class_map=None, stages=())
    flat = TorchModel(linear, spec, model.labels)
    assert "gradcam" not in supported(flat)
    assert "ig" in supported(flat)
    how: Any = {"method": "ig", "target": "happy", "baseline": "black", "options": {"steps": 1}}
    e = mien.load(flat, detector="none").explain(face_crop, **how)[0]
    weight = linear[1].weight[3].detach().numpy().reshape(3, 64, 64)
    pixels = flat.pixels(face_crop)
    std = np.array(spec.preprocess.std)[:, None, None]
    np.testing.assert_allclose(e.values, (weight * pixels / 255 / std).sum(axis=0), atol=1e-5)
    assert e.check() < 1e-5


def test_activations_show_the_layers_own_features(
    ask: Callable[..., mien.Explanation], face_crop: ImageArray
) -> None:
    e = ask("resnet18", "activations", options={"layer": "layer1"})
    model = tiny_model("resnet18")
    net: Any = model.net
    kept: list[Any] = []
    net.layer1.register_forward_hook(lambda _, __, out: kept.append(out.detach().clone()))
    with torch.no_grad():
        net(tensor_of(model, face_crop))
    features = kept[0][0].numpy()
    assert e.maps is not None
    assert (e.options["features"], e.options["grid"]) == (8, [16, 16])
    for name, values in zip(e.maps.names, e.maps.values, strict=True):
        np.testing.assert_allclose(values, features[int(name[1:])], atol=1e-5)
    strength = [np.abs(values).mean() for values in e.maps.values]
    assert strength == sorted(strength, reverse=True)
    shown = e.values.reshape(16, 4, 16, 4).sum(axis=(1, 3))
    np.testing.assert_allclose(shown, np.abs(features).mean(axis=0), atol=1e-5)


# What cannot be explained, and options


def test_what_a_method_cannot_explain_is_an_error_that_names_what_can(
    crops_only: mien.Recognizer, ask: Callable[..., mien.Explanation], face_crop: ImageArray
) -> None:
    for method in INSIDE:
        with pytest.raises(InputError, match=r"only a run's folder shows.*these can:.*regions"):
            crops_only.explain(face_crop, method=method)
    with pytest.raises(InputError, match=r"no attention between patches.*these can:.*gradcam"):
        ask("gimefive-15", "rollout")
    with pytest.raises(InputError, match=r"average pooling and one linear.*these can:.*layercam"):
        ask("gimefive-15", "cam")
    with pytest.raises(InputError, match="hides nothing and takes no baseline"):
        ask("gimefive-15", "gradcam", baseline="black")


def test_a_map_that_is_not_finite_is_an_error(face_crop: ImageArray) -> None:
    model = tiny_model("gimefive-15")
    stage: Any = model.net.get_submodule("stages.4.relu")
    recognizer = mien.load(model, detector="none")
    stage.register_forward_hook(lambda _, __, out: out * math.nan)
    with pytest.raises(MienError, match="not finite"):
        explain_checked(recognizer, face_crop)


def explain_checked(recognizer: mien.Recognizer, crop: ImageArray) -> None:
    """Through the checks of every method, past the answer, which would not be finite either."""

    happy = dict.fromkeys(recognizer.labels, 1 / 7)
    answer = Prediction("crop", 0, emotions=happy, dominant_emotion="happy", score=1 / 7)
    model = recognizer.model
    explain(model, crop_of(model, crop, model.template), answer, Query("gradcam"))


def test_a_new_method_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))

    @registering("nothing", needs=needs_torch)
    def nothing(_: Any) -> Any:
        return None

    assert "nothing" in supported(tiny_model("resnet18"))
    assert "nothing" not in supported(Model(locate("mien")))


def test_options_are_read_as_the_methods_types() -> None:
    assert read_query("attention:layer=3,head = -1").options == {"layer": 3, "head": -1}
    assert read_query("gradcam:layer=blocks.1").options == {"layer": "blocks.1"}
    levels = METHODS.get("dncshap").options["levels"]
    assert levels.checked("dncshap", np.int64(4)) == 4
    with pytest.raises(InputError, match="expected a whole number"):
        levels.checked("dncshap", np.float32(4.5))
    with pytest.raises(InputError, match="key=value"):
        read_query("attention:layer")
    with pytest.raises(InputError, match="expected a whole number for the option 'layer'"):
        read_query("attention:layer=last")
    with pytest.raises(UnknownNameError, match="did you mean 'layer'"):
        read_query("attention:layr=1")
    with pytest.raises(InputError, match="takes no options"):
        read_query("cam:layer=1")


def test_cells_keep_the_sum_where_they_do_not_divide_the_crop() -> None:
    values = np.arange(49, dtype=float).reshape(7, 7)
    assert spread(values, 120).sum() == pytest.approx(values.sum())
    assert np.bincount(cells((7, 7), 120).ravel()).min() > 0


def test_what_timm_builds_is_wrapped_in_two_lines(face_crop: ImageArray) -> None:
    import timm

    torch.manual_seed(0)
    net = timm.create_model("resnet18", num_classes=7, layers=(1, 1, 1, 1), channels=(8, 8, 8, 8))
    model = TorchModel(net, timm_spec(net, 7, paper="", size=64), tiny_model("resnet18").labels)
    assert {"cam", "gradcam", "ig"} <= set(supported(model))
    e = mien.load(model, detector="none").explain(face_crop, method="layercam")[0]
    assert e.options["grid"] == [[2, 2]]
