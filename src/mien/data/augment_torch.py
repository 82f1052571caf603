"""The same augmentation for tensors, batched, on the device where they lie.

torch is imported when a tensor comes: the base install has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.data.augmentation import RADIUS, Draw

if TYPE_CHECKING:
    from torch import Tensor


def apply(images: Tensor, drawn: Draw) -> Tensor:
    """Apply a draw to tensors ``[N, C, H, W]`` in 0..255; beyond the image its edge is repeated."""
    import torch
    from torch.nn import functional as F

    like = {"dtype": torch.float32, "device": images.device}
    x = images.float()
    theta = torch.as_tensor(drawn.theta, **like)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    if drawn.sigma.any():
        x = _blurred(x, torch.as_tensor(drawn.sigma, **like))
    column = (-1, 1, 1, 1)
    x = x * torch.as_tensor(drawn.gain, **like).view(column)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = ((x - mean) * torch.as_tensor(drawn.contrast, **like).view(column) + mean).clamp(0, 255)
    if drawn.box.any():
        x = _erased(x, drawn, like)
    return x


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


def _erased(images: Tensor, drawn: Draw, like: dict[str, object]) -> Tensor:
    import torch

    height, width = images.shape[2:]
    sides = torch.tensor([width, height, width, height], **like)
    left, top, right, bottom = (torch.as_tensor(drawn.box, **like) * sides).round().T[:, :, None]
    xs, ys = torch.arange(width, **like), torch.arange(height, **like)
    across = (xs >= left) & (xs < right)
    down = (ys >= top) & (ys < bottom)
    inside = (down[:, :, None] & across[:, None, :])[:, None]
    grey = 255 * torch.as_tensor(drawn.grey, **like).view(-1, 1, 1, 1)
    return torch.where(inside, grey, images)
