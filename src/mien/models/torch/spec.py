"""What a network says of itself, what its file said, and the registry of networks."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple, get_origin

from torch import nn

from mien.registry import Registry, choose
from mien.types import InputError, MissingExtraError
from mien.vision.geometry import Preprocess

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True)
class Layer:
    """A place in a network whose output is a map of the face.

    ``name`` is what ``net.get_submodule`` takes; nothing overwrites that module's output later in
    the pass. ``layout`` says how the output reads: ``NCHW`` is [N, C, rows, columns], ``NHWC``
    [N, rows, columns, C], ``NLC`` [N, prefix + rows * columns, C] with ``prefix`` tokens that
    stand for no place, before the patches. ``grid`` is (rows, columns), measured by a pass.
    """

    name: str
    layout: str = "NCHW"
    prefix: int = 0
    grid: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Attention:
    """One attention layer, in the order of the pass.

    ``kind`` is ``self`` (every token over every token), ``gated`` (ConViT's positional attention)
    or ``cross`` (the class token over the other branch's patches: one row, not a square matrix).
    ``prefix`` tokens come before the ``grid`` of patches. timm fuses attention: set
    ``fused_attn = False`` on the module where it has that attribute, else no weights appear.
    """

    name: str
    kind: str
    heads: int
    prefix: int
    grid: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class ClassMap:
    """Global average pooling and one linear layer, which make class activation maps exact.

    The output of ``features`` is [N, C, rows, columns]; the layer ``linear`` applied to its mean
    is the logits (Zhou et al. 2016, arXiv:1512.04150).
    """

    features: str
    linear: str
    grid: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Loaded:
    """What came out of a weights file, and what stayed as it was initialised."""

    source: str
    sha256: str
    tensors: int  # how many were taken
    replaced: tuple[str, ...] = ()  # tensors of ours that start anew: head, added layers

    def __str__(self) -> str:
        """One sentence for a log.

        >>> str(Loaded("a.safetensors", "0", 3, ("fc.weight",)))
        'a.safetensors: 3 tensors taken, 1 starts anew (fc.weight)'
        """
        text = f"{self.source}: {self.tensors} tensors taken"
        if not self.replaced:
            return text
        shown = ", ".join(self.replaced[:4]) + (", ..." if len(self.replaced) > 4 else "")
        return f"{text}, {len(self.replaced)} start{'s' * (len(self.replaced) == 1)} anew ({shown})"


@dataclass(frozen=True)
class Spec:
    """All that training, explaining and exporting must know of a network, so that none guesses.

    ``layers`` are what CAM methods read: one, or one per branch, or none where no layer is a map
    (``notes`` says why). ``heads`` are the modules that depend on the number of classes;
    ``classifier`` is the whole classifier where that is more, for training it alone; ``added`` are
    modules that a pretrained backbone's file does not have; ``dropped`` what it has beside.
    ``stages`` are whole modules from the input to the output, for training the last few only (a
    VGG's are its single layers). ``repository`` on the hub holds the pretrained weights, "" where
    there are none. ``counts`` are the expected numbers of parameters for 6 and 7 classes, empty
    where options changed the network.
    """

    name: str
    classes: int
    paper: str
    preprocess: Preprocess
    layers: tuple[Layer, ...]
    heads: tuple[str, ...]
    stages: tuple[str, ...] = ()
    classifier: tuple[str, ...] = ()
    class_map: ClassMap | None = None
    attention: tuple[Attention, ...] = ()
    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    repository: str = ""
    counts: dict[int, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    weights: Loaded | None = None

    @property
    def has_attention(self) -> bool:
        """Whether attention weights between patches can be read."""
        return bool(self.attention)

    @property
    def rollout(self) -> bool:
        """Whether attention can be multiplied through: one grid, no cross-attention."""
        grids = {a.grid for a in self.attention}
        return len(grids) == 1 and all(a.kind != "cross" for a in self.attention)

    @property
    def patch_grid(self) -> tuple[int, int] | None:
        """Rows and columns of patches (of the first branch); None without tokens."""
        return next((layer.grid for layer in self.layers if layer.layout == "NLC"), None)

    @property
    def prefix_tokens(self) -> int:
        """Tokens before the patches at the layer to explain, such as the class token."""
        return self.layers[0].prefix if self.layers else 0


class Created(NamedTuple):
    """A network and what it says of itself."""

    net: Any  # an nn.Module: [N, channels, size, size] to logits [N, classes]
    spec: Spec


Builder = Callable[..., tuple[nn.Module, Spec]]
MODELS: Final = Registry[Builder](
    "model", package="mien.models.torch.networks", group="mien.networks"
)
COUNTS: Final[dict[str, dict[int, int]]] = {}  # expected parameters by model and classes


def register(name: str, build: Builder, counts: dict[int, int] | None = None) -> None:
    """File a builder with the numbers of parameters that it must give by default."""
    MODELS.register(name)(build)
    COUNTS[name] = counts or {}


def count(net: nn.Module) -> int:
    """How many parameters a network has, trainable or not.

    >>> count(nn.Linear(3, 2))
    8
    """
    return sum(p.numel() for p in net.parameters())


def extra(package: str) -> Any:
    """Import an optional package; MissingExtraError says how to install it."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError(
            f"expected the package {package!r}, which is not installed; "
            f"pip install 'mien[train]' ({error})"
        ) from error


def checked_options(name: str, build: Builder, options: dict[str, Any]) -> dict[str, Any]:
    """Options that a builder takes, lists as tuples.

    Raises UnknownNameError for one it does not take, InputError for a wrong type.
    """
    parameters = inspect.signature(build, eval_str=True).parameters
    known = {key: p for key, p in parameters.items() if p.kind is p.KEYWORD_ONLY}
    found = {}
    for key, value in options.items():
        wanted = known[choose(f"option of {name!r}", key, known)].annotation
        kind = get_origin(wanted) or wanted
        given = tuple(value) if kind is tuple and isinstance(value, list) else value
        fits = isinstance(given, (float, int) if kind is float else kind)
        if not fits or (isinstance(given, bool) and kind is not bool):
            raise InputError(
                f"expected {kind.__name__} for the option {key!r} of {name!r}, got {value!r}"
            )
        found[key] = given
    return found
