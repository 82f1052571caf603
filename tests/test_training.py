"""The built-in model's training: augmentation, loss, calibration, export; needs the train extra."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.vision.geometry import Preprocess
from mien.vision.landmarks import MIRROR
from tests.conftest import ROOT

torch = pytest.importorskip("torch", reason="torch is not installed: make test does without it")

from mien.metrics import fit_temperature, probabilities  # noqa: E402
from mien.models.onnx import Model, built_in_template  # noqa: E402
from mien.models.torch.networks.compact import CompactNet  # noqa: E402 - after the check for torch
from mien.models.weights import locate  # noqa: E402
from mien.runs.export import attach, halve_weights, quantise, to_onnx  # noqa: E402
from training.answers import scores_of  # noqa: E402
from training.augment import alignments, augment, erase, warp  # noqa: E402
from training.card import first_card  # noqa: E402
from training.examples import MEAN, STD  # noqa: E402
from training.export import HEADS, OUTPUTS, Exported  # noqa: E402
from training.light import blurred, compress, photograph, refocus, resize, speckle  # noqa: E402
from training.networks import grow  # noqa: E402
from training.recipe import Augmentation, Network, read_recipe  # noqa: E402
from training.shipped import load_file  # noqa: E402
from training.train import has_bf16, train  # noqa: E402

RECIPE = ROOT / "recipes" / "builtin" / "compact.toml"
STILL = Augmentation(0, 0, 0, 0, 0, 0, 0.2)


def test_the_recipe_is_read_and_a_wrong_field_is_named(tmp_path: Path) -> None:
    recipe = read_recipe(RECIPE)
    assert isinstance(recipe.network, Network)
    assert recipe.network.widths == (64, 128, 256)
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(RECIPE.read_text().replace("epochs =", "epoch ="))
    with pytest.raises(TypeError, match="epoch"):
        read_recipe(wrong)


def test_the_network_has_the_size_and_shapes_of_its_card() -> None:
    net = CompactNet().eval()
    assert sum(p.numel() for p in net.parameters()) == 3_186_495
    out = net(torch.zeros(2, 1, 48, 48))
    assert out.ferplus.shape == (2, 8)
    assert out.fer2013.shape == (2, 7)
    assert out.landmarks.shape == (2, 24, 2)
    assert out.features.shape == (2, 256, 6, 6)


def test_points_move_with_the_pixels() -> None:
    """A bright dot drawn at each landmark must still lie under it after the warp."""
    how = replace(STILL, rotation=20.0, scale=0.2, shift=0.1)
    generator = torch.Generator().manual_seed(0)
    points = torch.zeros(16, 24, 2)
    x, y = 0.25, -0.35
    points[:] = torch.tensor([x, y])
    images = torch.zeros(16, 1, 48, 48)
    images[:, :, round((y + 1) * 24 - 0.5), round((x + 1) * 24 - 0.5)] = 1
    warped, moved = warp(images, points, how, generator)
    for image, point in zip(warped[:, 0], moved[:, 0], strict=True):
        peak = np.unravel_index(int(image.argmax()), (48, 48))
        found = (np.array(peak[::-1]) + 0.5) / 24 - 1
        assert np.abs(found - point.numpy()).max() < 0.06


def test_a_flip_swaps_left_and_right_landmarks() -> None:
    generator = torch.Generator().manual_seed(1)
    points = torch.linspace(-0.9, 0.9, 48).view(1, 24, 2).repeat(32, 1, 1)
    images = torch.rand(32, 1, 48, 48)
    warped, moved = warp(images, points, STILL, generator)
    flipped = (warped - images.flip(3)).abs().amax(dim=(1, 2, 3)) < 1e-3
    assert 5 < int(flipped.sum()) < 27
    swapped = points[:, list(MIRROR)] * torch.tensor([-1.0, 1.0])
    np.testing.assert_allclose(moved[flipped], swapped[flipped], atol=1e-5)
    np.testing.assert_allclose(moved[~flipped], points[~flipped], atol=1e-5)


def test_augmentation_repeats_for_a_seed_and_stays_within_the_pixels() -> None:
    how = read_recipe(RECIPE).augmentation
    images, points = torch.rand(8, 1, 48, 48), torch.zeros(8, 24, 2)
    one, _ = augment(images, points, how, torch.Generator().manual_seed(5))
    two, _ = augment(images, points, how, torch.Generator().manual_seed(5))
    assert torch.equal(one, two)
    assert float(one.min()) >= 0
    assert float(one.max()) <= 1
    erased = erase(images, replace(STILL, erase=1.0, erase_side=0.4), torch.Generator())
    assert (erased != images).flatten(1).any(dim=1).all()


def test_an_aligned_crop_has_eyes_and_mouth_where_the_template_has_them() -> None:
    template = torch.from_numpy(Model(locate("mien")).template).float() * 2 - 1
    turn = torch.tensor([[0.96, -0.28], [0.28, 0.96]]) * 0.8
    points = (template @ turn.T + torch.tensor([0.1, -0.05]))[None].repeat(2, 1, 1)
    maps = alignments(points, torch.tensor([True, False]), template)
    assert torch.equal(maps[1], torch.eye(2, 3))
    how = replace(STILL, align=1.0)
    images = torch.rand(2, 1, 48, 48)
    for seed in range(4):
        _, moved = warp(images, points, how, torch.Generator().manual_seed(seed), maps)
        flipped = template[list(MIRROR)] * torch.tensor([-1.0, 1.0])
        nearest = min(float((moved[0] - wanted).abs().max()) for wanted in (template, flipped))
        assert nearest < 0.02


@pytest.mark.parametrize("change", [refocus, resize, speckle, compress])
def test_what_cameras_do_keeps_a_face_recognisable_and_leaves_grey_grey(change) -> None:  # type: ignore[no-untyped-def]
    smooth = torch.linspace(0, 1, 48).repeat(4, 1, 48, 1)
    changed = change(smooth, torch.Generator().manual_seed(0))
    assert changed.shape == smooth.shape
    assert 0 < float((changed - smooth).abs().mean()) < 0.1
    grey = torch.full((4, 1, 48, 48), 0.5)
    assert float((change(grey, torch.Generator().manual_seed(0)) - grey).abs().max()) < 0.3


def test_blur_keeps_the_mean_and_a_photo_chance_of_zero_changes_nothing() -> None:
    images = torch.rand(3, 1, 48, 48)
    soft = blurred(images, torch.tensor([0.3, 1.0, 2.0]))
    spread = soft.std(dim=(1, 2, 3))
    assert spread[0] > spread[1] > spread[2]
    torch.testing.assert_close(soft.mean(), images.mean(), atol=0.01, rtol=0)
    assert photograph(images, STILL, torch.Generator()) is images


def test_a_network_that_grows_answers_as_before() -> None:
    generator = torch.Generator().manual_seed(0)
    small, large = CompactNet(8, (8, 8, 8), (0, 1, 1)), CompactNet(8, (8, 8, 8), (1, 2, 1))
    for norm in (m for m in small.modules() if isinstance(m, torch.nn.BatchNorm2d)):
        norm.running_mean.normal_(generator=generator)
        norm.running_var.uniform_(0.5, 2, generator=generator)
    grow(small, large)
    pixels = torch.rand(3, 1, 48, 48, generator=generator)
    for before, after in zip(small.eval()(pixels), large.eval()(pixels), strict=True):
        torch.testing.assert_close(before, after)
    with pytest.raises(ValueError, match="fewer blocks"):
        grow(large, small)


def test_training_may_start_from_the_shipped_file() -> None:
    net = CompactNet(blocks=(2, 2, 2))
    pixels = torch.rand(16, 1, 48, 48)
    load_file(net, (pixels - MEAN) / STD, locate("mien"))
    model = Model(locate("mien"), head="fer2013")
    with torch.no_grad():
        found = net.eval()((pixels - MEAN) / STD).fer2013.numpy()
    np.testing.assert_allclose(found, model.logits((pixels * 255).numpy()), atol=1e-3)


def test_the_precision_is_the_recipes_or_the_processors() -> None:
    assert has_bf16("bf16")
    assert not has_bf16("fp32")
    assert has_bf16("auto") in (True, False)


def test_the_temperature_is_found() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(20_000, 5)) * 2
    truth = np.array([rng.choice(5, p=p) for p in probabilities(logits)])
    found = fit_temperature(logits * 2.5, np.eye(5)[truth], np.ones(len(truth)))
    assert found == pytest.approx(2.5, rel=0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny data set of drawn discs in the layout of ``training.prepare``."""
    rng = np.random.default_rng(0)
    n = 96
    labels = rng.integers(0, 7, n)
    rows, columns = np.mgrid[:48, :48]
    radius = 4 + 2 * labels[:, None, None]
    images = np.where(np.hypot(rows - 24, columns - 24)[None] < radius, 220, 40).astype(np.uint8)
    votes = np.zeros((n, 10), np.float32)
    votes[np.arange(n), labels] = 10
    np.savez(
        tmp_path / "arrays.npz",
        images=images,
        labels=labels,
        votes=votes,
        split=np.array(["train"] * 64 + ["val"] * 16 + ["test"] * 16),
        in_training=np.zeros(n, bool),
        landmarks=np.tile(np.linspace(5, 40, 48).reshape(24, 2), (n, 1, 1)).astype(np.float32),
        landmarks_ok=np.ones(n, bool),
    )
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")  # torch's own exporter code
@pytest.mark.filterwarnings("ignore:.*:UserWarning")  # likewise, and onnxruntime's quantiser
@pytest.mark.filterwarnings("ignore:.*:FutureWarning")  # likewise
def test_training_resumes_to_the_same_weights_and_exports(folder: Path) -> None:
    recipe = read_recipe(RECIPE)
    assert isinstance(recipe.network, Network)
    network = replace(recipe.network, stem=8, widths=(8, 8, 8), blocks=(0, 0, 1))
    recipe = replace(
        recipe, network=network, training=replace(recipe.training, epochs=2, batch_size=16)
    )
    train(recipe, folder)
    whole = torch.load(folder / "last.pt", weights_only=True)
    (folder / "last.pt").unlink()
    stop = replace(recipe, training=replace(recipe.training, epochs=2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.train.scores_of", interrupt_after_one())
        with pytest.raises(KeyboardInterrupt):
            train(stop, folder)
    train(recipe, folder)
    resumed = torch.load(folder / "last.pt", weights_only=True)
    for name, value in whole["net"].items():
        torch.testing.assert_close(resumed["net"][name], value)

    net = CompactNet(network.stem, network.widths, network.blocks, network.dropout)
    net.load_state_dict(torch.load(folder / "best.pt", weights_only=True))
    net.eval()
    how = Preprocess(48, 1, (0.5,), (0.25,))
    to_onnx(Exported(net), how, OUTPUTS, folder / "float.onnx")
    import onnx

    biases = {h: tuple(getattr(net, h).bias.tolist()) for h in ("ferplus", "fer2013")}
    priors = {"ferplus": (1 / 8,) * 8, "fer2013": (1 / 7,) * 7}
    card = first_card(recipe, "text", biases, np.asarray(built_in_template()), priors)
    attach(halve_weights(onnx.load(str(folder / "float.onnx"))), card, folder / "half.onnx")
    quantise(
        folder / "float.onnx", folder / "int8.onnx", np.zeros((64, 1, 48, 48), np.float32), HEADS
    )
    attach(onnx.load(str(folder / "int8.onnx")), card, folder / "small.onnx")
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 1, 48, 48)).astype(np.float32)
    with torch.no_grad():
        expected = net((torch.from_numpy(pixels) / 255 - 0.5) / 0.25)
    half = Model(folder / "half.onnx").run(pixels, cam=True, landmarks=True)
    np.testing.assert_allclose(half.logits, expected.ferplus, atol=0.02)
    assert half.landmarks is not None
    np.testing.assert_allclose(half.landmarks, (expected.landmarks + 1) / 2, atol=0.02)
    for name in ("half.onnx", "small.onnx"):
        out = Model(folder / name, head="fer2013").run(pixels, cam=True)
        assert out.cam is not None
        rebuilt = out.cam.mean(axis=(2, 3)) + np.array(biases["fer2013"])
        np.testing.assert_allclose(rebuilt, out.logits, atol=1e-4)


def interrupt_after_one() -> object:
    """A stand-in for the scores that lets one epoch pass and then stops the run."""
    real, calls = scores_of, []

    def scores(*args: object) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args)  # type: ignore[arg-type]  # handed on as they came

    return scores
