"""Models: a network together with its card; the one here is a file run by ONNX Runtime."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mien.images import Preprocess
from mien.registry import choose
from mien.types import FloatArray, ImageArray, InputError, ModelError

if TYPE_CHECKING:
    from mien.models.base import Spec  # which imports torch

CARD_KEY = "mien_card"  # in the ONNX file's metadata
BATCH = 256  # crops per forward pass; 256 at 48 x 48 take about 60 MB


@dataclass(frozen=True)
class Head:
    """One linear layer on the pooled features: its labels, its outputs in the graph, its scale."""

    labels: tuple[str, ...]
    logits: str  # name of the output [N, K]
    cam: str | None = None  # name of the output [N, K, h, w] whose mean plus bias is the logits
    bias: tuple[float, ...] = ()
    temperature: float = 1.0  # divides the logits before the softmax; fitted on validation data
    prior: tuple[float, ...] = ()  # shares of the labels in training; empty where not recorded

    def __post_init__(self) -> None:
        if self.temperature <= 0 or (self.cam and len(self.bias) != len(self.labels)):
            raise ModelError(
                f"expected a positive temperature and {len(self.labels)} biases, "
                f"got {self.temperature} and {len(self.bias)}; export the model again"
            )
        if self.prior and (
            len(self.prior) != len(self.labels)
            or min(self.prior) <= 0
            or abs(sum(self.prior) - 1) > 1e-3
        ):
            raise ModelError(
                f"expected a prior of {len(self.labels)} positive shares that sum to 1, "
                f"got {self.prior}; export the model again"
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
                name: Head(**{k: tuple(v) if isinstance(v, list) else v for k, v in h.items()})
                for name, h in raw.pop("heads").items()
            }
            template = tuple((float(x), float(y)) for x, y in raw.pop("template"))
            return cls(preprocess=preprocess, heads=heads, template=template, **raw)
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"the model's card cannot be read ({error}); export it again"
            ) from None


class Output(NamedTuple):
    """What a model says of N crops."""

    logits: FloatArray  # [N, K]
    cam: FloatArray | None  # [N, K, h, w]
    landmarks: FloatArray | None  # [N, 24, 2] in 0..1 across the crop


class BaseModel(ABC):
    """What every model offers, wherever its network runs: a card, a chosen head, and logits.

    ``head`` picks one of the card's label sets. Subclasses say where the network runs, by
    ``_outputs``, and what identifies its weights, by ``sha256``.
    """

    sha256: str  # of the weights

    def __init__(self, card: Card, head: str | None = None) -> None:
        self.card = card
        self.head_name = choose("head", head or card.default_head, card.heads)
        self.head = card.heads[self.head_name]

    @abstractmethod
    def _outputs(self, names: Sequence[str], values: FloatArray) -> list[FloatArray]:
        """The named outputs for normalised pixels ``[n, C, size, size]``, n at most ``BATCH``."""

    @property
    def net(self) -> Any:
        """The network as a torch module, None where there is only a file to run."""
        return None

    @property
    def spec(self) -> Spec | None:
        """What a network in torch says of its layers, None where nothing is known of them."""
        return None

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the chosen head, in the order of its logits."""
        return self.head.labels

    @property
    def identity(self) -> str:
        """Name and SHA-256, as results record them."""
        return f"{self.card.name} sha256:{self.sha256}"

    def pixels(self, crop: ImageArray) -> FloatArray:
        """A crop ``[H, W, 3] uint8`` as the ``[C, size, size]`` float pixels the network sees."""
        return self.card.preprocess.pixels(crop)

    def run(self, pixels: FloatArray, *, cam: bool = False, landmarks: bool = False) -> Output:
        """Outputs for pixels ``[N, C, size, size]`` in 0..255, in batches of 256."""
        how = self.card.preprocess
        if pixels.ndim != 4 or pixels.shape[1:] != (how.channels, how.size, how.size):
            raise InputError(
                f"expected pixels of shape [N, {how.channels}, {how.size}, {how.size}], "
                f"got {list(pixels.shape)}; use Model.pixels on each crop"
            )
        if cam and self.head.cam is None:
            raise InputError(
                f"{self.card.name} has no class activation output; use the method 'regions'"
            )
        wanted = [self.head.logits]
        wanted += [self.head.cam] if cam and self.head.cam else []
        wanted += [self.card.landmarks] if landmarks and self.card.landmarks else []
        parts = [
            self._outputs(wanted, how.normalise(pixels[i : i + BATCH]))
            for i in range(0, len(pixels), BATCH)
        ]
        found = {
            name: np.concatenate([part[i] for part in parts]) if parts else np.zeros((0,))
            for i, name in enumerate(wanted)
        }
        return Output(
            found[self.head.logits],
            found[self.head.cam] if cam and self.head.cam else None,
            found.get(self.card.landmarks) if self.card.landmarks else None,
        )

    def logits(self, pixels: FloatArray) -> FloatArray:
        """Logits ``[N, K]`` of the chosen head for pixels ``[N, C, size, size]`` in 0..255."""
        return self.run(pixels).logits

    @property
    def template(self) -> FloatArray:
        """Mean landmarks ``[24, 2]`` of the training crops, in 0..1 across the crop."""
        return np.asarray(self.card.template, dtype=np.float64)


class Model(BaseModel):
    """A network in an ONNX file, with the card inside it.

    ``head`` picks one of the card's label sets. The file is checked against the SHA-256 beside
    it where there is one. Raises ModelError for a file that cannot be used.

    >>> from mien.weights import locate
    >>> model = Model(locate("mien"))
    >>> model.labels[:3]
    ('angry', 'disgust', 'fear')
    """

    def __init__(self, path: Path, head: str | None = None, threads: int = 0) -> None:
        self.path = path
        self._threads = threads
        self.sha256 = _verified_hash(path)
        meta = self._session.get_modelmeta().custom_metadata_map
        if CARD_KEY not in meta:
            raise ModelError(
                f"{path}: expected a Mien model with its card inside, found no card; "
                "export it with Mien"
            )
        super().__init__(Card.from_json(meta[CARD_KEY]), head)

    @cached_property
    def _session(self) -> Any:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads
        # waiting threads sleep instead of spinning, so that other processes keep their cores
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return ort.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own unexported kinds
            reason = str(error).splitlines()[0]
            raise ModelError(
                f"{self.path}: expected an ONNX model, but it cannot be loaded ({reason})"
            ) from error

    def _outputs(self, names: Sequence[str], values: FloatArray) -> list[FloatArray]:
        inputs = {self._session.get_inputs()[0].name: values}
        return list(self._session.run(list(names), inputs))


def _verified_hash(path: Path) -> str:
    """SHA-256 of a model file; ModelError where it is absent or not the one beside it."""
    if not path.is_file():
        raise ModelError(f"{path}: no such model file; give the path of an .onnx file")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    beside = path.with_name(path.name + ".sha256")
    if beside.is_file() and (stated := beside.read_text(encoding="utf-8").split()[0]) != digest:
        raise ModelError(
            f"{path}: expected SHA-256 {stated[:12]}..., got {digest[:12]}...; "
            "the file is damaged: install Mien again or copy the file again"
        )
    return digest
