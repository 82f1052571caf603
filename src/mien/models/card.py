"""A model's card: what the network is, what it wants to see, and how its outputs read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mien.types import ModelError
from mien.vision.geometry import Preprocess

if TYPE_CHECKING:
    pass  # which imports torch


CARD_KEY = "mien_card"  # in the ONNX file's metadata


@dataclass(frozen=True)
class Head:
    """One linear layer on the pooled features: its labels, its outputs in the graph, its scale."""

    labels: tuple[str, ...]
    logits: str  # name of the output [N, K]
    cam: str | None = None  # name of the output [N, K, h, w] whose mean plus bias is the logits
    bias: tuple[float, ...] = ()
    temperature: float = 1.0  # divides the logits before the softmax; fitted on validation data

    def __post_init__(self) -> None:
        if self.temperature <= 0 or (self.cam and len(self.bias) != len(self.labels)):
            raise ModelError(
                f"expected a positive temperature and {len(self.labels)} biases, "
                f"got {self.temperature} and {len(self.bias)}; export the model again"
            )


@dataclass(frozen=True)
class Card:
    """What a model is and where it comes from; it travels inside the model file."""

    name: str
    summary: str
    preprocess: Preprocess
    heads: dict[str, Head]
    default_head: str
    landmarks: str | None = None  # name of the output [N, 24, 2], x and y in 0..1 across the crop
    template: tuple[tuple[float, float], ...] = ()  # mean landmarks of the training crops, 0..1
    licence: str = ""
    data: str = ""
    protocol: str = ""
    intended_use: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    recipe: dict[str, Any] = field(default_factory=dict)
    recipe_hash: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """The card as JSON, as it stands in the file's metadata."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Read a card; ModelError where a field is missing or unknown."""
        try:
            raw = json.loads(text)
            pre = raw.pop("preprocess")
            preprocess = Preprocess(**{**pre, "mean": tuple(pre["mean"]), "std": tuple(pre["std"])})
            heads = {
                name: Head(**{**h, "labels": tuple(h["labels"]), "bias": tuple(h["bias"])})
                for name, h in raw.pop("heads").items()
            }
            template = tuple((float(x), float(y)) for x, y in raw.pop("template"))
            return cls(preprocess=preprocess, heads=heads, template=template, **raw)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"the model's card cannot be read ({error}); export it again"
            ) from None
