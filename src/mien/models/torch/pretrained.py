"""Weights from a file or from the hub: read without running code, checked, and accounted for."""

from __future__ import annotations

import hashlib
import importlib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mien.extras import need
from mien.models.torch.spec import Loaded, Spec
from mien.types import ModelError

FILE: Final = "model.safetensors"  # the hub's other format is a pickle, which can hold code
PATIENCE: Final = 10.0  # seconds for the first answer of the hub; its own client retries for 46
WRAPPERS: Final = ("state_dict", "model", "net")  # where training programs put the tensors


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file or of a torch state dict, by name.

    Torch files are read with ``weights_only=True``: they may hold tensors, never code. Raises
    ModelError for anything else.
    """
    if not path.is_file():
        raise ModelError(f"{path}: no such weights file; give a .safetensors or .pt file")
    try:
        if path.suffix == ".safetensors":
            found: Any = load_file(path, device="cpu")
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except ModelError:
        raise
    except Exception as error:  # safetensors, pickle, zip and torch each raise their own kinds
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{path}: expected a .safetensors file or a torch state dict of tensors only, but it "
            f"cannot be read as such ({reason[:120]}); save it by torch.save(net.state_dict(), ...)"
        ) from error
    for key in WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise ModelError(
            f"{path}: expected a dict of tensors, got {type(found).__name__}; "
            "save it by torch.save(net.state_dict(), ...)"
        )
    return {str(name).removeprefix("module."): value for name, value in found.items()}


def load_into(net: nn.Module, spec: Spec, path: Path, source: str = "") -> Loaded:
    """Copy a file's tensors into a network, and say what was taken and what was not.

    A head for other classes starts anew, and so do layers that were added to a pretrained
    backbone where the file has none of them. Every other missing, unexpected or misshapen tensor
    is a ModelError, and the network is then left as it was.
    """
    state = translated(net, spec, read_state(path))
    own = net.state_dict()
    misshapen = {k for k in own if k in state and state[k].shape != own[k].shape}
    missing = {k for k in own if k not in state}
    unexpected = {k for k in state if k not in own}
    extras = {k for k in own if _under(k, spec.added) and not _under(k, spec.output_layers)}
    fresh = {k for k in missing | misshapen if _under(k, spec.output_layers)}
    if extras <= missing:  # a plain backbone's file; half of them would be a damaged one
        fresh |= extras
        unexpected = {k for k in unexpected if not _under(k, spec.dropped)}
    unexpected = {k for k in unexpected if not _under(k, spec.output_layers)}
    wrong = {
        "missing": missing - fresh,
        "of another shape": misshapen - fresh,
        "unexpected": unexpected,
    }
    if any(wrong.values()) or len(fresh) == len(own):
        differences = "; ".join(f"{len(v)} {k} ({_few(v)})" for k, v in wrong.items() if v)
        raise ModelError(
            f"{path}: expected the weights of {spec.name!r}, but the tensors differ: "
            f"{differences or 'none fits'}; give a file of this model, built with the same options"
        )
    taken = {k: v for k, v in state.items() if k in own and k not in fresh}
    net.load_state_dict(own | taken)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    order = [k for k in own if k in fresh]
    return Loaded(source or str(path), digest, len(taken), tuple(order))


def translated(net: nn.Module, spec: Spec, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the names, and in the shapes, of this network.

    torchvision's VGG keeps its dense layers in ``classifier``; timm has them as convolutions.
    transformers' ViT has names of its own and three matrices where timm has one. The EfficientNets
    of efficientnet-pytorch have other names in timm's order. timm's transformers bring a function
    of their own that resizes position embeddings.
    """
    if any(name.removeprefix("vit.").startswith("encoder.layer.") for name in state):
        state = from_transformers(state)
    if "_conv_stem.weight" in state:
        state = from_efficientnet(net, state)
    if "classifier.0.weight" in state and hasattr(net, "pre_logits"):
        own = net.state_dict()
        names = {"0": "pre_logits.fc1", "3": "pre_logits.fc2", "6": "head.fc"}
        for key in [k for k in state if k.startswith("classifier.")]:
            _, index, kind = key.split(".")
            if index not in names:
                continue
            value, name = state.pop(key), f"{names[index]}.{kind}"
            same = name in own and value.numel() == own[name].numel()
            state[name] = value.reshape(own[name].shape) if same else value
    if "pos_embed" in state and spec.attention:
        module = importlib.import_module(type(net).__module__)
        adapt = getattr(module, "checkpoint_filter_fn", None)
        if adapt is not None:
            state = adapt(state, net)
    return state


