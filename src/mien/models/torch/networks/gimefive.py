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

from mien.models.torch.registry import register
from mien.models.torch.spec import ClassMap, Layer, Spec
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
    large_enough(size, 2 ** len(channels))
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
        output_layers=(head,),
        classifier=("head",),
        stages=tuple(f"stages.{i}" for i in range(len(channels))),
        class_map=ClassMap(f"stages.{len(channels) - 1}", head) if linear == 1 else None,
        notes=(
            f"the layer is the deepest with {CELLS} x {CELLS} cells or more; with five stages it "
            "is the fifth convolution, which section 4.5 explains",
        ),
    )


def large_enough(size: int, factor: int) -> None:
    """InputError for a picture that cannot be halved as often as the network does it."""
    if size < factor:
        raise InputError(f"expected a size of {factor} pixels or more, got {size}; it is halved")


FIVE: Final = (64, 128, 256, 512, 1024)

register(
    "gimefive-10",
    partial(build_plain, channels=FIVE, norm=False),
    {6: 10_474_118, 7: 10_475_143},
    tiny={"channels": (8,) * 5},
)
register(
    "gimefive-13",
    partial(build_plain, channels=FIVE[:4]),
    {6: 2_606_086, 7: 2_606_599},
    tiny={"channels": (8,) * 4},
)
register(
    "gimefive-15",
    partial(build_plain, channels=FIVE),
    {6: 10_478_086, 7: 10_479_111},
    tiny={"channels": (8,) * 5},
)
register(
    "gimefive-16",
    partial(build_plain, channels=FIVE, excite=True),
    {6: 10_478_598, 7: 10_479_623},
    tiny={"channels": (8,) * 5},
)
register(
    "gimefive-17",
    partial(build_plain, channels=(*FIVE, 2048)),
    {6: 41_950_726, 7: 41_952_775},
    tiny={"channels": (8,) * 6},
)
