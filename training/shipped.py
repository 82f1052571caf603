"""The weights of a shipped network, recovered from its ONNX file: where training may start."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from mien.models.torch.networks.compact import CompactNet, ConvUnit, ResidualBlock

FILTER_NORM = 3**-0.5  # of each filter, as torch's own initialisation gives it


def initializers(path: Path) -> dict[str, Tensor]:
    """The file's constants in 32-bit floats; those kept in 16 bits lose their suffix."""
    graph = onnx.load(str(path)).graph
    return {
        t.name.removesuffix("_half"): torch.from_numpy(
            np.array(numpy_helper.to_array(t), dtype=np.float32)
        )
        for t in graph.initializer
    }


def units(net: CompactNet) -> list[tuple[str, nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution of the trunk with its name and its normalisation, in order."""
    found: list[tuple[str, nn.Conv2d, nn.BatchNorm2d]] = []
    for name, module in net.named_modules():
        if isinstance(module, ConvUnit):
            conv, norm = module[0], module[1]
            assert isinstance(conv, nn.Conv2d)
            assert isinstance(norm, nn.BatchNorm2d)
            found.append((f"{name}.0", conv, norm))
        elif isinstance(module, ResidualBlock):
            found.append((f"{name}.second", module.second, module.norm))
    order = {name: i for i, (name, _) in enumerate(net.named_modules())}
    return sorted(found, key=lambda unit: order[unit[0]])


@torch.no_grad()
def load_file(net: CompactNet, pixels: Tensor, path: Path) -> None:
    """Make ``net`` compute what a shipped file ``path`` does, ready to be trained on.

    The file has each batch normalisation folded into the convolution before it. It is unfolded
    with the mean and variance of ``pixels [N, 1, 48, 48]``, normalised training crops, so that
    the network says the same in training as in evaluation; filters get one common norm, since
    normalisation makes their scale free and the learning rate should mean the same for all.
    """
    values = initializers(path)
    net.eval()
    for name, conv, norm in units(net):
        folded, bias = values[f"net.{name}.weight"], values[f"net.{name}.weight_bias"]
        size = folded.flatten(1).norm(dim=1).clamp(min=1e-6) / FILTER_NORM
        conv.weight.copy_(folded / size[:, None, None, None])
        seen: list[Tensor] = []
        hook = conv.register_forward_hook(lambda _m, _i, out, seen=seen: seen.append(out))
        net(pixels)
        hook.remove()
        variance, mean = torch.var_mean(seen[0], dim=(0, 2, 3))
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(size * (variance + norm.eps).sqrt())
        norm.bias.copy_(bias + size * mean)
    # the exporter names a head's weights as it pleases: they are told by their shapes
    for head in (net.ferplus, net.fer2013):
        shape = (*head.weight.shape, 1, 1)
        (weight,) = [v for v in values.values() if v.shape == shape]
        head.weight.copy_(weight[:, :, 0, 0])
    state = net.state_dict()
    for name in (
        "ferplus.bias",
        "fer2013.bias",
        "locate.0.weight",
        "locate.0.bias",
        "landmarks.weight",
        "landmarks.bias",
        "template",
    ):
        state[name].copy_(values[f"net.{name}"])
