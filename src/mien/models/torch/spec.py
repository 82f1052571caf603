"""What a network says of itself, and what its weights' file said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from torch import nn

from mien.vision.geometry import Preprocess

IMAGENET_MEAN: Final = (0.485, 0.456, 0.406)
IMAGENET_STD: Final = (0.229, 0.224, 0.225)


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

    name: str  # of the module
    kind: str
    num_heads: int  # heads in it
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
    grid: tuple[int, int] = (0, 0)  # rows and columns, measured


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
    (``notes`` says why). ``output_layers`` are the modules that depend on the number of classes;
    ``classifier`` is the whole classifier where that is more, for training it alone; ``added`` are
    modules that a pretrained backbone's file does not have; ``dropped`` what it has beside.
    ``stages`` are whole modules from the input to the output, for training the last few only (a
    VGG's are its single layers). ``repository`` on the hub holds the pretrained weights, "" where
    there are none. ``counts`` are the expected numbers of parameters for 6 and 7 classes, empty
    where options changed the network.
    """

    name: str  # as create() takes it
    classes: int  # number of outputs
    paper: str  # the paper and its section
    preprocess: Preprocess  # what the network wants to see
    layers: tuple[Layer, ...]
    output_layers: tuple[str, ...]
    stages: tuple[str, ...] = ()
    classifier: tuple[str, ...] = ()
    class_map: ClassMap | None = None  # where class activation maps are exact
    attention: tuple[Attention, ...] = ()  # every layer of attention, first to last
    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    repository: str = ""
    counts: dict[int, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    weights: Loaded | None = None  # what was loaded, and what started anew

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

    net: nn.Module  # [N, channels, size, size] to logits [N, classes]
    spec: Spec
