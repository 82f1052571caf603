from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mien.data.augment import VIEWS, Augmenter, apply, views
from mien.data.augmentation import PRESETS, Augmentation, draw, preset
from mien.data.example import noise
from mien.types import InputError, UnknownNameError


def batch(count: int = 6, side: int = 32, channels: int = 1) -> np.ndarray:
    planes = [[noise(10 * i + c, side) for c in range(channels)] for i in range(count)]
    return np.array(planes, dtype=np.float32)


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("channels", [1, 3])
def test_preset_keeps_shape_and_range_and_repeats(name: str, channels: int) -> None:
    images = batch(channels=channels)
    one, same, other = (Augmenter(name, seed=s)(images) for s in (3, 3, 4))
    assert one.shape == images.shape
    assert one.dtype == np.float32
    assert one.min() >= 0
    assert one.max() <= 255
    np.testing.assert_array_equal(one, same)
    if PRESETS[name] == Augmentation():
        np.testing.assert_allclose(one, images, atol=1e-3)
    else:
        assert np.abs(one - other).max() > 1


def test_vit_preset_is_the_papers() -> None:
    how = preset("vit-fer2013")
    assert (how.flip, how.rotation, how.brightness, how.contrast) == (0.5, 15, 0.25, 0.25)
    assert (how.sigma_low, how.sigma_high) == (0.1, 1.0)


def test_flips_are_exact() -> None:
    images = batch()
    np.testing.assert_allclose(
        Augmenter(Augmentation(flip=1), 0)(images), images[..., ::-1], atol=0.1
    )
    upset = Augmenter(Augmentation(flip_vertical=1), 0)(images)
    np.testing.assert_allclose(upset, images[:, :, ::-1], atol=0.1)


def test_shift_moves_by_whole_pixels() -> None:
    images = batch(1)
    drawn = draw(Augmentation(), 1, np.random.default_rng(0))
    theta = drawn.theta.copy()
    theta[0, 0, 2] = 2 * 4 / 32  # four pixels
    moved = apply(images, replace(drawn, theta=theta))
    np.testing.assert_allclose(moved[..., :-4], images[..., 4:], atol=0.1)
    np.testing.assert_allclose(moved[..., -4:], np.repeat(images[..., -1:], 4, -1), atol=0.1)


def test_brightness_contrast_and_erasing_stay_in_bounds() -> None:
    images = np.full((200, 1, 16, 16), 100, np.float32)
    lit = Augmenter(Augmentation(brightness=0.25), 0)(images).mean(axis=(1, 2, 3))
    assert lit.min() >= 75 - 1e-3
    assert lit.max() <= 125 + 1e-3
    assert lit.std() > 5
    erased = Augmenter(Augmentation(erase=1, erase_area=0.2), 0)(images)
    share = (np.abs(erased - 100) > 1e-3).mean(axis=(1, 2, 3))
    assert share.max() < 0.3
    assert share.mean() > 0.05


def test_blur_smooths() -> None:
    images = batch(8, 48)
    soft = Augmenter(Augmentation(blur=1, sigma_low=1, sigma_high=1), 0)(images)
    assert np.abs(np.diff(soft)).mean() < np.abs(np.diff(images)).mean()
    np.testing.assert_allclose(soft.mean(), images.mean(), rtol=0.01)


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_mixing_keeps_targets_a_distribution(kind: str) -> None:
    images, targets = batch(), np.eye(6)
    how = Augmentation(mixup=1.0) if kind == "mixup" else Augmentation(cutmix=1.0)
    mixed, soft = Augmenter(how, 1).mix(images, targets)
    np.testing.assert_allclose(soft.sum(axis=1), 1)
    assert mixed.shape == images.shape
    assert ((soft > 0).sum(axis=1) <= 2).all()
    if kind == "cutmix":  # the share of untouched pixels is the share of the own label
        own = (mixed == images).all(axis=1).mean(axis=(1, 2))
        moved = soft.diagonal() < 1
        np.testing.assert_allclose(own[moved], soft.diagonal()[moved], atol=0.02)
    untouched = Augmenter(Augmentation(), 1).mix(images, targets)
    assert untouched[0] is images


def test_views() -> None:
    images = batch(2, 40)
    assert [len(views(images, kind)) for kind in VIEWS] == [1, 2, 10]
    crops = views(images, "ten-crop")
    assert {crop.shape for crop in crops} == {(2, 1, 36, 36)}
    np.testing.assert_array_equal(crops[3], images[:, :, 4:, 4:])
    np.testing.assert_array_equal(crops[9], images[:, :, 2:38, 2:38][..., ::-1])
    with pytest.raises(UnknownNameError, match="ten-crop"):
        views(images, "tencrop")
    with pytest.raises(InputError, match="share"):
        views(images, "ten-crop", 1.0)


@pytest.mark.parametrize(
    "bad", [{"flip": 1.5}, {"rotation": -1}, {"sigma_low": 0}, {"sigma_low": 1.5}, {"crop": 0.95}]
)
def test_bad_numbers(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected"):
        Augmentation(**bad)


def test_bad_calls() -> None:
    with pytest.raises(UnknownNameError, match="vit-fer2013"):
        Augmenter("vit-fer")
    with pytest.raises(InputError, match="seed"):
        Augmenter("flip")(batch())
    with pytest.raises(InputError, match=r"\[N, C, H, W\]"):
        Augmenter("flip", 0)(np.zeros((4, 4)))


@pytest.mark.parametrize("channels", [1, 3])
def test_tensors_are_augmented_as_arrays_are(channels: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    images = batch(12, 48, channels)
    for name in ("vit-fer2013", "strong", "gimefive", "timm-thesis"):
        ours = Augmenter(name, seed=5)(images)
        theirs = Augmenter(name, seed=5)(torch.from_numpy(images)).numpy()
        # OpenCV samples at 1/32 of a pixel
        assert np.abs(ours - theirs).mean() < 1
    torch.manual_seed(1)
    one = Augmenter("strong")(torch.from_numpy(images))
    torch.manual_seed(1)
    assert torch.equal(one, Augmenter("strong")(torch.from_numpy(images)))
    mixed, soft = Augmenter("strong", 0).mix(torch.from_numpy(images), torch.eye(12))
    assert mixed.shape == images.shape
    assert torch.allclose(soft.sum(dim=1), torch.ones(12))
    assert len(views(torch.from_numpy(images), "ten-crop")) == 10
