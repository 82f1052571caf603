"""Vision transformers: ViT-B/16 (Dosovitskiy et al. 2021) with two heads."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from torch import nn

from mien.models.torch.networks.backbone import THESIS, timm_network, timm_spec
from mien.models.torch.registry import register
from mien.models.torch.spec import Spec

# the same weights as google/vit-base-patch16-224-in21k, under timm's names
NETWORK: Final = "vit_base_patch16_224.orig_in21k"
KDEF: Final = "ViT on KDEF, section 2, Listing 1"
STUDY: Final = "ViT on FER2013, sections 2.3 and 4.3"


def build(
    classes: int,
    *,
    hidden: int = 0,
    dropout: float = 0.0,
    size: int = 224,
    patch: int = 16,
    width: int = 768,
    depth: int = 12,
    attention_heads: int = 12,
) -> tuple[nn.Module, Spec]:
    """ViT-B/16 whose class token is classified by one linear layer, or through ``hidden`` units.

    With ``hidden`` the head is dropout, linear, ReLU, dropout, linear; without it, dropout and
    linear. ``width``, ``depth`` and the rest make smaller variants; pretrained weights fit the
    defaults and any ``size``.
    """
    net = timm_network(
        NETWORK,
        classes,
        img_size=size,
        patch_size=patch,
        embed_dim=width,
        depth=depth,
        num_heads=attention_heads,
        drop_rate=0.0 if hidden else dropout,
    )
    spec = timm_spec(net, classes, paper=STUDY if hidden else f"{KDEF}; {THESIS}", size=size)
    if hidden:
        net.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )
    return net, replace(spec, output_layers=("head",))


TINY: Final = {"size": 32, "patch": 8, "width": 24, "depth": 2, "attention_heads": 2}

register("vit-b16", build, {6: 85_803_270, 7: 85_804_039}, tiny=TINY)
register(
    "vit-b16-mlp",
    partial(build, hidden=256, dropout=0.3),
    {6: 85_997_062, 7: 85_997_319},
    tiny={**TINY, "hidden": 16},
)
