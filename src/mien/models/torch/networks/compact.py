"""The compact network behind the built-in model: one trunk, two expression heads, landmarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.emotions import EIGHT, SEVEN
from mien.vision.landmarks import LANDMARKS


class CompactOutput(NamedTuple):
    """What the network returns for a batch of N crops."""

    ferplus: Tensor  # logits [N, 8], order of EIGHT
    fer2013: Tensor  # logits [N, 7], order of SEVEN
    landmarks: Tensor  # [N, 24, 2], x and y in -1..1 across the crop
    features: Tensor  # [N, C, h, w], what the linear heads average


class ConvUnit(nn.Sequential):
    """3x3 convolution, batch normalisation, ReLU; keeps the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around an identity shortcut (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvUnit(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same shape."""
        return F.relu(x + self.norm(self.second(self.first(x))))


class CompactNet(nn.Module):
    """A residual network for 48 x 48 grey face crops, 3.2 M parameters with the default widths.

    ``stem`` channels at 48 x 48, then one stage per entry of ``widths`` at 24, 12, 6 pixels,
    each a convolution and ``blocks`` residual blocks. Global average pooling and one linear
    layer per label set make class activation maps exact (Zhou et al. 2016, arXiv:1512.04150).
    The landmark head sees the last feature map before pooling, because pooling forgets where.

    >>> import torch
    >>> CompactNet().eval()(torch.zeros(2, 1, 48, 48)).ferplus.shape
    torch.Size([2, 8])
    """

    template: Tensor  # [24, 2], mean landmarks in -1..1

    def __init__(
        self,
        stem: int = 32,
        widths: Sequence[int] = (64, 128, 256),
        blocks: Sequence[int] = (1, 1, 2),
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvUnit(1, stem)]
        channels = stem
        for width, count in zip(widths, blocks, strict=True):
            layers += [nn.MaxPool2d(2), ConvUnit(channels, width)]
            layers += [ResidualBlock(width) for _ in range(count)]
            channels = width
        self.trunk = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.ferplus = nn.Linear(channels, len(EIGHT))
        self.fer2013 = nn.Linear(channels, len(SEVEN))
        self.locate = nn.Sequential(nn.Conv2d(channels, 32, 1), nn.ReLU(inplace=True), nn.Flatten())
        self.landmarks = nn.Linear(32 * 6 * 6, 2 * len(LANDMARKS))
        self.register_buffer("template", torch.zeros(len(LANDMARKS), 2))

    def forward(self, x: Tensor) -> CompactOutput:
        """All heads for normalised pixels ``[N, 1, 48, 48]``."""
        features = self.trunk(x)
        pooled = self.dropout(features.mean(dim=(2, 3)))
        offsets = self.landmarks(self.locate(features)).view(-1, len(LANDMARKS), 2)
        return CompactOutput(
            self.ferplus(pooled), self.fer2013(pooled), self.template + offsets, features
        )
