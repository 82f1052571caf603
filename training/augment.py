"""Augmentation of a batch of grey crops together with their landmarks, in torch."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from mien.vision.geometry import align
from mien.vision.landmarks import MIRROR
from training.light import photograph, relight, share, uniform
from training.recipe import Augmentation

CALM = 0.4  # of the rotation, scale and shift, where a crop is aligned


def alignments(points: Tensor, good: Tensor, template: Tensor) -> Tensor:
    """For each crop the map ``[2, 3]`` from its aligned form to where it is sampled.

    ``points [N, 24, 2]`` and ``template [24, 2]`` are in -1..1; where ``good [N]`` is false, the
    identity. This is the alignment of :func:`mien.vision.geometry.align`, as users' photos get it.
    """
    maps = torch.eye(2, 3).repeat(len(points), 1, 1)
    wanted = (template.double().numpy() + 1) / 2
    half = np.array([[0.5, 0, 0.5], [0, 0.5, 0.5], [0, 0, 1]])  # -1..1 to 0..1
    for i in torch.nonzero(good)[:, 0].tolist():
        # align() counts pixels from their centres; with a side of 1 a pixel's centre is at 0.5
        matrix = align((points[i].double().numpy() + 1) / 2 - 0.5, wanted, 1)
        matrix[:, 2] += 0.5 - matrix[:, :2] @ [0.5, 0.5]
        whole = np.linalg.inv(half) @ np.vstack([matrix, [0, 0, 1]]) @ half
        maps[i] = torch.from_numpy(np.linalg.inv(whole)[:2]).float()
    return maps


def inverse(matrix: Tensor) -> Tensor:
    """The inverses of ``[N, 2, 2]``, in closed form: torch's own waits for the accelerator.

    >>> inverse(torch.tensor([[[2.0, 1.0], [1.0, 1.0]]])).tolist()
    [[[1.0, -1.0], [-1.0, 2.0]]]
    """
    (a, b), (c, d) = (matrix[:, i].unbind(1) for i in (0, 1))
    adjugate = torch.stack([torch.stack([d, -b], dim=1), torch.stack([-c, a], dim=1)], dim=1)
    return adjugate / (a * d - b * c)[:, None, None]


def warp(
    images: Tensor,
    points: Tensor,
    how: Augmentation,
    generator: torch.Generator,
    aligned: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Random flip, rotation, scale and shift of images ``[N, 1, H, W]`` and points in -1..1.

    A share ``how.align`` of the crops is aligned first by the maps ``aligned [N, 2, 3]``.
    """
    n = len(images)
    base = torch.eye(2, 3, device=images.device).repeat(n, 1, 1)
    calm = torch.ones(n, device=images.device)
    if aligned is not None and how.align > 0:
        chosen = share(n, generator) < how.align
        base = torch.where(chosen[:, None, None], aligned, base)
        calm = torch.where(chosen, CALM, 1.0)
    angle = uniform(n, math.radians(how.rotation), generator) * calm
    zoom = 1 / (1 + uniform(n, how.scale, generator) * calm)
    sign = torch.where(share(n, generator) < 0.5, -1.0, 1.0)
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    # theta takes an output position to the input position that is sampled there
    matrix = torch.stack(
        [torch.stack([cos * sign, -sin], dim=1), torch.stack([sin * sign, cos], dim=1)], dim=1
    )
    shift = torch.stack([uniform(n, 2 * how.shift, generator) * calm for _ in range(2)], dim=1)
    shift = (base[:, :, :2] @ shift[:, :, None])[:, :, 0] + base[:, :, 2]
    matrix = base[:, :, :2] @ matrix
    theta = torch.cat([matrix, shift[:, :, None]], dim=2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    warped = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    moved = (inverse(matrix) @ (points - shift[:, None]).transpose(1, 2)).transpose(1, 2)
    moved = torch.where((sign < 0)[:, None, None], moved[:, list(MIRROR)], moved)
    return warped, moved


def erase(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Cover one rectangle of some images with one grey, as the explanations' masks do."""
    n, _, height, width = images.shape
    centre = share(2 * n, generator).view(n, 2)
    half = (0.1 + share(2 * n, generator).view(n, 2) * (how.erase_side - 0.1)) / 2
    rows = (torch.arange(height, device=images.device) + 0.5) / height
    columns = (torch.arange(width, device=images.device) + 0.5) / width
    inside = ((rows[None] - centre[:, :1]).abs() < half[:, :1])[:, :, None] & (
        (columns[None] - centre[:, 1:]).abs() < half[:, 1:]
    )[:, None, :]
    chosen = share(n, generator) < how.erase
    grey = share(n, generator)[:, None, None, None]
    return torch.where((inside & chosen[:, None, None])[:, None], grey, images)


def augment(
    images: Tensor,
    points: Tensor,
    how: Augmentation,
    generator: torch.Generator,
    aligned: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Images ``[N, 1, H, W]`` in 0..1 and points ``[N, 24, 2]`` in -1..1, both augmented."""
    warped, moved = warp(images, points, how, generator, aligned)
    lit = relight(warped, how, generator)
    return erase(photograph(lit, how, generator), how, generator), moved
