"""The parts of timm's networks that training and explaining must know, read from the network."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from torch import nn

from mien.models.torch.spec import Attention, ClassMap, Layer


@dataclass(frozen=True)
class Parts:
    """What a :class:`mien.models.torch.spec.Spec` says of layers; grids are not known yet."""

    layers: tuple[Layer, ...]
    stages: tuple[str, ...] = ()
    class_map: ClassMap | None = None
    attention: tuple[Attention, ...] = ()
    notes: tuple[str, ...] = ()


def parts(net: nn.Module) -> Parts:
    """Parts of a network that timm has built, by its kind, and by that of its blocks."""
    for kind, find in _KINDS.items():
        if _is_a(net, kind):
            return find(net)
    return _other(net)


def with_parameters(prefix: str, modules: Iterable[nn.Module]) -> tuple[str, ...]:
    """Names of the modules of a sequence that have parameters, in order."""
    return tuple(f"{prefix}.{i}" for i, m in enumerate(modules) if list(m.parameters()))


def _vit(net: Any) -> Parts:
    """The last place where patches still reach the class token: before the last attention.

    The last block's output, its ``norm2`` and the final norm give patches no gradient where the
    class token alone is classified. A block that does not begin with its norm is passed by: the
    layer is then the output of the block before.
    """
    prefix = int(net.num_prefix_tokens)
    last = len(net.blocks) - 1
    norm = next((n for kind, n in _FIRST_NORM.items() if _is_a(net.blocks[last], kind)), None)
    layer = f"blocks.{last}.{norm}" if norm else f"blocks.{max(last - 1, 0)}"
    found = [_self_attention(f"blocks.{i}", block, prefix) for i, block in enumerate(net.blocks)]
    known = tuple(a for a in found if a is not None)
    whole = len(known) == len(found)
    return Parts(
        layers=(Layer(layer, "NLC", prefix),),
        stages=tuple(f"blocks.{i}" for i in range(len(net.blocks))),
        attention=known if whole else (),
        notes=() if whole else (f"attention in a {type(net.blocks[last]).__name__} is not read",),
    )


#: The norm with which a block of this class begins, so that all that it reads has passed there.
_FIRST_NORM: Final = {"Block": "norm1", "EvaBlock": "norm1", "ParallelScalingBlock": "in_norm"}
#: Classes whose ``attn_drop`` sees the weights of every token over every token.
_ATTENTION: Final = ("Attention", "EvaAttention", "AttentionRope", "ParallelScalingBlock")


def _self_attention(name: str, block: Any, prefix: int) -> Attention | None:
    """The attention of a block, None where its weights cannot be read."""
    places: dict[str, Any] = {f"{name}.attn": getattr(block, "attn", None), name: block}
    for at, module in places.items():
        if any(_is_a(module, kind) for kind in _ATTENTION) and hasattr(module, "attn_drop"):
            return Attention(at, "self", int(module.num_heads), prefix)
    return None


def _is_a(module: Any, kind: str) -> bool:
    """Whether a module is of a class of this name: timm moves its classes between files."""
    return any(known.__name__ == kind for known in type(module).__mro__)


def _hiera(net: Any) -> Parts:
    """Hiera: its tokens lie row by row only once all of their unrolling has been pooled away.

    Ryali et al. 2023, arXiv:2306.00989. The answer is the mean over patches, so that the last
    block's output has its gradients.
    """
    last = len(net.blocks) - 1
    pooled = sum(block.attn.q_stride > 1 for block in net.blocks)
    ordered = pooled >= len(net.unroll.schedule)
    return Parts(
        layers=(Layer(f"blocks.{last}", "NLC"),) if ordered else (),
        stages=tuple(f"blocks.{i}" for i in range(len(net.blocks))),
        notes=("attention within windows is not read",)
        + (() if ordered else ("the last tokens are not in the order of places: no CAM method",)),
    )


def _twins(net: Any) -> Parts:
    """Twins (Chu et al. 2021, arXiv:2104.13840): the answer is the mean over the last tokens."""
    stages = tuple(f"blocks.{i}.{len(stage) - 1}" for i, stage in enumerate(net.blocks))
    return Parts(
        layers=(Layer(stages[-1], "NLC"),),
        stages=stages,
        notes=("attention within windows is not read",),
    )


def _hrnet(net: Any) -> Parts:
    """HRNet (Wang et al. 2019, arXiv:1908.07919): the branches meet in the last layer."""
    return Parts(
        layers=(Layer("final_layer"),),
        stages=tuple(f"stage{i}" for i in range(2, 5)),
        class_map=_exact(net, "final_layer", "classifier"),
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
    return Parts(
        layers=(Layer("layer4"),),
        stages=tuple(f"layer{i}" for i in range(1, 5)),
        class_map=_exact(net, "layer4", "fc"),
    )


def _exact(net: Any, features: str, linear: str) -> ClassMap | None:
    """The class map where plain average pooling and one linear layer end the network."""
    average = getattr(net.global_pool, "pool_type", "") == "avg"
    return ClassMap(features, linear) if average and _is_linear(net, linear) else None


def _is_linear(net: nn.Module, name: str) -> bool:
    return type(net.get_submodule(name)) is nn.Linear


def _vgg(net: Any) -> Parts:
    """The last activation, not its convolution: the ReLU after it overwrites that in place."""
    last = len(net.features) - 1  # the last max-pooling
    return Parts(
        layers=(Layer(f"features.{last - 1}"),),
        stages=(*with_parameters("features", net.features), "pre_logits.fc1", "pre_logits.fc2"),
    )


def _other(net: nn.Module) -> Parts:
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


#: By the name of timm's class, the first that fits.
_KINDS: Final[dict[str, Callable[[Any], Parts]]] = {
    "ConVit": _convit,
    "CrossVit": _crossvit,
    "Hiera": _hiera,
    "Twins": _twins,
    "HighResolutionNet": _hrnet,
    "VisionTransformer": _vit,
    "Eva": _vit,
    "Beit": _vit,
    "ResNet": _resnet,
    "VGG": _vgg,
}
