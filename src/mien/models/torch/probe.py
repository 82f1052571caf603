"""What happens inside a network during one pass: activations, attention, and their gradients.

Torch is used here and nowhere in the explanation methods: all that leaves are NumPy arrays.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mien.models.torch.borrow import Lent, borrowed
from mien.models.torch.measure import resolved
from mien.models.torch.model import TorchModel
from mien.models.torch.spec import Attention, Layer, Spec
from mien.types import FloatArray, InputError, MissingExtraError, UnknownNameError


@dataclass(frozen=True, eq=False)
class Activation:
    """What one layer gave, as a map of the crop, and how the score changes with it."""

    layer: Layer
    values: FloatArray  # [C, rows, columns]
    gradients: FloatArray  # [C, rows, columns], of the score


@dataclass(frozen=True, eq=False)
class Weights:
    """The attention of one layer, every head, and how the score changes with it."""

    layer: Attention
    values: FloatArray  # [heads, queries, keys], each row sums to 1
    gradients: FloatArray  # [heads, queries, keys], of the score


def activations(
    model: TorchModel, pixels: FloatArray, direction: FloatArray, names: Sequence[str]
) -> tuple[list[Activation], float]:
    """The named layers as maps, and the score of ``pixels [C, h, w]`` along ``direction [K]``.

    One forward and one backward pass. Raises UnknownNameError for a layer that does not exist,
    InputError for one that is no map, or that the score does not depend on.
    """
    for name in names:
        check_layer(model, name)
    kept: dict[str, list[Any]] = {name: [] for name in names}
    with borrowed(model.net) as lent:
        for name in names:
            lent.watch(name, kept[name].append)
        tensors, gradients, score = _score(
            model, pixels, direction, lambda: [_only(name, kept[name]) for name in names]
        )
    found = []
    for name, tensor, gradient in zip(names, tensors, gradients, strict=True):
        layer = as_map(model.spec, name, tuple(tensor.shape))
        if gradient is None:
            raise InputError(f"the answer does not depend on the layer {name!r}; {_hint(model)}")
        found.append(Activation(layer, _grid(tensor, layer), _grid(gradient, layer)))
    return found, score


def attention(
    model: TorchModel, pixels: FloatArray, direction: FloatArray
) -> tuple[list[Weights], float]:
    """Attention of every layer in the order of the pass, and the score, as above.

    Fused attention is switched off during the pass: it would compute no weights.
    """
    known = model.spec.attention
    kept: dict[str, list[Any]] = {a.name: [] for a in known}
    with borrowed(model.net) as lent:
        for layer in known:
            _open(lent, layer.name)
            lent.watch(f"{layer.name}.attn_drop", kept[layer.name].append)
        tensors, gradients, score = _score(
            model, pixels, direction, lambda: [_only(a.name, kept[a.name]) for a in known]
        )
    return [
        Weights(layer, _array(tensor), np.zeros(0) if gradient is None else _array(gradient))
        for layer, tensor, gradient in zip(known, tensors, gradients, strict=True)
    ], score


def integrated(
    model: TorchModel, pixels: FloatArray, baseline: FloatArray, direction: FloatArray, steps: int
) -> FloatArray:
    """Integrated gradients ``[C, h, w]`` from ``baseline`` to ``pixels``, both in 0..255."""
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise MissingExtraError(
            f"expected captum, which is not installed; pip install 'mien[explain]' ({error})"
        ) from error
    how = model.card.preprocess
    start, end = (model.tensor(how.normalise(image[None])) for image in (baseline, pixels))
    along = model.tensor(direction)
    with borrowed(model.net), torch.inference_mode(False), torch.enable_grad():
        method = IntegratedGradients(lambda x: model.net(x) @ along)
        found = method.attribute(end.requires_grad_(), start, n_steps=steps, internal_batch_size=32)
    return np.asarray(found[0].detach().float().cpu().numpy(), dtype=np.float64)


def check_layer(model: TorchModel, name: str) -> None:
    """UnknownNameError where the network has no module of that name."""
    modules = [known for known, _ in model.net.named_modules() if known]
    if name not in modules:
        near = difflib.get_close_matches(name, modules, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownNameError(f"unknown layer {name!r}; {hint}{_hint(model)}")


def as_map(spec: Spec, name: str, shape: tuple[int, ...]) -> Layer:
    """How an output of ``shape`` reads as a map; InputError where it does not.

    What the spec says of the layer, else what it says of tokens elsewhere in the network: their
    prefix and their grid are never guessed.
    """
    known = next((layer for layer in spec.layers if layer.name == name), None)
    if known is not None:
        return known
    found = None
    if len(shape) == 4:
        found = resolved(Layer(name, "auto"), shape)
    elif len(shape) == 3:
        tokens = {(layer.prefix, layer.grid) for layer in spec.layers if layer.layout == "NLC"}
        tokens |= {(a.prefix, a.grid) for a in spec.attention}
        fits = [t for t in sorted(tokens) if shape[1] == t[0] + t[1][0] * t[1][1]]
        if len(fits) == 1:
            found = Layer(name, "NLC", *fits[0])
    if found is None:
        raise InputError(
            f"the layer {name!r} gives {list(shape)}, no map of rows and columns; "
            f"take {_names(spec)}"
        )
    return found


def _names(spec: Spec) -> str:
    return " or ".join(repr(n) for n in [*(x.name for x in spec.layers), *spec.stages][:3])


def _hint(model: TorchModel) -> str:
    return f"take {_names(model.spec)}"


def _score(model: TorchModel, pixels: FloatArray, direction: FloatArray, kept: Any) -> Any:
    """What was kept in one pass, its gradients (None where the score ignores it), the score.

    The pixels ask for gradients, so that a network whose parameters are frozen has them too.
    """
    values = model.tensor(model.card.preprocess.normalise(pixels[None]))
    with torch.inference_mode(False), torch.enable_grad():
        logits = model.net(values.clone().requires_grad_())[0]
        score = logits @ model.tensor(direction)
        tensors = kept()
        gradients = torch.autograd.grad(score, tensors, allow_unused=True)
    exact = float(logits.detach().cpu().double().numpy() @ direction)
    return tensors, gradients, exact


def _only(name: str, outputs: list[Any]) -> Any:
    """The single output of a layer in a pass."""
    if len(outputs) != 1 or not isinstance(outputs[0], torch.Tensor):
        what = f"ran {len(outputs)} times" if len(outputs) != 1 else "gives no tensor"
        raise InputError(
            f"the layer {name!r} {what} in a pass, expected one tensor; take another layer"
        )
    return outputs[0]


def _open(lent: Lent, name: str) -> None:
    """Let an attention module compute its weights one by one, where it would fuse them."""
    module = lent.net.get_submodule(name)
    if getattr(module, "fused_attn", False):
        lent.set(module, "fused_attn", False)


def _grid(tensor: Any, layer: Layer) -> FloatArray:
    """A layer's output ``[1, ...]`` as ``[C, rows, columns]``, without its prefix tokens."""
    values = _array(tensor)
    if layer.layout == "NCHW":
        return values
    if layer.layout == "NHWC":
        return np.asarray(values.transpose(2, 0, 1))
    return np.asarray(values[layer.prefix :].T.reshape(-1, *layer.grid))


def _array(tensor: Any) -> FloatArray:
    return np.asarray(tensor.detach()[0].float().cpu().numpy(), dtype=np.float64)
