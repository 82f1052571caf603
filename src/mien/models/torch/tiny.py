"""Options that make each registered model small enough for a pass in a fraction of a second."""

from __future__ import annotations

from typing import Any, Final

_RESNET: Final = {"layers": (1, 1, 1, 1), "channels": (8, 16, 16, 16)}
_BOTTLENECK: Final = {"layers": (1, 1, 1, 1), "channels": (4, 4, 8, 8)}
_VIT: Final = {"size": 32, "patch": 8, "width": 24, "depth": 2, "attention_heads": 2}
_HYBRID: Final = {"size": 64, "extra": {"embed_dim": 32, "depth": 2, "num_heads": 2}}
_VGG: Final = {"size": 32, "extra": {"mlp_ratio": 0.01}}  # timm's widths cannot be changed

#: A registered model without an entry stays as it is; a test holds that all have one.
TINY: Final[dict[str, dict[str, Any]]] = {
    "gimefive-10": {"channels": (8,) * 5},
    "gimefive-13": {"channels": (8,) * 4},
    "gimefive-15": {"channels": (8,) * 5},
    "gimefive-16": {"channels": (8,) * 5},
    "gimefive-17": {"channels": (8,) * 6},
    "gimefive-25": {"channels": (8,) * 6},
    "gimefive-vgg": {"channels": (8,) * 3, "hidden": (16, 16)},
    "gimefive-resnet18": _RESNET,
    "gimefive-resnet34": _RESNET,
    "vgg-residual": {"channels": (8,) * 5, "hidden": (16, 16)},
    "vgg-residual-baseline": {"channels": (8,) * 5, "hidden": (16, 16)},
    "vit-b16": _VIT,
    "vit-b16-mlp": {**_VIT, "hidden": 16},
    "vit-small": {"size": 32, "width": 24, "depth": 2, "attention_heads": 2},
    "convit-b": {
        "size": 32,
        "extra": {
            "patch_size": 8, "embed_dim": 32, "depth": 3, "num_heads": 4, "local_up_to_layer": 2,
        },
    },
    "crossvit-b": {
        "size": 120, "extra": {"embed_dim": (16, 24), "num_heads": (2, 2)},
    },
    "r50-vit-b16": _HYBRID,
    "r50-vit-b16-384": _HYBRID,
    "resnet50d": {"size": 64, "extra": _BOTTLENECK},
    "vgg16": _VGG,
    "vgg19": _VGG,
    "resnet18": {"size": 64, "extra": _RESNET},
    "resnet50": {"size": 64, "extra": _BOTTLENECK},
    "vgg19-svm": {"size": 64, "channels": (8,) * 5},
    "resnet50-dense": {"size": 64, "hidden": (16, 8), "extra": _BOTTLENECK},
    "compact": {"stem": 8, "widths": (8, 8, 8), "blocks": (0, 0, 1)},
}  # fmt: skip


def shrunk(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """A model's options with what makes it small; the rest of them stays, as far as it fits.

    >>> shrunk("gimefive-13", {"dropout": 0.3})
    {'dropout': 0.3, 'channels': (8, 8, 8, 8)}
    """
    small = TINY.get(name, {})
    extra = {**options.get("extra", {}), **small.get("extra", {})}
    return {**options, **small} | ({"extra": extra} if extra else {})
