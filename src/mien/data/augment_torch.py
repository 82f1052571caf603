"""The same augmentation for tensors, batched, on the device where they lie.

torch is imported when a tensor comes: the base install has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.data.augmentation import RADIUS, Draw
from mien.types import FloatArray

if TYPE_CHECKING:
    from torch import Tensor


def apply(images: Tensor, drawn: Draw) -> Tensor:
    """Apply a draw to tensors ``[N, C, H, W]`` in 0..255; beyond the image its edge is repeated."""
    from torch.nn import functional as F

    x = images.float()
    grid = F.affine_grid(_beside(x, drawn.theta), list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    if drawn.sigma.any():
        x = _blurred(x, _beside(x, drawn.sigma))
    column = (-1, 1, 1, 1)
    x = x * _beside(x, drawn.gain).view(column)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = ((x - mean) * _beside(x, drawn.contrast).view(column) + mean).clamp(0, 255)
    return _erased(x, drawn) if drawn.box.any() else x


def _beside(images: Tensor, values: FloatArray) -> Tensor:
    """Values as float32 on the images' device."""
    import torch

    return torch.as_tensor(values, dtype=torch.float32, device=images.device)


def _blurred(images: Tensor, sigma: Tensor) -> Tensor:
    """Each image with its own Gaussian, rows then columns."""
    import torch
    from torch.nn import functional as F

    count, channels, height, width = images.shape
    steps = torch.arange(-RADIUS, RADIUS + 1, device=images.device, dtype=torch.float32)
    # a sigma of 0 gives all weight to the middle
    kernel = torch.exp(-(steps**2) / (2 * sigma.clamp(min=1e-3)[:, None] ** 2))
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    flat = images.reshape(1, count * channels, height, width)
    groups = count * channels
    flat = F.pad(flat, (RADIUS, RADIUS, 0, 0), mode="replicate")
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=groups)
    flat = F.pad(flat, (0, 0, RADIUS, RADIUS), mode="replicate")
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=groups)
    return flat.reshape(count, channels, height, width)


def _erased(images: Tensor, drawn: Draw) -> Tensor:
    """Each image with its rectangle filled with grey."""
    import torch

    height, width = images.shape[2:]
    sides = images.new_tensor([width, height, width, height])
    left, top, right, bottom = (_beside(images, drawn.box) * sides).round().T[:, :, None]
    xs = torch.arange(width, dtype=torch.float32, device=images.device)
    ys = torch.arange(height, dtype=torch.float32, device=images.device)
    across = (xs >= left) & (xs < right)
    down = (ys >= top) & (ys < bottom)
    inside = (down[:, :, None] & across[:, None, :])[:, None]
    return torch.where(inside, 255 * _beside(images, drawn.grey).view(-1, 1, 1, 1), images)
