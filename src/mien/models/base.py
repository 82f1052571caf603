"""What every model offers, wherever its network runs: a card, a chosen head, and logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mien.models.card import Card
from mien.registry import choose
from mien.types import FloatArray, ImageArray, InputError, ModelError

if TYPE_CHECKING:  # which imports torch
    from torch import nn

    from mien.models.torch.spec import Spec


BATCH = 256  # crops per forward pass; 256 at 48 x 48 take about 60 MB


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
    def net(self) -> nn.Module | None:
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
        """Outputs for pixels ``[N, C, size, size]`` in 0..255, in batches of 256.

        Raises InputError for pixels of another shape or a class activation map that the model does
        not have, ModelError for answers of another shape, or that are not finite.
        """
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
            self._batch(wanted, how.normalise(pixels[i : i + BATCH]))
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

    def _batch(self, names: Sequence[str], values: FloatArray) -> list[FloatArray]:
        """The outputs of one batch, checked: nothing is answered that is no number."""
        outputs = self._outputs(names, values)
        expected = [len(values), len(self.labels)]
        if list(outputs[0].shape) != expected:
            raise ModelError(
                f"{self.card.name}: expected logits of shape {expected}, one per label, got "
                f"{list(outputs[0].shape)}; its card is another model's"
            )
        for name, output in zip(names, outputs, strict=True):
            if not np.isfinite(output).all():
                raise ModelError(
                    f"{self.card.name}: its output {name!r} is not finite (NaN or infinity): its "
                    "weights are damaged, or too large for their precision; take other weights"
                )
        return outputs

    def logits(self, pixels: FloatArray) -> FloatArray:
        """Logits ``[N, K]`` of the chosen head for pixels ``[N, C, size, size]`` in 0..255."""
        return self.run(pixels).logits

    @property
    def template(self) -> FloatArray:
        """Mean landmarks ``[24, 2]`` of the training crops, in 0..1 across the crop."""
        return np.asarray(self.card.template, dtype=np.float64)
