"""The deeper and the plainer networks that GiMeFive is compared with, its reports' other rows.

The 25 layers with residual stages, a VGG and two ResNets (Wang, Kawka and Mahdi Mohammadi 2024);
``docs/models.md`` lists what the reports leave open.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn

from mien.extras import need
from mien.models.torch.networks.gimefive import (
    CELLS,
    PAPER,
    Excite,
    Repeat,
    dense,
    large_enough,
    pixels,
    trunk,
)
from mien.models.torch.registry import register
from mien.models.torch.spec import ClassMap, Layer, Spec


class ResidualStage(nn.Module):
    """Two 3x3 convolutions, the first of stride 2, around a 1x1 projection, each with its norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.project = nn.Conv2d(inputs, outputs, 1, stride=2)
        self.norm3 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Features ``[N, outputs, h / 2, w / 2]``."""
        y = self.norm2(self.second(torch.relu(self.norm1(self.first(x)))))
        return torch.relu(y + self.norm3(self.project(x)))


class SharedStage(nn.Module):
    """Two 3x3 convolutions that share one batch normalisation, then max-pooling: its VGG."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm = nn.BatchNorm2d(outputs)
        self.dropout = nn.Dropout(dropout)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        """Features ``[N, outputs, h / 2, w / 2]``."""
        x = self.dropout(torch.relu(self.norm(self.first(x))))
        pooled: Tensor = self.pool(self.relu(self.norm(self.second(x))))
        return pooled


def build_residual(
    classes: int,
    *,
    size: int = 64,
    channels: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048),
    head_dropout: float = 0.5,
) -> tuple[nn.Module, Spec]:
    """The 25 layers: a stem with excitation, five residual stages, three linear layers."""
    large_enough(size, 2 ** (len(channels) - 1))
    stem = nn.Sequential(
        OrderedDict(
            [
                ("conv", nn.Conv2d(3, channels[0], 3, padding=1)),
                ("norm", nn.BatchNorm2d(channels[0])),
                ("relu", nn.ReLU()),
                ("excite", Excite(channels[0])),
            ]
        )
    )
    stages = [ResidualStage(inputs, outputs) for inputs, outputs in pairwise(channels)]
    last = channels[-1]
    net = trunk(stages, dense((last, 2 * last, last, classes), head_dropout), stem)
    at = max([i for i in range(len(stages)) if size >> (i + 1) >= CELLS], default=0)
    return net, Spec(
        "",
        classes,
        "GiMeFive, section 4.3 (+BN+SE+RB, final report)",
        pixels(size),
        layers=(Layer(f"stages.{at}"),),
        output_layers=("head.6",),
        classifier=("head",),
        stages=("stem", *(f"stages.{i}" for i in range(len(stages)))),
        notes=(f"the layer is the deepest with {CELLS} x {CELLS} cells; the last has 2 x 2",),
    )


def build_vgg(
    classes: int,
    *,
    size: int = 64,
    channels: tuple[int, ...] = (64, 128, 256),
    hidden: tuple[int, ...] = (4096, 1024),
    dropout: float = 0.2,
    head_dropout: float = 0.5,
) -> tuple[nn.Module, Spec]:
    """Its VGG: three stages of two convolutions, then dense layers on the flattened map."""
    large_enough(size, 2 ** len(channels))
    stages = [SharedStage(a, b, dropout) for a, b in pairwise((3, *channels))]
    flat = channels[-1] * (size >> len(channels)) ** 2
    net = nn.Sequential(
        OrderedDict(
            [
                ("grey", Repeat()),
                ("stages", nn.Sequential(*stages)),
                ("flat", nn.Flatten()),
                ("head", dense((flat, *hidden, classes), head_dropout)),
            ]
        )
    )
    return net, Spec(
        "",
        classes,
        PAPER + " (VGG: final report)",
        pixels(size),
        layers=(Layer(f"stages.{len(channels) - 1}.relu"),),
        output_layers=(f"head.{3 * len(hidden)}",),
        classifier=("head",),
        stages=tuple(f"stages.{i}" for i in range(len(channels))),
    )


def build_resnet(
    network: str,
    classes: int,
    *,
    size: int = 64,
    layers: tuple[int, ...] = (),
    channels: tuple[int, ...] = (),
) -> tuple[nn.Module, Spec]:
    """ResNet18 or 34 from scratch, without the max-pooling after the 7x7 stem."""
    shape = {"layers": layers, "channels": channels}
    timm = need("timm", "train", "a network of timm")
    net = timm.create_model(network, num_classes=classes, **{k: v for k, v in shape.items() if v})
    net.maxpool = nn.Identity()
    return nn.Sequential(OrderedDict([("grey", Repeat()), ("net", net)])), Spec(
        "",
        classes,
        f"GiMeFive, Table 2 ({network})",
        pixels(size),
        layers=(Layer("net.layer4"),),
        output_layers=("net.fc",),
        stages=tuple(f"net.layer{i}" for i in range(1, 5)),
        class_map=ClassMap("net.layer4", "net.fc"),
    )


RESNET: Final = {"layers": (1, 1, 1, 1), "channels": (8, 16, 16, 16)}

register(
    "gimefive-25",
    build_residual,
    {6: 95_051_014, 7: 95_053_063},
    tiny={"channels": (8,) * 6},
)
register(
    "gimefive-vgg",
    build_vgg,
    {6: 72_460_742, 7: 72_461_767},
    tiny={"channels": (8,) * 3, "hidden": (16, 16)},
)
register(
    "gimefive-resnet18",
    partial(build_resnet, "resnet18"),
    {6: 11_179_590, 7: 11_180_103},
    tiny=RESNET,
)
register(
    "gimefive-resnet34",
    partial(build_resnet, "resnet34"),
    {6: 21_287_750, 7: 21_288_263},
    tiny=RESNET,
)
