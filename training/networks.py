"""The network of a recipe with the weights that training starts from, and those of teachers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from mien.models.torch.networks.compact import CompactNet, ResidualBlock
from training.examples import MEAN, STD, Examples
from training.recipe import Lite, Recipe, read_recipe
from training.shipped import load_file

CALIBRATION = 512  # crops whose statistics the shipped network's normalisation is unfolded with


def best_device() -> torch.device:
    """An accelerator of CUDA's kind where torch sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def placed(net: nn.Module, device: torch.device) -> nn.Module:
    """The network on a device, its filters laid out with the channels last."""
    return net.to(device).to(memory_format=torch.channels_last)


def build(recipe: Recipe, data: Examples, start: Path | None = None) -> nn.Module:
    """The recipe's network, on the CPU, with the weights that training starts from.

    ``start`` is the ``best.pt`` of another run, or a shipped file.
    """
    how = recipe.network
    if isinstance(how, Lite):
        from training.teacher import Lite as Teacher  # which needs timm

        teacher = Teacher(how.size, how.frozen, how.dropout, how.variant)
        teacher.start()
        return teacher
    net = CompactNet(how.stem, how.widths, how.blocks, how.dropout)
    net.template.copy_(data.landmarks[data.landmarks_ok].mean(dim=0))
    if start is None:
        return net
    small = CompactNet(how.stem, how.widths, how.started or how.blocks, how.dropout)
    if start.suffix == ".onnx":
        load_file(small, (data.images[:CALIBRATION].float() / 255 - MEAN) / STD, start)
    else:
        small.load_state_dict(torch.load(start, weights_only=True, map_location="cpu"))
    grow(small, net)
    return net


@torch.no_grad()
def grow(small: CompactNet, net: CompactNet) -> None:
    """Make ``net`` compute what ``small`` does, which has fewer residual blocks in its stages.

    A block more begins as the identity: the scale of its last normalisation is zero
    (Goyal et al. 2017, arXiv:1706.02677, section 5.1), and what comes in is not negative.
    """
    own = {n: m for n, m in small.named_children() if n != "trunk"}
    for name, module in own.items():
        net.get_submodule(name).load_state_dict(module.state_dict())
    net.template.copy_(small.template)
    layers = list(small.trunk)
    for layer in net.trunk:
        if layers and type(layers[0]) is type(layer):
            layer.load_state_dict(layers.pop(0).state_dict())
        elif isinstance(layer, ResidualBlock):
            layer.norm.weight.zero_()
        else:
            break
    if layers:
        raise ValueError(f"expected a network with no fewer blocks, {len(layers)} layers are left")


def freeze(net: nn.Module, count: int) -> list[nn.Module]:
    """The first ``count`` layers of the trunk, to be kept in evaluation, without gradients."""
    if not count or not isinstance(net, CompactNet):
        return []
    kept = list(net.trunk[:count])
    for layer in kept:
        layer.requires_grad_(False)
    return kept


def open_teacher(text: str, data: Examples) -> nn.Module:
    """The network of ``RECIPE=WEIGHTS``, the weights a run's ``best.pt`` or a shipped file."""
    recipe, _, weights = text.partition("=")
    if not weights:
        raise SystemExit(f"{text}: expected RECIPE=WEIGHTS")
    how, path = read_recipe(Path(recipe)), Path(weights)
    if path.suffix == ".onnx":
        return build(how, data, path)
    net = build(how, data)
    net.load_state_dict(torch.load(path, weights_only=True, map_location="cpu"))
    return net
