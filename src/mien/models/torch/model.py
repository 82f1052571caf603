"""A network in torch as a model: the same interface as an ONNX file, with its layers open."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from mien.emotions import label
from mien.models.base import BaseModel
from mien.models.card import Card, Head
from mien.models.onnx import built_in_template
from mien.models.torch.answer import failures_named, like, logits_of
from mien.models.torch.borrow import borrowed, uncompiled
from mien.models.torch.measure import measured
from mien.models.torch.spec import ClassMap, Spec
from mien.types import FloatArray, InputError, ModelError


class TorchModel(BaseModel):
    """A network of torch with what it says of its layers, for every explanation method.

    The network stays where it is and as it is: it is put into evaluation for each pass, and every
    module's mode, hooks, gradients and options are as before afterwards, also where the pass
    fails. Threads may share it: each pass has the network for itself. It may be in any precision,
    quantised, or compiled by ``torch.compile`` (methods that look inside then use the module
    underneath), and may give its logits in a dict or a tuple.

    Parameters
    ----------
    net
        Takes ``[N, channels, size, size]``, normalised by ``spec.preprocess``, to ``[N, K]``.
    spec
        Of :func:`mien.models.torch.create`; of
        :func:`mien.models.torch.networks.backbone.timm_spec` for a network that timm has built,
        of :func:`mien.models.torch.own.own_spec` for any other; or made by hand.
    labels
        Expressions in the order of the logits; aliases such as ``happiness`` are taken.
    card
        Where a run has one; else one is made that says what is known.
    sha256
        Of the weights' file; that of the weights themselves where there is none.

    Raises InputError for labels that do not fit, ModelError for a network that does not do what
    the spec says: other classes, other pixels, layers that are no maps.

    >>> import numpy as np
    >>> from mien.models import create
    >>> net, spec = create("gimefive-15", classes=2, channels=(8,) * 5)
    >>> model = TorchModel(net, spec, labels=("happiness", "sad"))
    >>> model.labels, model.logits(model.pixels(np.zeros((64, 64, 3), np.uint8))[None]).shape
    (('happy', 'sad'), (1, 2))
    """

    def __init__(
        self,
        net: nn.Module,
        spec: Spec,
        labels: Sequence[str] = (),
        *,
        card: Card | None = None,
        head: str | None = None,
        sha256: str = "",
    ) -> None:
        maps: list[Any] = [*spec.layers, *spec.attention]
        maps += [spec.class_map] if spec.class_map else []
        if not maps or any(part.grid == (0, 0) for part in maps):
            spec = measured(net, spec)
        super().__init__(card or wrapped_card(net, spec, labels), head)
        if len(self.labels) != spec.classes:
            raise InputError(
                f"expected {spec.classes} labels, one per logit, got {list(self.labels)}"
            )
        self._net, self._spec, self._sha256 = net, spec, sha256

    @property
    def net(self) -> nn.Module:
        """The network itself, not a copy."""
        return self._net

    @property
    def spec(self) -> Spec:
        """What the network says of its layers."""
        return self._spec

    @cached_property
    def sha256(self) -> str:  # type: ignore[override]  # hashing the weights can wait until asked
        """Of the weights' file, or of the parameters and buffers where there is no file."""
        return self._sha256 or state_hash(self._net)

    def tensor(self, values: FloatArray) -> Tensor:
        """Numbers where the network is, in the precision of its parameters.

        Parameters
        ----------
        values
            ``[N, C, h, w]`` in 0..255.
        """
        device, dtype = like(self._net)
        return torch.from_numpy(values).to(device=device, dtype=dtype)

    def ask(self, net: nn.Module, values: Tensor) -> Tensor:
        """Logits ``[N, K]`` of the network, while it is borrowed, for normalised pixels.

        Parameters
        ----------
        net
            The network, borrowed.
        values
            Its input ``[N, C, h, w]``, normalised.

        Raises ModelError for a network that fails on them, or gives something else.
        """
        with failures_named(self.card.name, tuple(values.shape)):
            output = net(values)
        return logits_of(output, len(values), self._spec.classes, self.card.name)

    def _outputs(self, names: Sequence[str], values: FloatArray) -> list[FloatArray]:
        kept: list[Tensor] = []
        with borrowed(self._net) as lent, torch.no_grad():
            if len(names) > 1:
                known, linear = self._class_map()
                lent.watch(known.features, kept.append)
            # without hooks as it was given: a compiled network runs compiled
            net = lent.net if len(names) > 1 else self._net
            outputs = [self.ask(net, self.tensor(values))]
            if len(names) > 1:
                weight = linear.weight
                outputs.append(torch.einsum("nchw,kc->nkhw", kept[-1].to(weight.dtype), weight))
        return [output.float().cpu().numpy() for output in outputs]

    def _class_map(self) -> tuple[ClassMap, nn.Linear]:
        known = self._spec.class_map
        linear = None if known is None else uncompiled(self._net).get_submodule(known.linear)
        if known is None or not isinstance(linear, nn.Linear):
            raise ModelError(
                f"{self.card.name}: the card has a class activation map, the network none; "
                "make the card anew"
            )
        return known, linear


def wrapped_card(net: nn.Module, spec: Spec, labels: Sequence[str]) -> Card:
    """A card for a network that comes without one; it claims nothing that is not known."""
    found = tuple(label(name) for name in labels)
    if len(found) != spec.classes or len(set(found)) != len(found):
        raise InputError(
            f"expected {spec.classes} different labels, one per logit, got {list(labels)}"
        )
    name = spec.name or type(net).__name__
    return Card(
        name=name,
        summary=f"{name}, a network in memory",
        preprocess=spec.preprocess,
        heads={"expression": open_head(net, spec, found)},
        default_head="expression",
        # faces are aligned as for the built-in model, on whose crops the mean landmarks rest
        template=built_in_template(),
    )


def open_head(
    net: nn.Module, spec: Spec, labels: tuple[str, ...], temperature: float = 1.0
) -> Head:
    """The head of a card: with a class activation map where the network has one."""
    if spec.class_map is None:
        return Head(labels=labels, logits="logits", temperature=temperature)
    linear = uncompiled(net).get_submodule(spec.class_map.linear)
    if not isinstance(linear, nn.Linear):
        raise ModelError(
            f"{spec.name}: expected a linear layer at {spec.class_map.linear!r}, "
            f"got {type(linear).__name__}; make the spec from this network"
        )
    found = [0.0] * spec.classes if linear.bias is None else linear.bias.detach().tolist()
    bias = tuple(map(float, found))
    return Head(labels=labels, logits="logits", cam="cam", bias=bias, temperature=temperature)


def state_hash(net: nn.Module) -> str:
    """SHA-256 over names, shapes and bytes of all parameters and buffers that are saved."""
    digest = hashlib.sha256()
    for name, value in uncompiled(net).state_dict().items():
        _add(digest, name, value)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, name: str, value: Any) -> None:
    """One entry of a state dict: a tensor, or what quantised layers keep packed."""
    if isinstance(value, (tuple, list)):
        for i, part in enumerate(value):
            _add(digest, f"{name}.{i}", part)
    elif not isinstance(value, Tensor):
        digest.update(f"{name} {value!r}".encode())
    elif value.is_quantized:
        digest.update(f"{name} {value.qscheme()}".encode())
        _add(digest, f"{name}.numbers", value.int_repr())
        _add(digest, f"{name}.real", value.dequantize())
    else:
        digest.update(f"{name} {list(value.shape)} {value.dtype}".encode())
        plain = value.detach().cpu().to_dense() if value.is_sparse else value.detach().cpu()
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
