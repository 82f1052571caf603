"""What cameras and files do to a face's pixels: light, sharpness, size, noise, JPEG; in torch.

Every function takes grey crops ``[N, 1, H, W]`` in 0..1 and returns new ones, each crop changed
by an amount of its own.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from training.recipe import Augmentation

LARGEST_BLUR = 1.2  # pixels of 48, standard deviation
BLOCK = 8  # pixels, JPEG's block
#: JPEG's table for luminance (Annex K of ITU-T T.81) at quality 50, for pixels in 0..255.
LUMINANCE = (
    torch.tensor(
        [
            16,
            11,
            10,
            16,
            24,
            40,
            51,
            61,
            12,
            12,
            14,
            19,
            26,
            58,
            60,
            55,
            14,
            13,
            16,
            24,
            40,
            57,
            69,
            56,
            14,
            17,
            22,
            29,
            51,
            87,
            80,
            62,
            18,
            22,
            37,
            56,
            68,
            109,
            103,
            77,
            24,
            35,
            55,
            64,
            81,
            104,
            113,
            92,
            49,
            64,
            78,
            87,
            103,
            121,
            120,
            101,
            72,
            92,
            95,
            98,
            112,
            100,
            103,
            99,
        ]
    ).view(BLOCK, BLOCK)
    / 255.0
)


def uniform(count: int, bound: float, generator: torch.Generator) -> Tensor:
    """``count`` numbers, uniform in -bound..bound."""
    return (share(count, generator) * 2 - 1) * bound


def share(count: int, generator: torch.Generator) -> Tensor:
    """``count`` numbers, uniform in 0..1."""
    return torch.rand(count, generator=generator, device=generator.device)


def _wide(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def relight(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Random contrast about the image's mean, brightness, gamma, and light from one side."""
    n, _, height, width = images.shape
    gain = 1 + _wide(uniform(n, how.contrast, generator))
    offset = _wide(uniform(n, how.brightness, generator))
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    lit = (images - mean) * gain + mean + offset
    if how.slope > 0:
        angle = uniform(n, math.pi, generator)
        steep = uniform(n, how.slope, generator)
        across = torch.linspace(-1, 1, width, device=images.device)[None, None]
        down = torch.linspace(-1, 1, height, device=images.device)[None, :, None]
        rows = down * (angle.sin() * steep)[:, None, None]
        columns = across * (angle.cos() * steep)[:, None, None]
        lit = lit * (1 + (rows + columns)[:, None])
    lit = lit.clamp(0, 1)
    if how.gamma > 0:
        lit = lit.clamp(min=1e-4) ** _wide(uniform(n, math.log1p(how.gamma), generator).exp())
    return lit


def blurred(images: Tensor, sigma: Tensor) -> Tensor:
    """Each image under a Gaussian of its own ``sigma [N]`` in pixels, 7 x 7."""
    n, _, height, width = images.shape
    steps = torch.arange(-3, 4, device=images.device)
    kernel = torch.exp(-(steps[None] ** 2) / (2 * sigma[:, None] ** 2))
    kernel = kernel / kernel.sum(dim=1, keepdim=True)
    padded = F.pad(images, (3, 3, 3, 3), mode="replicate").view(1, n, height + 6, width + 6)
    down = F.conv2d(padded, kernel.view(n, 1, 7, 1), groups=n)
    return F.conv2d(down, kernel.view(n, 1, 1, 7), groups=n).view(n, 1, height, width)


def refocus(images: Tensor, generator: torch.Generator) -> Tensor:
    """Blur half of the images and sharpen the others, each by an amount of its own."""
    n = len(images)
    soft = blurred(images, 0.3 + share(n, generator) * (LARGEST_BLUR - 0.3))
    sharper = share(n, generator) < 0.5
    amount = torch.where(sharper, -share(n, generator), torch.ones_like(sharper, dtype=soft.dtype))
    return (images + _wide(amount) * (soft - images)).clamp(0, 1)


def resize(images: Tensor, generator: torch.Generator) -> Tensor:
    """Shrink to between 20 and 40 pixels by area and enlarge again, one size for the batch."""
    side = images.shape[2]
    small = float(share(1, generator)) * (side * 20 // 48 + 1)
    shrunk = F.interpolate(images, size=side * 20 // 48 + int(small), mode="area")
    mode = "bicubic" if float(share(1, generator)) < 0.5 else "bilinear"
    return F.interpolate(shrunk, size=side, mode=mode, align_corners=False).clamp(0, 1)


def speckle(images: Tensor, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise of a standard deviation up to 0.06."""
    strength = _wide(share(len(images), generator) * 0.06)
    noise = torch.randn(images.shape, generator=generator, device=generator.device)
    return (images + noise * strength).clamp(0, 1)


def _cosines() -> Tensor:
    k, x = torch.meshgrid(torch.arange(BLOCK), torch.arange(BLOCK), indexing="ij")
    waves = torch.cos((2 * x + 1) * k * math.pi / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    waves[0] /= math.sqrt(2)
    return waves


def compress(images: Tensor, generator: torch.Generator) -> Tensor:
    """Round the cosine transform of 8 x 8 blocks as JPEG does, at qualities of about 15 to 80."""
    n, _, height, width = images.shape
    waves = _cosines().to(images.device)
    low, high = math.log(0.4), math.log(3.3)
    scale = (low + share(n, generator) * (high - low)).exp()
    table = LUMINANCE.to(images.device) * scale[:, None, None, None, None]
    blocks = images.view(n, height // BLOCK, BLOCK, width // BLOCK, BLOCK).transpose(2, 3)
    rounded = torch.round(waves @ (blocks - 0.5) @ waves.T / table) * table
    back = waves.T @ rounded @ waves + 0.5
    return back.transpose(2, 3).reshape(n, 1, height, width).clamp(0, 1)


def photograph(images: Tensor, how: Augmentation, generator: torch.Generator) -> Tensor:
    """Each of focus, size, noise and JPEG for a share ``how.photo`` of the images."""
    count = round(len(images) * how.photo)  # as many in each batch: an accelerator need not wait
    if not count:
        return images
    images = images.clone()
    for change in (refocus, resize, speckle, compress):
        order = torch.randperm(len(images), generator=generator, device=generator.device)
        chosen = order[:count]
        images[chosen] = change(images[chosen], generator)
    return images
