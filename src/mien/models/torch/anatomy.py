"""The parts of timm's networks that training and explaining must know, read from the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mien.models.torch.spec import Attention, ClassMap, Layer, extra


@dataclass(frozen=True)
class Parts:
    """What a :class:`mien.models.torch.spec.Spec` says of layers; grids are not known yet."""

    layers: tuple[Layer, ...]
    stages: tuple[str, ...] = ()
    class_map: ClassMap | None = None
    attention: tuple[Attention, ...] = ()
    notes: tuple[str, ...] = ()


def parts(net: Any) -> Parts:
    """Parts of a network that timm has built."""
    models = extra("timm").models
    kind = type(net)
    if issubclass(kind, models.convit.ConVit):
        return _convit(net)
    if issubclass(kind, models.crossvit.CrossVit):
        return _crossvit(net)
    if issubclass(kind, (models.vision_transformer.VisionTransformer, models.eva.Eva)):
        blocks = (models.vision_transformer.Block, models.eva.EvaBlock)
        if all(isinstance(block, blocks) for block in net.blocks):
            return _vit(net)
    if issubclass(kind, models.resnet.ResNet):
        return _resnet(net)
    if issubclass(kind, models.vgg.VGG):
        return _vgg(net)
    return _other(net)


def with_parameters(prefix: str, modules: Any) -> tuple[str, ...]:
    """Names of the modules of a sequence that have parameters, in order."""
    return tuple(f"{prefix}.{i}" for i, m in enumerate(modules) if list(m.parameters()))


def _vit(net: Any) -> Parts:
    """The last place where patches still reach the class token: before the last attention.

    The last block's output, its ``norm2`` and the final norm give patches no gradient where the
    class token alone is classified.
    """
    prefix = int(net.num_prefix_tokens)
    last = len(net.blocks) - 1
    return Parts(
        layers=(Layer(f"blocks.{last}.norm1", "NLC", prefix),),
        stages=tuple(f"blocks.{i}" for i in range(len(net.blocks))),
        attention=tuple(
            Attention(f"blocks.{i}.attn", "self", int(block.attn.num_heads), prefix)
            for i, block in enumerate(net.blocks)
        ),
    )


def _convit(net: Any) -> Parts:
    """ConViT: the class token joins after the gated blocks (d'Ascoli et al. 2021)."""
    gated = int(net.local_up_to_layer)
    last = len(net.blocks) - 1
    return Parts(
        layers=(Layer(f"blocks.{last}.norm1", "NLC", int(last >= gated)),),
        stages=tuple(f"blocks.{i}" for i in range(len(net.blocks))),
        attention=tuple(
            Attention(
                f"blocks.{i}.attn",
                "gated" if i < gated else "self",
                int(block.attn.num_heads),
                int(i >= gated),
            )
            for i, block in enumerate(net.blocks)
        ),
        notes=("pad the gated layers' attention by the class token before multiplying",),
    )


def _crossvit(net: Any) -> Parts:
    """CrossViT: two branches with grids of their own (Chen et al. 2021).

    A branch's patches reach the answer through the last fusion, where the other branch's class
    token attends to them; the layer is what they are before it.
    """
    attention: list[Attention] = []
    for i, block in enumerate(net.blocks):
        for kind, part in (("self", "blocks"), ("cross", "fusion")):
            for branch, inner in enumerate(getattr(block, part)):
                # one block, or a sequence of them
                found = {"": inner} if hasattr(inner, "attn") else dict(inner.named_children())
                attention += [
                    Attention(
                        ".".join(["blocks", str(i), part, str(branch), *filter(None, [j]), "attn"]),
                        kind,
                        int(b.attn.num_heads),
                        1,
                    )
                    for j, b in found.items()
                ]
    last = len(net.blocks) - 1
    branches = range(len(net.blocks[last].blocks))
    return Parts(
        layers=tuple(Layer(f"blocks.{last}.blocks.{b}", "NLC", 1) for b in branches),
        stages=tuple(f"blocks.{i}" for i in range(len(net.blocks))),
        attention=tuple(attention),
        notes=("one layer per branch, each with a grid of its own; no plain rollout",),
    )


def _resnet(net: Any) -> Parts:
    linear = type(net.fc).__name__ == "Linear"
    average = getattr(net.global_pool, "pool_type", "") == "avg"
    return Parts(
        layers=(Layer("layer4"),),
        stages=tuple(f"layer{i}" for i in range(1, 5)),
        class_map=ClassMap("layer4", "fc") if linear and average else None,
    )


def _vgg(net: Any) -> Parts:
    """The last activation, not its convolution: the ReLU after it overwrites that in place."""
    last = len(net.features) - 1  # the last max-pooling
    return Parts(
        layers=(Layer(f"features.{last - 1}"),),
        stages=(*with_parameters("features", net.features), "pre_logits.fc1", "pre_logits.fc2"),
    )


def _other(net: Any) -> Parts:
    """Any other network: the last stage that timm names, if it turns out to be a map."""
    modules = dict(net.named_modules())
    named = [str(f["module"]) for f in getattr(net, "feature_info", None) or [] if "module" in f]
    known = tuple(name for name in named if name in modules)
    return Parts(
        layers=(Layer(known[-1], "auto"),) if known else (),
        stages=known,
        notes=(
            f"{type(net).__name__} is known to Mien by what timm says of its stages only: "
            "no attention is read",
        ),
    )
