"""What happens inside a network during one pass: activations, attention, and their gradients.

Torch is used here and nowhere in the explanation methods: all that leaves are NumPy arrays.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mien.extras import need
from mien.models.torch.answer import failures_named
from mien.models.torch.borrow import Borrowed, borrowed, uncompiled
from mien.models.torch.measure import resolved
from mien.models.torch.model import TorchModel
from mien.models.torch.spec import Attention, Layer, Spec
from mien.types import FloatArray, InputError, ModelError, UnknownNameError


@dataclass(frozen=True, eq=False)
class Activation:
    """What one layer gave, as a map of the crop, and how the score changes with it."""

    layer: Layer
    values: FloatArray  # [C, rows, columns]
    gradients: FloatArray  # [C, rows, columns], of the score; empty where none were asked for


@dataclass(frozen=True, eq=False)
class Weights:
    """The attention of one layer, every head, and how the score changes with it."""

    layer: Attention
    values: FloatArray  # [heads, queries, keys], each row sums to 1
    gradients: FloatArray  # [heads, queries, keys], of the score


def activations(
    model: TorchModel,
    pixels: FloatArray,
    direction: FloatArray,
    names: Sequence[str],
    *,
    gradients: bool = True,
) -> tuple[list[Activation], float]:
    """The named layers as maps, and the score of ``pixels [C, h, w]`` along ``direction [K]``.

    One forward and one backward pass; without ``gradients`` the forward pass alone, which
    networks without gradients allow, too. Raises UnknownNameError for a layer that does not
    exist, InputError for one that is no map, or that the score does not depend on.
    """
    for name in names:
        check_layer(model, name)
    with borrowed(model.net) as lent:
        kept = {name: _watched(lent, name) for name in names}
        if gradients:
            tensors, slopes, score = _score(model, lent, pixels, direction, kept)
        else:
            values = model.tensor(model.card.preprocess.normalise(pixels[None]))
            with torch.no_grad():
                score = _along(model, model.ask(lent.net, values)[0], direction)
            tensors = [_only(name, outputs) for name, outputs in kept.items()]
            slopes = ()
    found = []
    for i, (name, tensor) in enumerate(zip(names, tensors, strict=True)):
        layer = as_map(model.spec, name, tuple(tensor.shape))
        slope = slopes[i] if slopes else None
        if gradients and slope is None:
            raise no_gradient(model, name)
        grid = np.zeros(0) if slope is None else _grid(slope, layer)
        found.append(Activation(layer, _grid(tensor, layer), grid))
    return found, score


def attention(
    model: TorchModel, pixels: FloatArray, direction: FloatArray
) -> tuple[list[Weights], float]:
    """Attention of every layer in the order of the pass, and the score, as above.

    Fused attention is switched off during the pass: it would compute no weights.
    """
    known = model.spec.attention
    with borrowed(model.net) as lent:
        kept = {}
        for layer in known:
            _open(lent, layer.name)
            kept[layer.name] = _watched(lent, f"{layer.name}.attn_drop")
        tensors, gradients, score = _score(model, lent, pixels, direction, kept)
    return [
        Weights(layer, _array(tensor), np.zeros(0) if gradient is None else _array(gradient))
        for layer, tensor, gradient in zip(known, tensors, gradients, strict=True)
    ], score


def integrated(
    model: TorchModel,
    pixels: FloatArray,
    baseline: FloatArray,
    direction: FloatArray,
    steps: int,
    stop: Callable[[], None],
) -> FloatArray:
    """Integrated gradients ``[C, h, w]`` from ``baseline`` to ``pixels``, both in 0..255.

    ``stop`` is called before each pass of 32 steps; what it raises ends the work.
    """
    captum = need("captum.attr", "explain", "integrated gradients")
    how = model.card.preprocess
    with borrowed(model.net) as lent, torch.inference_mode(False), torch.enable_grad():
        start, end = (model.tensor(how.normalise(image[None])) for image in (baseline, pixels))
        along = model.tensor(direction)

        def score(values: Tensor) -> Tensor:
            stop()
            return model.ask(lent.net, values) @ along

        def slopes(
            forward_fn: Callable[[Tensor], Tensor], inputs: tuple[Tensor], **_: Any
        ) -> tuple[Tensor | None, ...]:
            found = forward_fn(*inputs)
            if not found.requires_grad:
                raise _no_gradients(model)
            gradients = torch.autograd.grad(found.unbind(), inputs, allow_unused=True)
            if None in gradients:
                raise _no_gradients(model)
            return gradients

        method = captum.IntegratedGradients(score)
        method.gradient_func = slopes  # as captum's own, but for the error
        with failures_named(model.card.name, tuple(end.shape)):
            found = method.attribute(
                end.requires_grad_(), start, n_steps=steps, internal_batch_size=32
            )
    return _array(found)


def check_layer(model: TorchModel, name: str) -> None:
    """UnknownNameError where the network has no module of that name."""
    modules = [known for known, _ in uncompiled(model.net).named_modules() if known]
    if name not in modules:
        near = difflib.get_close_matches(name, modules, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UnknownNameError(f"unknown layer {name!r}; {hint}{other_layers(model.spec, name)}")


def other_layers(spec: Spec, name: str) -> str:
    """What to take instead of the layer ``name``: up to three others that are known, or methods.

    >>> from mien.models.torch import describe
    >>> other_layers(describe("resnet18"), "layer4")
    "take 'layer1' or 'layer2' or 'layer3'"
    """
    known = dict.fromkeys([*(layer.name for layer in spec.layers), *spec.stages])
    known.pop(name, None)
    named = " or ".join(map(repr, list(known)[:3]))
    return f"take {named}" if named else "take a method that only asks for answers, as 'regions'"


def no_gradient(model: TorchModel, name: str) -> InputError:
    """The error for a layer whose places have no say in the answer, with what to take instead."""
    return InputError(
        f"no gradient reaches the places of the layer {name!r}: what it says of them is not used; "
        f"{other_layers(model.spec, name)}"
    )


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
            f"{other_layers(spec, name)}"
        )
    return found


def _watched(lent: Borrowed, name: str) -> list[Any]:
    """The outputs that the module ``name`` will give while it is borrowed."""
    kept: list[Any] = []
    lent.watch(name, kept.append)
    return kept


def _score(
    model: TorchModel,
    lent: Borrowed,
    pixels: FloatArray,
    direction: FloatArray,
    kept: dict[str, list[Any]],
) -> tuple[list[Tensor], tuple[Tensor | None, ...], float]:
    """What was kept in one pass, its gradients (None where the score ignores it), the score.

    The pixels ask for gradients, so that a network whose parameters are frozen has them too.
    """
    values = model.tensor(model.card.preprocess.normalise(pixels[None]))
    with torch.inference_mode(False), torch.enable_grad():
        seen = values.clone().requires_grad_()
        logits = model.ask(lent.net, seen)[0]
        score = logits @ model.tensor(direction)
        tensors = [_only(name, outputs) for name, outputs in kept.items()]
        if not score.requires_grad:
            raise _no_gradients(model)
        if constant := [n for n, t in zip(kept, tensors, strict=True) if not t.requires_grad]:
            raise no_gradient(model, constant[0])
        with failures_named(model.card.name, tuple(values.shape)):
            gradients = torch.autograd.grad(score, tensors, allow_unused=True, retain_graph=True)
            if None in gradients and None in torch.autograd.grad(score, seen, allow_unused=True):
                raise _no_gradients(model)  # not only of this layer: none reaches the picture
    return tensors, gradients, _along(model, logits, direction)


def _along(model: TorchModel, logits: Tensor, direction: FloatArray) -> float:
    """The score under the model's prior, in 64 bits."""
    return float((logits.detach().cpu().double().numpy() + model.offset) @ direction)


