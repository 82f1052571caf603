"""Grids of layers and attention, read off one forward pass instead of being computed by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from mien.models.torch.spec import Layer, Spec
from mien.types import ModelError

Shape = tuple[int, ...]


def shapes(net: nn.Module, spec: Spec, names: set[str]) -> dict[str, tuple[Shape, Shape]]:
    """Shapes of input and output of the named modules, in one pass over a batch of one.

    Works on the ``meta`` device too, where it costs neither time nor memory. Hooks and mode are
    restored.
    """
    found: dict[str, tuple[Shape, Shape]] = {}

    def watch(name: str) -> Any:
        def note(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if inputs and all(isinstance(v, torch.Tensor) for v in (inputs[0], output)):
                found[name] = (tuple(inputs[0].shape), tuple(output.shape))

        return note

    how = spec.preprocess
    device = next(net.parameters()).device
    training = net.training
    hooks = []
    try:
        hooks = [net.get_submodule(n).register_forward_hook(watch(n)) for n in sorted(names)]
        net.eval()
        with torch.no_grad():
            logits = net(torch.zeros(1, how.channels, how.size, how.size, device=device))
    finally:
        for hook in hooks:
            hook.remove()
        net.train(training)
    if tuple(logits.shape) != (1, spec.classes):
        raise ModelError(
            f"{spec.name}: expected logits of shape [1, {spec.classes}], got {list(logits.shape)}; "
            "take a network that ends in a classifier"
        )
    return found


def measured(net: nn.Module, spec: Spec) -> Spec:
    """The spec with every grid filled in; ModelError where a stated layer is no map."""
    names = {layer.name for layer in spec.layers} | {a.name for a in spec.attention}
    names |= {spec.class_map.features} if spec.class_map else set()
    found = shapes(net, spec, names)
    layers = []
    notes = list(spec.notes)
    for layer in spec.layers:
        known = resolved(layer, found[layer.name][1]) if layer.name in found else None
        if known is not None:
            layers.append(known)
        elif layer.layout == "auto":
            notes.append(f"{layer.name} gives no map of rows and columns: no CAM method")
        else:
            raise ModelError(f"{spec.name}: expected a map {layer.layout} from {layer.name!r}")
    attention = tuple(
        replace(a, grid=_square(spec, a.name, found[a.name][0][1] - a.prefix))
        for a in spec.attention
    )
    class_map = spec.class_map
    if class_map is not None:
        rows, columns = found[class_map.features][1][2:]
        class_map = replace(class_map, grid=(rows, columns))
    return replace(
        spec, layers=tuple(layers), attention=attention, class_map=class_map, notes=tuple(notes)
    )


def resolved(layer: Layer, shape: Shape) -> Layer | None:
    """The layer with its grid for an output of ``shape``; None where that is no map.

    >>> resolved(Layer("blocks.1", "NLC", prefix=1), (1, 197, 768)).grid
    (14, 14)
    >>> resolved(Layer("layers.3", "auto"), (1, 7, 7, 768)).layout
    'NHWC'
    """
    layout = layer.layout
    if layout == "auto":  # a square input gives square maps, so the equal sides are the map's
        layout = {4: "NCHW" if shape[2:] == shape[2:3] * 2 else "NHWC"}.get(len(shape), "")
    if layout == "NLC" and len(shape) == 3:
        side = math.isqrt(shape[1] - layer.prefix)
        grid = (side, side) if side * side == shape[1] - layer.prefix else None
    elif layout == "NCHW" and len(shape) == 4:
        grid = (shape[2], shape[3])
    elif layout == "NHWC" and len(shape) == 4 and shape[1] == shape[2]:
        grid = (shape[1], shape[2])
    else:
        grid = None
    return None if grid is None else replace(layer, layout=layout, grid=grid)


def _square(spec: Spec, name: str, patches: int) -> tuple[int, int]:
    side = math.isqrt(patches)
    if side * side != patches:
        raise ModelError(
            f"{spec.name}: expected a square of patches at {name!r}, got {patches}; "
            "check the number of prefix tokens"
        )
    return side, side
