"""The thesis's convolutional baselines (section 3.3): VGG19 + linear SVM, ResNet50 + dense layers.

A linear SVM decides by ``w . x + b``: fitted by scikit-learn (``training.strategy = "svm"``), it
becomes the last linear layer of a network that is explained, saved and exported like every other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

from torch import Tensor, nn

from mien.models.torch.anatomy import with_parameters
from mien.models.torch.networks.backbone import BOTTLENECK, timm_network, timm_spec
from mien.models.torch.registry import NOTHING, register
from mien.models.torch.spec import IMAGENET_MEAN, IMAGENET_STD, ClassMap, Layer, Spec
from mien.registry import choose
from mien.types import InputError
from mien.vision.geometry import Preprocess

PAPER: Final = "CK+48 and JAFFE thesis, section 3.3"
VGG19: Final = (2, 2, 4, 4, 4)  # convolutions in each of the five groups
POOLS: Final = ("average", "flatten")


class FeatureSVM(nn.Module):
    """VGG19's convolutions up to one of five groups, pooled, and the SVM as a linear layer.

    ``features`` has VGG19's indices, so that published weights load. Without them it starts from
    He et al. 2015 (arXiv:1502.01852), as VGG does: by torch's own start each layer's biases drown
    what the images differ in, and the SVM would stretch the last bits of a float.
    """

    def __init__(
        self, classes: int, size: int, channels: tuple[int, ...], group: int, pool: str
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for depth, outputs in list(zip(VGG19, channels, strict=True))[:group]:
            for _ in range(depth):
                convolution = nn.Conv2d(inputs, outputs, 3, padding=1)
                nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]  # it has one
                layers += [convolution, nn.ReLU()]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        average = choose("pool", pool, POOLS) == "average"
        self.pool = nn.AdaptiveAvgPool2d(1) if average else nn.Identity()
        self.svm = nn.Linear(inputs if average else inputs * (size >> group) ** 2, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Decision values ``[N, classes]`` of pixels ``[N, 3, size, size]``: signed distances."""
        values: Tensor = self.svm(self.pool(self.features(x)).flatten(1))
        return values


def build_svm(
    classes: int,
    *,
    size: int = 224,
    channels: tuple[int, ...] = (64, 128, 256, 512, 512),
    group: int = 5,
    pool: str = "average",
) -> tuple[nn.Module, Spec]:
    """VGG19 features of the ``group`` 1..5 and a linear SVM, which strategy ``svm`` fits."""
    if not 1 <= group <= len(VGG19) or size < 2**group:
        raise InputError(
            f"expected a group of 1..5 and a size of 2**group pixels or more, got {group}, {size}"
        )
    net = FeatureSVM(classes, size, channels, group, pool)
    last = len(net.features) - 1
    return net, Spec(
        "",
        classes,
        PAPER,
        Preprocess(size=size, channels=3, mean=IMAGENET_MEAN, std=IMAGENET_STD),
        layers=(Layer(f"features.{last}"),),
        output_layers=("svm",),
        stages=with_parameters("features", net.features),
        class_map=ClassMap(f"features.{last}", "svm") if pool == "average" else None,
        dropped=("features", "pre_logits", "classifier", "head"),
        repository="timm/vgg19.tv_in1k",
        notes=("outputs are SVM decision values: calibrate them before reading probabilities",),
    )


def build_dense(
    classes: int,
    *,
    size: int = 224,
    hidden: tuple[int, ...] = (512, 256),
    pool: str = "flatten",
    dropout: float = 0.0,
    extra: Mapping[str, Any] = NOTHING,
) -> tuple[nn.Module, Spec]:
    """ResNet50 whose output layer gives way to a flattening layer and three dense layers."""
    flatten = choose("pool", pool, POOLS) == "flatten"
    net = timm_network("resnet50.tv_in1k", classes, **extra)
    if flatten:
        net.global_pool = nn.Flatten(1)
    cells = math.ceil(size / 32) ** 2 if flatten else 1  # five halvings, each rounded up
    widths = (net.num_features * cells, *hidden)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(dropout)]
    net.fc = nn.Sequential(*layers, nn.Linear(widths[-1], classes))
    spec = timm_spec(net, classes, paper=PAPER, size=size)
    return net, spec


register(
    "vgg19-svm",
    build_svm,
    {6: 20_027_462, 7: 20_027_975},
    tiny={"size": 64, "channels": (8,) * 5},
)
register(
    "resnet50-dense",
    build_dense,
    {6: 75_021_638, 7: 75_021_895},
    tiny={"size": 64, "hidden": (16, 8), "extra": BOTTLENECK},
)
