"""The spec of a network that neither Mien nor timm has built, read off one pass."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from mien.models.torch.answer import failures_named, like
from mien.models.torch.borrow import borrowed, uncompiled
from mien.models.torch.measure import measured
from mien.models.torch.spec import ClassMap, Layer, Spec
from mien.vision.geometry import Preprocess


@dataclass
class _Seen:
    """What ran in a pass, in the order in which it ended."""

    maps: list[str] = field(default_factory=list)  # modules that gave [1, C, side, side]
    tokens: bool = False  # whether tokens came after the last map
    linear: str = ""  # the last linear layer with one output per class
    stages: list[str] = field(default_factory=list)
    runs: Counter[str] = field(default_factory=Counter)

    @property
    def layer(self) -> str:
        """The last module that ran once and gave a map that the rest of the network reads."""
        once = [name for name in self.maps if self.runs[name] == 1]
        return once[-1] if once and not self.tokens else ""

    def note(self, name: str, module: nn.Module, output: object, classes: int) -> None:
        """One module's output."""
        if isinstance(module, nn.Linear) and module.out_features == classes:
            self.linear = name
        if "." not in name and any(True for _ in module.parameters()):
            self.stages.append(name)
        self.runs[name] += 1
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2] > 1:
            if output.shape[2] == output.shape[3]:
                self.maps.append(name)
                self.tokens = False
        elif isinstance(output, Tensor) and output.ndim == 3:
            self.tokens = True


def own_spec(
    net: nn.Module, classes: int, preprocess: Preprocess, *, layer: str = "", name: str = ""
) -> Spec:
    """The spec of any network that takes a square picture, measured in one pass.

    The layer to explain is ``layer``, or the last module that gives a map [N, C, rows, columns]
    of more than one cell. Where its average goes through the last linear layer, class activation
    maps are exact, which is checked. A transformer has no such layer: name one that gives a map,
    or write a :class:`Spec` by hand, which says how its tokens read.

    Parameters
    ----------
    net
        Any module that gives logits.
    preprocess
        What it wants to see.
    name
        What it is to be called.

    Raises ModelError for a network that fails on such pictures or does not give ``classes`` logits.

    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    ...                     nn.Linear(4, 7))
    >>> how = Preprocess(size=32, channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)
    >>> spec = own_spec(net, 7, how)
    >>> spec.layers[0].name, spec.layers[0].grid, spec.class_map.linear
    ('1', (30, 30), '4')
    """
    plain = uncompiled(net)
    name = name or type(plain).__name__
    seen = _one_pass(plain, classes, preprocess, name)
    last = layer or seen.layer
    spec = Spec(
        name,
        classes,
        "",
        preprocess,
        layers=(Layer(last, "auto"),) if last else (),
        output_layers=(seen.linear,) if seen.linear else (),
        stages=tuple(dict.fromkeys(n for n in seen.stages if n != seen.linear)),
        notes=("measured from the network: no attention is read",),
    )
    spec = measured(net, spec)
    if spec.layers and spec.layers[0].layout == "NCHW" and seen.linear:
        found = measured(net, replace(spec, class_map=ClassMap(last, seen.linear)))
        spec = replace(spec, class_map=found.class_map)
    return spec


def _one_pass(net: nn.Module, classes: int, how: Preprocess, name: str) -> _Seen:
    seen = _Seen()
    device, dtype = like(net)
    shape = (1, how.channels, how.size, how.size)
    with borrowed(net) as lent, torch.no_grad(), failures_named(name, shape):
        for key, module in net.named_modules():
            if key:

                def note(output: object, key: str = key, module: nn.Module = module) -> None:
                    seen.note(key, module, output, classes)

                lent.watch(key, note)
        lent.net(torch.zeros(shape, device=device, dtype=dtype))
    return seen
