"""mien.vision: geometry, landmarks and regions: what holds for every face."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mien
from mien.types import FloatArray, InputError
from mien.vision.geometry import (
    Preprocess,
    align,
    anchors,
    box_matrix,
    cut,
    invert,
    rescale,
    transform,
)
from mien.vision.landmarks import INDEX, LANDMARKS, MIRROR, eye_distance, mirror
from mien.vision.regions import REGIONS, areas, region_labels, sum_by_region


@lru_cache
def model_template() -> FloatArray:
    return mien.load(detector="none").model.template


@pytest.fixture
def template() -> FloatArray:
    return model_template()


def moved(
    points: FloatArray, degrees: float, scale: float, shift: tuple[float, float]
) -> FloatArray:
    a = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return np.asarray(points @ turn.T + shift)


@given(st.floats(-80, 80), st.floats(0.3, 12), st.floats(-500, 500), st.floats(-500, 500))
def test_alignment_undoes_any_rotation_scale_and_shift(
    degrees: float, scale: float, x: float, y: float
) -> None:
    # the template is symmetric to a fraction of a pixel, so its own roll is nearly 0
    target = model_template() * 48 - 0.5
    found = moved(target, degrees, scale, (x, y))
    back = transform(found, align(found, model_template(), 48))
    assert np.abs(anchors(back) - anchors(target)).max() < 0.5


def test_a_matrix_and_its_inverse_cancel_and_rescale_keeps_the_place(template: FloatArray) -> None:
    points = moved(template * 48, 20, 3, (40, 60))
    matrix = align(points, template, 48)
    np.testing.assert_allclose(transform(transform(points, matrix), invert(matrix)), points)
    larger = transform(points, rescale(matrix, 4.0))
    np.testing.assert_allclose((larger + 0.5) / 192, (transform(points, matrix) + 0.5) / 48)


def test_cutting_the_whole_image_at_its_own_size_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8)
    np.testing.assert_array_equal(cut(image, box_matrix((0, 0, 48, 48), 48), 48), image)


def test_a_large_face_is_averaged_not_sampled() -> None:
    """A fine checkerboard must come out grey: sampling it would alias to black or white."""
    board = (np.indices((960, 960)).sum(axis=0) % 2 * 255).astype(np.uint8)
    crop = cut(np.repeat(board[:, :, None], 3, axis=2), box_matrix((0, 0, 960, 960), 48), 48)
    assert abs(float(crop.mean()) - 127.5) < 3
    assert crop.std() < 8


def test_a_box_beyond_the_image_repeats_the_edge() -> None:
    image = np.full((20, 20, 3), 90, np.uint8)
    assert (cut(image, box_matrix((-10, -10, 40, 40), 48), 48) == 90).all()


@pytest.mark.parametrize(
    ("size", "channels", "mean", "std"),
    [
        (48, 2, (0.5,), (0.5,)),
        (48, 1, (0.5,), (0.2, 0.2, 0.2)),
        (48, 1, (0.5, 0.5, 0.5), (0.2,)),
        (48, 3, (0.5,), (0.2, 0.2, 0.2)),
        (48, 1, (0.5,), (0.0,)),
        (0, 1, (0.5,), (0.2,)),
    ],
)
def test_preprocessing_checks_its_numbers(
    size: int, channels: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    with pytest.raises(InputError, match="channels"):
        Preprocess(size, channels, mean, std)


def test_a_crop_of_the_networks_own_size_reaches_it_unchanged() -> None:
    """So that what was measured on FER2013's pixels is what users of crops get."""
    grey = np.random.default_rng(0).integers(0, 255, (48, 48), dtype=np.uint8)
    crop = mien.load(detector="none").crops(np.repeat(grey[:, :, None], 3, axis=2))[0]
    np.testing.assert_array_equal(crop.pixels[0], grey)


@pytest.mark.parametrize("shape", [(8, 40_000), (40_000, 8), (9, 9)])
def test_extreme_shapes_can_be_cut(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 77, np.uint8)
    box = (0.0, 0.0, float(shape[1]), float(shape[0]))
    assert (cut(image, box_matrix(box, 192)) == 77).all()
    assert cut(image, box_matrix((-500.0, -500.0, 30.0, 30.0), 192)).shape == (192, 192, 3)


def test_mirroring_twice_is_nothing_and_swaps_left_with_right(template: FloatArray) -> None:
    points = template * 48
    np.testing.assert_allclose(mirror(mirror(points, 48), 48), points)
    assert sorted(MIRROR) == list(range(len(LANDMARKS)))
    assert MIRROR[INDEX["mouth_left"]] == INDEX["mouth_right"]
    assert MIRROR[INDEX["chin"]] == INDEX["chin"]
    assert eye_distance(points) == pytest.approx(eye_distance(mirror(points, 48)))


@pytest.mark.parametrize("size", [48, 64, 224])
@pytest.mark.parametrize("degrees", [-25, 0, 40])
def test_regions_cover_the_crop_and_sit_where_they_should(
    template: FloatArray, size: int, degrees: float
) -> None:
    points = moved(template * size - size / 2, degrees, 0.8, (size / 2, size / 2))
    labels = region_labels(points, size)
    assert labels.shape == (size, size)
    shares = areas(labels)
    assert tuple(shares) == REGIONS
    assert sum(shares.values()) == pytest.approx(1)
    assert all(share > 0.01 for share in shares.values())

    def region_at(*names: str) -> str:
        x, y = np.mean([points[INDEX[n]] for n in names], axis=0)
        return REGIONS[labels[round(y), round(x)]]

    assert region_at("mouth_left", "mouth_right") == "mouth"
    assert region_at("eye_left_outer", "eye_left_inner") == "eyes"
    assert region_at("brow_right_middle") == "brows"
    assert region_at("brow_left_inner", "brow_right_inner") == "brows"
    assert region_at("nose_tip") == "nose"
    assert region_at("forehead", "brow_left_inner", "brow_right_inner") in ("forehead", "brows")
    assert region_at("lip_bottom", "chin") in ("chin", "mouth")
    assert labels[0, 0] == REGIONS.index("background")


def test_regions_survive_landmarks_far_outside_the_crop() -> None:
    labels = region_labels(np.full((24, 2), 1000.0), 48)
    assert set(np.unique(labels)) <= set(range(len(REGIONS)))


def test_sums_by_region_add_up(template: FloatArray) -> None:
    labels = region_labels(template * 48 - 0.5, 48)
    values = np.random.default_rng(0).normal(size=(48, 48))
    assert sum(sum_by_region(values, labels).values()) == pytest.approx(values.sum())
