"""VGG16 with residual layers: Malik, Kumar and Raman (2021), doi:10.1145/3490035.3490271.

Section 3.2 gives the layers, section 4.2 the ablation ("baseline": the residual layers of the
last two blocks only, dense layers of 4096). ``docs/models.md`` lists what the paper leaves open.
The other rows of its Table 1, VGG-16 and ResNet-50, are the models ``vgg16`` and ``resnet50``.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import Final

import torch
from torch import Tensor, nn

from mien.models.torch.anatomy import with_parameters
from mien.models.torch.registry import register
from mien.models.torch.spec import IMAGENET_MEAN, IMAGENET_STD, Layer, Spec
from mien.types import InputError
from mien.vision.geometry import Preprocess

PAPER: Final = "DnCShap, section 3.2, Table 1"
DEPTHS: Final = (2, 2, 3, 3, 3)  # convolutions in the blocks B1..B5


class VggResidual(nn.Module):
    """VGG16's five blocks, a shortcut from some of them to the end, and three dense layers.

    ``features`` has the indices of VGG16 in torchvision and timm, so that their weights load. A
    shortcut R_l takes what block l gives (after its max-pooling), halves it as often as the
    blocks that it skips, and ends in a 3x3 convolution of ``channels[-1]`` channels. All ends are
    concatenated with B5's, flattened, and go through ``hidden`` to the logits. Weights start from
    He et al. 2015 (arXiv:1502.01852): by torch's own start thirteen layers without normalisation
    shrink what the images differ in to a thousandth of the logits, and training stalls for epochs.
    """

    def __init__(
        self,
        classes: int,
        size: int,
        channels: tuple[int, ...],
        shortcuts: tuple[int, ...],
        hidden: tuple[int, ...],
        dropout: float,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.ends: list[int] = []  # index of each block's max-pooling
        inputs = 3
        for depth, outputs in zip(DEPTHS, channels, strict=True):
            for _ in range(depth):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
            self.ends.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)
        self.residual = nn.ModuleDict(
            {
                f"r{number}": nn.Sequential(
                    *(nn.MaxPool2d(2) for _ in range(len(channels) - number)),
                    nn.Conv2d(channels[number - 1], channels[-1], 3, padding=1),
                    nn.ReLU(),
                )
                for number in shortcuts
            }
        )
        self.taps = [self.ends[number - 1] for number in shortcuts]
        flat = channels[-1] * (1 + len(shortcuts)) * (size >> len(channels)) ** 2
        parts: list[tuple[str, nn.Module]] = []
        for i, width in enumerate(hidden, start=1):
            parts += [(f"fc{i}", nn.Linear(flat, width)), (f"relu{i}", nn.ReLU())]
            parts += [(f"dropout{i}", nn.Dropout(dropout))]
            flat = width
        self.dense = nn.Sequential(OrderedDict(parts))
        self.logits = nn.Linear(flat, classes)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[N, classes]`` of pixels ``[N, 3, size, size]``."""
        ends = []
        shortcuts = dict(zip(self.taps, self.residual.values(), strict=True))
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in shortcuts:
                ends.append(shortcuts[index](x))
        joined = torch.cat([x, *ends], dim=1)
        logits: Tensor = self.logits(self.dense(joined.flatten(1)))
        return logits


def build(
    classes: int,
    *,
    size: int = 48,
    channels: tuple[int, ...] = (64, 128, 256, 512, 512),
    shortcuts: tuple[int, ...] = (1, 2, 3, 4),
    hidden: tuple[int, ...] = (2048, 2048),
    dropout: float = 0.0,
) -> tuple[nn.Module, Spec]:
    """The proposed network; ``shortcuts`` are the blocks after which a residual layer starts."""
    if size < 32:
        raise InputError(f"expected a size of 32 pixels or more, got {size}; it is halved 5 times")
    if not set(shortcuts) <= {1, 2, 3, 4}:
        raise InputError(f"expected shortcuts among 1, 2, 3, 4, got {list(shortcuts)}")
    net = VggResidual(classes, size, channels, tuple(sorted(shortcuts)), hidden, dropout)
    return net, Spec(
        "",
        classes,
        PAPER,
        Preprocess(size=size, channels=3, mean=IMAGENET_MEAN, std=IMAGENET_STD),
        layers=(Layer(f"features.{net.ends[-1] - 1}"),),
        output_layers=("logits",),
        stages=with_parameters("features", net.features),
        added=("residual", "dense", "logits"),
        dropped=("pre_logits", "head", "classifier"),
        repository="timm/vgg16.tv_in1k",
        notes=(
            "the layer is B5's last activation; the residual layers pass it by, so a map of it "
            "shows the evidence of one of the five paths only",
        ),
    )


TINY: Final = {"channels": (8,) * 5, "hidden": (16, 16)}

register("vgg-residual", build, {6: 28_593_990, 7: 28_596_039}, tiny=TINY)
register(
    "vgg-residual-baseline",
    partial(build, shortcuts=(3, 4), hidden=(4096, 4096)),
    {6: 41_356_102, 7: 41_360_199},
    tiny=TINY,
)
