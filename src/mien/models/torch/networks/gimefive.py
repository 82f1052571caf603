"""The GiMeFive family: Wang, Kawka and Mahdi Mohammadi, preliminary report and final one (2024).

Six expressions without neutral, grey pictures of 64 x 64 on three equal channels (section 4.2).
The numbers of parameters in Table 2 pin the layers; where they are silent, the text or this file
decides: ``docs/models.md`` lists each choice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn

from mien.models.torch.spec import ClassMap, Layer, Spec, extra, register
from mien.registry import choose
from mien.types import InputError
from mien.vision.geometry import Preprocess

PAPER: Final = "GiMeFive, section 4.3, Table 2"
POOLINGS: Final = ("max", "average")
CELLS: Final = 4  # an explanation on fewer cells a side than this says little about a face


class Repeat(nn.Module):
    """Grey ``[N, 1, h, w]`` as three equal channels; three channels pass as they are."""

    def forward(self, x: Tensor) -> Tensor:
        """Pixels ``[N, 3, h, w]``."""
        return x.expand(-1, 3, -1, -1)


class Excite(nn.Module):
    """Squeeze and excitation (Hu et al. 2018, arXiv:1709.01507), reduction 16, no bias."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        narrow = max(channels // reduction, 1)
        self.squeeze = nn.Linear(channels, narrow, bias=False)
        self.excite = nn.Linear(narrow, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same shape, each channel scaled by 0..1."""
        scale = torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean(dim=(2, 3))))))
        return x * scale[:, :, None, None]


class HalvingAverage(nn.Module):
    """Adaptive average pooling to half the rows and columns."""

    def forward(self, x: Tensor) -> Tensor:
        """Features ``[N, C, h // 2, w // 2]``."""
        return nn.functional.adaptive_avg_pool2d(x, (x.shape[2] // 2, x.shape[3] // 2))


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


def plain_stage(
    inputs: int, outputs: int, norm: bool, excite: bool, pooling: str, dropout: float
) -> nn.Sequential:
    """One 3x3 convolution, normalisation, ReLU, excitation, pooling by 2 and dropout."""
    parts: list[tuple[str, nn.Module]] = [("conv", nn.Conv2d(inputs, outputs, 3, padding=1))]
    parts += [("norm", nn.BatchNorm2d(outputs))] if norm else []
    parts += [("relu", nn.ReLU())]  # not in place: explanations read what it gives
    parts += [("excite", Excite(outputs))] if excite else []
    halve = nn.MaxPool2d(2) if choose("pooling", pooling, POOLINGS) == "max" else HalvingAverage()
    parts += [("pool", halve), ("dropout", nn.Dropout(dropout))]
    return nn.Sequential(OrderedDict(parts))


def dense(sizes: Sequence[int], dropout: float) -> nn.Sequential:
    """Linear layers ``sizes[0]`` to ``sizes[-1]`` with ReLU and dropout between them."""
    parts: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        parts += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*parts[:-2])


def trunk(stages: Sequence[nn.Module], head: nn.Module, stem: nn.Module | None) -> nn.Sequential:
    """Stages, global average and head under the names that the specs give."""
    parts: list[tuple[str, nn.Module]] = [("grey", Repeat())]
    parts += [("stem", stem)] if stem is not None else []
    parts += [("stages", nn.Sequential(*stages)), ("average", nn.AdaptiveAvgPool2d(1))]
    return nn.Sequential(OrderedDict([*parts, ("flat", nn.Flatten()), ("head", head)]))


def pixels(size: int) -> Preprocess:
    """One grey channel, scaled as the authors' published evaluation scales three.

    They use ImageNet's mean and std per channel; on equal channels one mean and std serve.
    """
    return Preprocess(size=size, channels=1, mean=(0.449,), std=(0.226,))


def build_plain(
    classes: int,
    *,
    size: int = 64,
    channels: tuple[int, ...] = (64, 128, 256, 512, 1024),
    depth: int = 0,
    norm: bool = True,
    excite: bool = False,
    pooling: str = "max",
    linear: int = 3,
    dropout: float = 0.2,
    head_dropout: float = 0.5,
) -> tuple[nn.Module, Spec]:
    """One convolution a stage, global average, one to three linear layers (C, 2C, C, classes).

    ``channels`` gives the widths; ``depth`` is another number of convolutions, each with twice
    the channels of the one before, from the first of ``channels`` on. ``excite`` puts squeeze and
    excitation on the first stage.
    """
    if not 0 <= depth <= 8:
        raise InputError(f"expected a depth of 1 to 8 convolutions (0: as channels), got {depth}")
    if depth:
        channels = tuple(channels[0] << i for i in range(depth))
    if not 1 <= linear <= 3:
        raise InputError(f"expected 1, 2 or 3 linear layers, got {linear}")
    _large_enough(size, 2 ** len(channels))
    stages = [
        plain_stage(inputs, outputs, norm, excite and i == 0, pooling, dropout)
        for i, (inputs, outputs) in enumerate(pairwise((3, *channels)))
    ]
    last = channels[-1]
    sizes = (last, *((2 * last, last)[: linear - 1]), classes)
    net = trunk(stages, dense(sizes, head_dropout), None)
    at = max([i for i in range(len(channels)) if size >> i >= CELLS], default=0)
    head = f"head.{3 * (linear - 1)}"
    return net, Spec(
        "",
        classes,
        PAPER,
        pixels(size),
        layers=(Layer(f"stages.{at}.relu"),),
        heads=(head,),
        classifier=("head",),
        stages=tuple(f"stages.{i}" for i in range(len(channels))),
        class_map=ClassMap(f"stages.{len(channels) - 1}", head) if linear == 1 else None,
        notes=(
            f"the layer is the deepest with {CELLS} x {CELLS} cells or more; with five stages it "
            "is the fifth convolution, which section 4.5 explains",
        ),
    )


def build_residual(
    classes: int,
    *,
    size: int = 64,
    channels: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048),
    head_dropout: float = 0.5,
) -> tuple[nn.Module, Spec]:
    """The 25 layers: a stem with excitation, five residual stages, three linear layers."""
    _large_enough(size, 2 ** (len(channels) - 1))
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
        heads=("head.6",),
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
    _large_enough(size, 2 ** len(channels))
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
        heads=(f"head.{3 * len(hidden)}",),
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
    net = extra("timm").create_model(
        network, num_classes=classes, **{k: v for k, v in shape.items() if v}
    )
    net.maxpool = nn.Identity()
    return nn.Sequential(OrderedDict([("grey", Repeat()), ("net", net)])), Spec(
        "",
        classes,
        f"GiMeFive, Table 2 ({network})",
        pixels(size),
        layers=(Layer("net.layer4"),),
        heads=("net.fc",),
        stages=tuple(f"net.layer{i}" for i in range(1, 5)),
        class_map=ClassMap("net.layer4", "net.fc"),
    )


def _large_enough(size: int, factor: int) -> None:
    if size < factor:
        raise InputError(f"expected a size of {factor} pixels or more, got {size}; it is halved")


_FIVE: Final = (64, 128, 256, 512, 1024)

register(
    "gimefive-10",
    partial(build_plain, channels=_FIVE, norm=False),
    {6: 10_474_118, 7: 10_475_143},
)
register("gimefive-13", partial(build_plain, channels=_FIVE[:4]), {6: 2_606_086, 7: 2_606_599})
register("gimefive-15", partial(build_plain, channels=_FIVE), {6: 10_478_086, 7: 10_479_111})
register(
    "gimefive-16",
    partial(build_plain, channels=_FIVE, excite=True),
    {6: 10_478_598, 7: 10_479_623},
)
register(
    "gimefive-17",
    partial(build_plain, channels=(*_FIVE, 2048)),
    {6: 41_950_726, 7: 41_952_775},
)
register("gimefive-25", build_residual, {6: 95_051_014, 7: 95_053_063})
register("gimefive-vgg", build_vgg, {6: 72_460_742, 7: 72_461_767})
register("gimefive-resnet18", partial(build_resnet, "resnet18"), {6: 11_179_590, 7: 11_180_103})
register("gimefive-resnet34", partial(build_resnet, "resnet34"), {6: 21_287_750, 7: 21_288_263})
