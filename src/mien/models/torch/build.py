"""Networks by name: built, described without memory, and filled with weights."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mien.models.torch.measure import measured
from mien.models.torch.networks import backbone
from mien.models.torch.pretrained import fetched, load_into
from mien.models.torch.registry import MODELS, NetworkEntry
from mien.models.torch.spec import Created, Spec
from mien.options import check, options_of
from mien.types import InputError, ModelError, UnknownNameError


def names() -> list[str]:
    """Names of all registered models, sorted; any other network of timm is ``timm:NAME``.

    >>> "vit-b16" in names()
    True
    """
    return sorted(MODELS.names())


def create(
    name: str,
    *,
    classes: int,
    pretrained: bool = False,
    weights: str | Path | None = None,
    **options: Any,
) -> Created:
    """A network for ``classes`` expressions, and its spec.

    Parameters
    ----------
    name
        A registered name, or ``timm:NAME`` for any network of timm.
    pretrained
        Take the weights of ``spec.repository`` from the hub or its cache; else start from scratch.
    weights
        A ``.safetensors`` file or a torch state dict instead; ``spec.weights`` says what was
        taken and what starts anew (a head for another number of classes).
    options
        What the model's builder takes, such as ``size`` and ``dropout``.

    The network takes ``[N, channels, size, size]`` as ``spec.preprocess`` makes it and gives
    logits ``[N, classes]``. Raises UnknownNameError for a name or an option that does not exist,
    ModelError for weights that are missing or do not fit.

    >>> net, spec = create("gimefive-13", classes=6)
    >>> spec.counts[6], spec.layers[0].name, spec.layers[0].grid
    (2606086, 'stages.3.relu', (8, 8))
    """
    if pretrained and weights is not None:
        raise InputError("expected pretrained weights or a weights file, got both; choose one")
    entry = _entry(name)
    options = check(repr(name), options_of(entry.build), options)
    spec = _described(name, entry, classes, options)
    file = _source(spec, pretrained, weights)
    net, _ = entry.build(classes, **options)
    if file is not None:
        where = spec.repository if pretrained else str(weights)
        spec = replace(spec, weights=load_into(net, spec, file, where))
    return Created(net, spec)


def describe(name: str, *, classes: int = 7, **options: Any) -> Spec:
    """The spec that :func:`create` would give, without the memory that the network takes.

    Parameters
    ----------
    name
        A registered network, or ``timm:NAME``.
    classes
        Number of outputs.

    >>> spec = describe("vit-b16")
    >>> spec.patch_grid, spec.prefix_tokens, spec.layers[0].name
    ((14, 14), 1, 'blocks.11.norm1')
    """
    entry = _entry(name)
    return _described(name, entry, classes, check(repr(name), options_of(entry.build), options))


def _entry(name: str) -> NetworkEntry:
    family, _, rest = name.partition(":")
    if family == "timm" and rest:
        return NetworkEntry(partial(backbone.any_timm, rest))
    try:
        return MODELS.get(name)
    except UnknownNameError as error:
        raise UnknownNameError(f"{error}; any other network of timm: timm:NAME") from None


def _described(name: str, entry: NetworkEntry, classes: int, options: dict[str, Any]) -> Spec:
    """The spec with its grids, from a pass on the meta device."""
    if classes < 2:
        raise InputError(f"expected 2 classes or more, got {classes}")
    try:
        with torch.device("meta"):
            spec = measured(*entry.build(classes, **options))
    except (NotImplementedError, RuntimeError, ValueError, TypeError):
        if not name.startswith("timm:"):
            raise
        # a few networks of timm compute numbers while they are built, which meta cannot
        spec = measured(*entry.build(classes, **options))
    return replace(spec, name=name, counts={} if options else dict(entry.counts))


def _source(spec: Spec, pretrained: bool, weights: str | Path | None) -> Path | None:
    """The file to read, found before the network takes any memory."""
    if weights is not None:
        if not Path(weights).is_file():
            raise ModelError(f"{weights}: no such weights file; give a .safetensors or .pt file")
        return Path(weights)
    if not pretrained:
        return None
    if not spec.repository:
        raise ModelError(
            f"expected a model with pretrained weights, but none are published for {spec.name!r}; "
            "take pretrained = false, or give a weights file"
        )
    return fetched(spec.repository)