def _no_gradients(model: TorchModel) -> ModelError:
    return ModelError(
        f"{model.card.name}: its answer has no gradient, as of quantised weights or of a "
        "pass under no_grad; take a method that only asks for answers, as 'regions'"
    )


def _only(name: str, outputs: list[Any]) -> Tensor:
    """The single output of a layer in a pass."""
    if len(outputs) != 1 or not isinstance(outputs[0], Tensor):
        what = f"ran {len(outputs)} times" if len(outputs) != 1 else "gives no tensor"
        raise InputError(
            f"the layer {name!r} {what} in a pass, expected one tensor; take another layer"
        )
    found: Tensor = outputs[0]
    return found


def _open(lent: Borrowed, name: str) -> None:
    """Let an attention module compute its weights one by one, where it would fuse them."""
    module = lent.net.get_submodule(name)
    if getattr(module, "fused_attn", False):
        lent.set(module, "fused_attn", False)


def _grid(tensor: Tensor, layer: Layer) -> FloatArray:
    """A layer's output ``[1, ...]`` as ``[C, rows, columns]``, without its prefix tokens."""
    values = _array(tensor)
    if layer.layout == "NCHW":
        return values
    if layer.layout == "NHWC":
        return np.asarray(values.transpose(2, 0, 1))
    return np.asarray(values[layer.prefix :].T.reshape(-1, *layer.grid))


def _array(tensor: Tensor) -> FloatArray:
    return np.asarray(tensor.detach()[0].float().cpu().numpy(), dtype=np.float64)
