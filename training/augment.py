"""Augmentation of a batch of grey crops together with their landmarks, in torch."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from mien.vision.landmarks import MIRROR
from training.recipe import Augmentation


def uniform(count: int, bound: float, generator: torch.Generator) -> Tensor:
    return (torch.rand(count, generator=generator) * 2 - 1) * bound


def warp(
    images: Tensor, points: Tensor, how: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random flip, rotation, scale and shift of images ``[N, 1, H, W]`` and points in -1..1."""
    n = len(images)
    angle = uniform(n, math.radians(how.rotation), generator)
    zoom = 1 / (1 + uniform(n, how.scale, generator))
    sign = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    # theta takes an output position to the input position that is sampled there
    matrix = torch.stack(
        [torch.stack([cos * sign, -sin], dim=1), torch.stack([sin * sign, cos], dim=1)], dim=1
    )
    shift = torch.stack([uniform(n, 2 * how.shift, generator) for _ in range(2)], dim=1)
    theta = torch.cat([matrix, shift[:, :, None]], dim=2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    warped = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    moved = torch.linalg.solve(matrix, (points - shift[:, None]).transpose(1, 2)).transpose(1, 2)
    moved = torch.where((sign < 0)[:, None, None], moved[:, list(MIRROR)], moved)
    return warped, moved


def relight(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Random contrast about the image's mean and brightness; pixels in 0..1."""
    n = len(images)
    gain = 1 + uniform(n, how.contrast, generator)[:, None, None, None]
    offset = uniform(n, how.brightness, generator)[:, None, None, None]
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return ((images - mean) * gain + mean + offset).clamp(0, 1)


def erase(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Cover one rectangle of some images with one grey, as the explanations' masks do."""
    n, _, height, width = images.shape
    centre = torch.rand(n, 2, generator=generator)
    half = (0.1 + torch.rand(n, 2, generator=generator) * (how.erase_side - 0.1)) / 2
    rows = (torch.arange(height) + 0.5) / height
    columns = (torch.arange(width) + 0.5) / width
    inside = ((rows[None] - centre[:, :1]).abs() < half[:, :1])[:, :, None] & (
        (columns[None] - centre[:, 1:]).abs() < half[:, 1:]
    )[:, None, :]
    chosen = torch.rand(n, generator=generator) < how.erase
    grey = torch.rand(n, 1, 1, 1, generator=generator)
    return torch.where((inside & chosen[:, None, None])[:, None], grey, images)


def augment(
    images: Tensor, points: Tensor, how: Augmentation, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Images ``[N, 1, H, W]`` in 0..1 and points ``[N, 24, 2]`` in -1..1, both augmented."""
    warped, moved = warp(images, points, how, generator)
    return erase(relight(warped, how, generator), how, generator), moved
