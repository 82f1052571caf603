"""Grids of layers and attention, read off one forward pass instead of being computed by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from mien.models.torch.answer import failures_named, like, logits_of
from mien.models.torch.borrow import Borrowed, borrowed, uncompiled
from mien.models.torch.spec import Attention, ClassMap, Layer, Spec
from mien.types import ModelError

Shape = tuple[int, ...]


def shapes(net: nn.Module, spec: Spec, names: set[str]) -> dict[str, tuple[Shape, Shape]]:
    """Shapes of input and output of the named modules, in one pass over a batch of one.

    Works on the ``meta`` device too, where it costs neither time nor memory. The network is left
    as it was. ModelError where it fails or does not give the spec's classes.
    """
    found: dict[str, tuple[Shape, Shape]] = {}
    inputs: dict[str, Any] = {}

    def watch(lent: Borrowed, name: str) -> None:
        def note(output: Any) -> None:
            if isinstance(output, Tensor) and name in inputs:
                found[name] = (tuple(inputs[name].shape), tuple(output.shape))

        def before(values: tuple[Any, ...]) -> None:
            if values and isinstance(values[0], Tensor):
                inputs[name] = values[0]

        lent.watch_inputs(name, before)
        lent.watch(name, note)

    how = spec.preprocess
    shape = (1, how.channels, how.size, how.size)
    device, dtype = like(net)
    called = spec.name or type(net).__name__
    with borrowed(net) as lent, torch.no_grad(), failures_named(called, shape):
        for name in sorted(names):
            watch(lent, name)
        output = lent.net(torch.zeros(shape, device=device, dtype=dtype))
        logits = logits_of(output, 1, spec.classes, called)
        if not logits.is_meta and not bool(torch.isfinite(logits).all()):
            raise ModelError(
                f"{called}: its answer to a grey picture is not finite (NaN or infinity): its "
                "weights are damaged, or too large for their precision; take other weights"
            )
    return found


def measured(net: nn.Module, spec: Spec) -> Spec:
    """The spec with every grid filled in; what turns out not to hold is left out, with a note.

    Raises ModelError where the network fails, does not give the spec's classes, lacks a module
    that the spec names, or gives no map where the spec states one.
    """
    net = uncompiled(net)
    names = {layer.name for layer in spec.layers} | {a.name for a in spec.attention}
    names |= {spec.class_map.features} if spec.class_map else set()
    _check_modules(net, spec, names)
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
    class_map = spec.class_map and _class_map(net, spec, spec.class_map, found)
    if spec.class_map and class_map is None:
        notes.append(f"{spec.class_map.linear} is no linear layer on an average: no exact map")
    return replace(
        spec,
        layers=tuple(layers),
        attention=tuple(_attention(spec, a, found) for a in spec.attention),
        class_map=class_map,
        notes=tuple(notes),
    )


def _check_modules(net: nn.Module, spec: Spec, names: set[str]) -> None:
    """ModelError for a module that the spec names and the network lacks."""
    if missing := sorted(names - {name for name, _ in net.named_modules()}):
        raise ModelError(
            f"{spec.name or type(net).__name__}: the spec names {', '.join(map(repr, missing))}, "
            "which the network does not have; make the spec from this network"
        )


def _attention(spec: Spec, layer: Attention, found: dict[str, tuple[Shape, Shape]]) -> Attention:
    """An attention layer with its grid; ModelError where its tokens are no square of patches."""
    shape = found[layer.name][0] if layer.name in found else ()
    patches = shape[1] - layer.prefix if len(shape) == 3 else -1
    side = math.isqrt(max(patches, 0))
    if patches < 1 or side * side != patches:
        raise ModelError(
            f"{spec.name}: expected a square of patches at {layer.name!r}, got {max(patches, 0)}; "
            "check the number of prefix tokens"
        )
    return replace(layer, grid=(side, side))


def _class_map(
    net: nn.Module, spec: Spec, known: ClassMap, found: dict[str, tuple[Shape, Shape]]
) -> ClassMap | None:
    """The class map with its grid, None where the linear layer on the average is not the answer.

    On the ``meta`` device, which has no numbers, only shapes are compared.
    """
    linear = net.get_submodule(known.linear)
    shape = found[known.features][1] if known.features in found else ()
    if not isinstance(linear, nn.Linear) or len(shape) != 4:
        return None
    if linear.weight.shape != (spec.classes, shape[1]):
        return None
    if linear.weight.device.type != "meta" and not _adds_up(net, spec, known, linear):
        return None
    return replace(known, grid=(shape[2], shape[3]))


def _adds_up(net: nn.Module, spec: Spec, known: ClassMap, linear: nn.Linear) -> bool:
    """Whether the linear layer on the average of the features is what the network answers."""
    how = spec.preprocess
    device, dtype = like(net)
    # a pattern, not random numbers: the caller's generator is left alone
    wave = torch.arange(how.channels * how.size**2, device=device, dtype=torch.float32).sin()
    pixels = wave.reshape(1, how.channels, how.size, how.size).to(dtype)
    kept: list[Tensor] = []
    with borrowed(net) as lent, torch.no_grad():
        lent.watch(known.features, kept.append)
        answer = logits_of(lent.net(pixels), 1, spec.classes, spec.name).float()
        rebuilt = linear(kept[-1].mean(dim=(2, 3)).to(linear.weight.dtype)).float()
    loose = 1e-3 if dtype in (torch.float32, torch.float64) else 0.05
    scale = float(answer.abs().max())
    return float((answer - rebuilt).abs().max()) <= loose * scale + 1e-6


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