def from_efficientnet(net: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of efficientnet-pytorch under timm's names, which stand in the same order.

    They stay as they are, so that they are reported, where any but those of the classifier has
    another shape than timm's in its place.
    """
    own = net.state_dict()
    pairs = list(zip(state.items(), own.items(), strict=False))
    fit = all(v.shape == w.shape for (name, v), (_, w) in pairs if not name.startswith("_fc."))
    if len(state) != len(own) or not fit:
        return state
    return {name: value for (_, value), (name, _) in pairs}


#: transformers' names of a ViT's parts (google/vit-*) and timm's
_TRANSFORMERS: Final = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection": "patch_embed.proj",
    "layernorm_before": "norm1",
    "attention.output.dense": "attn.proj",
    "layernorm_after": "norm2",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "layernorm": "norm",
    "classifier": "head",
}
_QUERY: Final = "attention.attention.query"


def from_transformers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A ViT's tensors under timm's names, query, key and value joined; its pooler is left out.

    A name that is not known stays as it is, so that it is reported as unexpected.

    >>> list(from_transformers({"vit.encoder.layer.0.output.dense.bias": torch.zeros(2)}))
    ['blocks.0.mlp.fc2.bias']
    """
    found = {}
    for name, value in state.items():
        plain = name.removeprefix("vit.")
        if plain.startswith("pooler."):  # of masked-word times; no classifier reads it
            continue
        stem, _, kind = plain.rpartition(".")
        block = ""
        if stem.startswith("encoder.layer."):
            number, _, stem = stem.removeprefix("encoder.layer.").partition(".")
            block = f"blocks.{number}."
        if stem == _QUERY:
            others = [name.replace(".query.", f".{part}.") for part in ("key", "value")]
            if all(other in state for other in others):
                found[f"{block}attn.qkv.{kind}"] = torch.cat([value, *(state[o] for o in others)])
            continue
        if stem in (_QUERY.replace("query", "key"), _QUERY.replace("query", "value")):
            continue
        if plain in _TRANSFORMERS:  # a bare tensor, not a layer's weight or bias
            found[_TRANSFORMERS[plain]] = value
        elif stem in _TRANSFORMERS:
            found[f"{block}{_TRANSFORMERS[stem]}.{kind}"] = value
        else:
            found[name] = value
    return found


def fetched(repository: str) -> Path:
    """Path of the repository's weights, from the hub's cache on this machine or from the hub.

    Raises ModelError, at once where the hub cannot be reached, that names the file wanted.
    """
    hub = need("huggingface_hub", "train", "pretrained weights")
    cached = hub.try_to_load_from_cache(repository, FILE)
    if isinstance(cached, str):
        return Path(cached)
    constants = hub.constants
    address = f"{constants.ENDPOINT}/{repository}/resolve/main/{FILE}"
    if constants.HF_HUB_OFFLINE:
        raise ModelError(_wanted(repository, address, "HF_HUB_OFFLINE is set"))
    _knock(repository, address)
    try:
        return Path(hub.hf_hub_download(repository, FILE))
    except Exception as error:  # the hub's client raises many kinds, its own and its library's
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(_wanted(repository, address, reason[:160])) from error


def _knock(repository: str, address: str) -> None:
    """Return where the hub answers anything at all, else raise ModelError."""
    try:
        request = urllib.request.Request(address, method="HEAD")
        urllib.request.urlopen(request, timeout=PATIENCE).close()
    except urllib.error.HTTPError as error:
        error.close()  # it answered: the client knows better what to do with the status
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise ModelError(_wanted(repository, address, f"cannot reach it: {reason}")) from error


def _wanted(repository: str, address: str, reason: str) -> str:
    return (
        f"expected the pretrained weights {FILE} of {repository}, which are not on this machine "
        f"({reason}); on one with a network download {address} "
        f"(or: hf download {repository} {FILE}), copy it here and give its path as weights; "
        "or take pretrained = false"
    )


def _under(key: str, prefixes: tuple[str, ...]) -> bool:
    return any(key == p or key.startswith(p + ".") for p in prefixes)


def _few(keys: set[str]) -> str:
    return ", ".join(sorted(keys)[:3]) + (", ..." if len(keys) > 3 else "")
