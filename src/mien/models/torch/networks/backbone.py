"""Networks of timm under the names of the papers, and any other as ``timm:NAME``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from torch import nn

from mien.models.torch.anatomy import parts
from mien.models.torch.spec import NOTHING, Spec, extra, register
from mien.types import InputError, ModelError, UnknownNameError
from mien.vision.geometry import Preprocess

THESIS: Final = "CK+48 and JAFFE thesis, tables 4.1 and 4.2"
VIT_STUDY: Final = "ViT on FER2013, section 4.2"
DNCSHAP: Final = "DnCShap, section 4.2, Table 1"


def timm_network(name: str, classes: int, **arguments: Any) -> Any:
    """A network of timm without weights; UnknownNameError names the nearest where there is none."""
    timm = extra("timm")
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownNameError(f"unknown timm network {name!r}; {hint}timm.list_models() has all")
    try:
        return timm.create_model(name, pretrained=False, num_classes=classes, **arguments)
    except (TypeError, RuntimeError, AssertionError) as error:
        raise ModelError(
            f"timm:{name} cannot be built with {arguments or 'its defaults'} ({error}); "
            "check size and extra"
        ) from error


def any_timm(
    network: str,
    classes: int,
    *,
    paper: str = "",
    size: int = 0,
    dropout: float = 0.0,
    extra: Mapping[str, Any] = NOTHING,
) -> tuple[nn.Module, Spec]:
    """Any network of timm, with the preprocessing of its published weights.

    ``size`` 0 means the size of those weights, ``dropout`` is before the last layer, and
    ``extra`` goes to ``timm.create_model`` as it is.
    """
    arguments = dict(extra)
    if dropout:
        arguments["drop_rate"] = dropout
    known = pretrained_config(network)
    if size % 120 and network.startswith("crossvit") and "_240" in network:
        raise InputError(f"expected a multiple of 120 pixels, got {size}; both grids must be whole")
    if size and known.get("fixed_input_size"):
        arguments["img_size"] = size  # position embeddings depend on it
    net = timm_network(network, classes, **arguments)
    return net, timm_spec(net, classes, paper=paper, size=size)


def timm_spec(net: Any, classes: int, *, paper: str, size: int = 0) -> Spec:
    """The spec of a network that timm has built."""
    config = net.pretrained_cfg
    known = parts(net)
    heads = config.get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else tuple(heads)
    preprocess = Preprocess(
        size=size or int(config["input_size"][-1]),
        channels=3,
        mean=tuple(map(float, config["mean"])),
        std=tuple(map(float, config["std"])),
    )
    return Spec(
        "",
        classes,
        paper,
        preprocess,
        layers=known.layers,
        heads=heads,
        stages=known.stages,
        class_map=known.class_map,
        attention=known.attention,
        repository=config.get("hf_hub_id") or "",
        notes=known.notes,
    )


def pretrained_config(network: str) -> dict[str, Any]:
    """What timm says of a network's published weights; empty where it knows nothing."""
    config = extra("timm").get_pretrained_cfg(network, allow_unregistered=True)
    return config.to_dict() if config is not None else {}


def _named(name: str, network: str, paper: str, counts: dict[int, int]) -> None:
    register(name, partial(any_timm, network, paper=paper), counts)


_named("convit-b", "convit_base.fb_in1k", THESIS, {6: 85_775_654, 7: 85_776_423})
_named("crossvit-b", "crossvit_base_240.in1k", THESIS, {6: 103_878_156, 7: 103_879_310})
_named("r50-vit-b16", "vit_base_r50_s16_224.orig_in21k", THESIS, {6: 97_894_726, 7: 97_895_495})
_named(
    "r50-vit-b16-384",
    "vit_base_r50_s16_384.orig_in21k_ft_in1k",
    THESIS,
    {6: 98_186_566, 7: 98_187_335},
)
_named("resnet50d", "resnet50d.ra2_in1k", THESIS, {6: 23_539_558, 7: 23_541_607})
_named(
    "vgg16", "vgg16.tv_in1k", f"{THESIS}; {VIT_STUDY}; {DNCSHAP}", {6: 134_285_126, 7: 134_289_223}
)
_named("vgg19", "vgg19.tv_in1k", THESIS, {6: 139_594_822, 7: 139_598_919})
_named("resnet18", "resnet18.tv_in1k", VIT_STUDY, {6: 11_179_590, 7: 11_180_103})
_named("resnet50", "resnet50.tv_in1k", DNCSHAP, {6: 23_520_326, 7: 23_522_375})
