"""The trained network of the built-in model, with the outputs that its file has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mien.models.torch.networks.compact import CompactNet

OUTPUTS = ("logits_ferplus", "cam_ferplus", "logits_fer2013", "cam_fer2013", "landmarks")
HEADS = 3  # convolutions that stay in floats: two activation maps and the landmark head's


class Exported(nn.Module):
    """The network with the file's outputs: logits, class activation maps, landmarks in 0..1."""

    def __init__(self, net: CompactNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        out = self.net(x)
        outputs: list[Tensor] = []
        for head in (self.net.ferplus, self.net.fer2013):
            cam = torch.nn.functional.conv2d(out.features, head.weight[:, :, None, None])
            outputs += [cam.mean(dim=(2, 3)) + head.bias, cam]
        return (*outputs, (out.landmarks + 1) / 2)


def load_network(network: dict[str, Any], weights: Path) -> CompactNet:
    own = {name: value for name, value in network.items() if name != "started"}
    net: CompactNet = CompactNet(**own)
    net.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
    net.eval()
    return net
