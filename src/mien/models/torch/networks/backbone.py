"""Networks of timm under the names of the papers, and any other as ``timm:NAME``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from torch import nn

from mien.extras import need
from mien.models.torch.anatomy import parts
from mien.models.torch.borrow import uncompiled
from mien.models.torch.registry import NOTHING, register
from mien.models.torch.spec import Spec
from mien.types import InputError, ModelError, UnknownNameError
from mien.vision.geometry import Preprocess

THESIS: Final = "CK+48 and JAFFE thesis, tables 4.1 and 4.2"
VIT_STUDY: Final = "ViT on FER2013, section 4.2"
DNCSHAP: Final = "DnCShap, section 4.2, Table 1"


def timm_network(name: str, classes: int, **arguments: Any) -> Any:
    """A network of timm without weights; UnknownNameError names the nearest where there is none."""
    timm = need("timm", "train", "a network of timm")
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


def timm_spec(net: nn.Module, classes: int, *, paper: str = "", size: int = 0) -> Spec:
    """The spec of a network that timm has built, also by hand, with options of its own.

    Channels and size are the network's: of its first convolution, and of its position embeddings
    where it has a fixed size; else ``size``, or that of its published weights. A network that
    takes one channel gets the mean of the three means and stds. Raises ModelError for a network
    that timm has not built, or that takes neither grey nor RGB squares.

    Parameters
    ----------
    net
        A network of timm.
    classes
        Number of outputs.
    paper
        Where it is from, in words.

    >>> import timm
    >>> net = timm.create_model("resnet18", num_classes=7, in_chans=1)
    >>> timm_spec(net, 7).preprocess.channels
    1
    """
    net = uncompiled(net)
    config: dict[str, Any] = getattr(net, "pretrained_cfg", None) or {}
    if not {"input_size", "mean", "std"} <= set(config):
        raise ModelError(
            f"expected a network that timm has built, got {type(net).__module__}."
            f"{type(net).__name__}; take mien.models.torch.own.own_spec, which measures any network"
        )
    known = parts(net)
    named = config.get("classifier") or ()
    return Spec(
        "",
        classes,
        paper,
        _preprocess(net, config, size),
        layers=known.layers,
        output_layers=(named,) if isinstance(named, str) else tuple(named),
        stages=known.stages,
        class_map=known.class_map,
        attention=known.attention,
        repository=config.get("hf_hub_id") or "",
        notes=known.notes,
    )


def _preprocess(net: nn.Module, config: dict[str, Any], size: int) -> Preprocess:
    """What the network takes: read from it where it says so, else from its published weights."""
    first = next((m for m in net.modules() if isinstance(m, nn.Conv2d)), None)
    channels = first.in_channels if first is not None else int(config["input_size"][0])
    mean, std = (tuple(map(float, config[key])) for key in ("mean", "std"))
    if channels not in (1, 3):
        raise ModelError(
            f"{type(net).__name__}: expected a network of 1 channel (grey) or 3 (RGB), "
            f"got {channels}"
        )
    if len(mean) != channels:
        mean, std = ((sum(values) / len(values),) * channels for values in (mean, std))
    own = getattr(net, "img_size", None) or getattr(
        getattr(net, "patch_embed", None), "img_size", None
    )
    sides: set[int] = {own} if isinstance(own, int) else set(own or ())
    if len(sides) > 1:
        raise ModelError(f"{type(net).__name__}: expected square pictures, got {sorted(sides)}")
    side = size or int(next(iter(sides), config["input_size"][-1]))
    return Preprocess(size=side, channels=channels, mean=mean, std=std)


def pretrained_config(network: str) -> dict[str, Any]:
    """What timm says of a network's published weights; empty where it knows nothing."""
    timm = need("timm", "train", "a network of timm")
    config = timm.get_pretrained_cfg(network, allow_unregistered=True)
    return config.to_dict() if config is not None else {}


RESNET: Final = {"layers": (1, 1, 1, 1), "channels": (8, 16, 16, 16)}
BOTTLENECK: Final = {"layers": (1, 1, 1, 1), "channels": (4, 4, 8, 8)}
HYBRID: Final = {"size": 64, "extra": {"embed_dim": 32, "depth": 2, "num_heads": 2}}
VGG: Final = {"size": 32, "extra": {"mlp_ratio": 0.01}}  # timm's widths cannot be changed


register(
    "convit-b",
    partial(any_timm, "convit_base.fb_in1k", paper=THESIS),
    {6: 85_775_654, 7: 85_776_423},
    tiny={
        "size": 32,
        "extra": {
            "patch_size": 8,
            "embed_dim": 32,
            "depth": 3,
            "num_heads": 4,
            "local_up_to_layer": 2,
        },
    },
)
register(
    "crossvit-b",
    partial(any_timm, "crossvit_base_240.in1k", paper=THESIS),
    {6: 103_878_156, 7: 103_879_310},
    tiny={"size": 120, "extra": {"embed_dim": (16, 24), "num_heads": (2, 2)}},
)
register(
    "r50-vit-b16",
    partial(any_timm, "vit_base_r50_s16_224.orig_in21k", paper=THESIS),
    {6: 97_894_726, 7: 97_895_495},
    tiny=HYBRID,
)
register(
    "r50-vit-b16-384",
    partial(any_timm, "vit_base_r50_s16_384.orig_in21k_ft_in1k", paper=THESIS),
    {6: 98_186_566, 7: 98_187_335},
    tiny=HYBRID,
)
register(
    "resnet50d",
    partial(any_timm, "resnet50d.ra2_in1k", paper=THESIS),
    {6: 23_539_558, 7: 23_541_607},
    tiny={"size": 64, "extra": BOTTLENECK},
)
register(
    "vgg16",
    partial(any_timm, "vgg16.tv_in1k", paper=f"{THESIS}; {VIT_STUDY}; {DNCSHAP}"),
    {6: 134_285_126, 7: 134_289_223},
    tiny=VGG,
)
register(
    "vgg19",
    partial(any_timm, "vgg19.tv_in1k", paper=THESIS),
    {6: 139_594_822, 7: 139_598_919},
    tiny=VGG,
)
register(
    "resnet18",
    partial(any_timm, "resnet18.tv_in1k", paper=VIT_STUDY),
    {6: 11_179_590, 7: 11_180_103},
    tiny={"size": 64, "extra": RESNET},
)
register(
    "resnet50",
    partial(any_timm, "resnet50.tv_in1k", paper=DNCSHAP),
    {6: 23_520_326, 7: 23_522_375},
    tiny={"size": 64, "extra": BOTTLENECK},
)
