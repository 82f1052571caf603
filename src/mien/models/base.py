"""What every model offers, wherever its network runs: a card, a chosen head, and logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from mien.models.card import Card
from mien.priors import Prior, read_prior
from mien.registry import choose
from mien.types import FloatArray, ImageArray, InputError, ModelError
from mien.vision.landmarks import MIRROR

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
        #: The name of the label set that answers.
        self.head_name = choose("head", head or card.default_head, card.heads)
        #: That label set.
        self.head = card.heads[self.head_name]
        #: Whether an answer is the mean of those for the crop and for its mirror image.
        self.flip = False
        #: What another prior adds to the network's logits ``[K]``.
        self.offset: FloatArray = np.zeros(len(self.labels), dtype=np.float32)

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

    def answering(
        self, prior: Prior | None = None, *, labels: Sequence[str] = (), flip: bool | None = None
    ) -> Self:
        """A copy that answers under another prior, or by the crop and its mirror image together.

        Parameters
        ----------
        prior
            ``even``, the name of a head whose training prior the card states, or shares; None
            leaves it as it is. What it changes is one constant per label in the logits, so
            explanations keep their parts: ``base`` and ``value`` move alike.
        labels
            Those that are answered, whose shares ``prior`` gives; default: all. The others keep
            the share that they have.
        flip
            Answer with the mean over the crop and its mirror image, for twice the time; None
            leaves it as it is.

        Raises InputError where the head's own prior is not known, or as
        :func:`mien.priors.read_prior`.

        >>> from mien.models.onnx import Model
        >>> from mien.models.weights import locate
        >>> even = Model(locate("mien"), "fer2013").answering("even")
        >>> round(even.prior["disgust"], 3)
        0.143
        """
        twin = copy(self)
        twin.flip = self.flip if flip is None else flip
        if prior is not None:
            twin.head = replace(self.head, prior=self._shares(prior, labels or self.labels))
            odds = np.log(twin.head.prior) - np.log(self.head.prior)
            added = (odds * self.head.temperature).astype(np.float32)
            twin.offset = self.offset + added
            if self.head.bias:
                moved = np.asarray(self.head.bias, dtype=np.float64) + added
                twin.head = replace(twin.head, bias=tuple(map(float, moved)))
        return twin

    def _shares(self, prior: Prior, labels: Sequence[str]) -> tuple[float, ...]:
        """A prior over all labels of the head, of which some are not answered."""
        if not self.head.prior:
            raise InputError(
                f"{self.card.name}: its card states no prior of {self.head_name!r}, so its answers "
                "cannot be put under another; leave the prior out"
            )
        heads = self.card.heads.items()
        named = {n: dict(zip(h.labels, h.prior, strict=True)) for n, h in heads if h.prior}
        known = dict(zip(labels, read_prior(prior, labels, named), strict=True))
        left = {n: share for n, share in self.prior.items() if n not in known}
        rest = 1 - sum(left.values())
        return tuple(float(left.get(n, known.get(n, 0) * rest)) for n in self.labels)

    @property
    def prior(self) -> dict[str, float]:
        """The share of each label that an answer expects; empty where the card states none."""
        return dict(zip(self.labels, self.head.prior, strict=True)) if self.head.prior else {}

    def pixels(self, crop: ImageArray) -> FloatArray:
        """A crop ``[H, W, 3] uint8`` as the ``[C, size, size]`` float pixels the network sees.

        Parameters
        ----------
        crop
            ``[H, W, 3] uint8``.
        """
        return self.card.preprocess.pixels(crop)

    def run(self, pixels: FloatArray, *, cam: bool = False, landmarks: bool = False) -> Output:
        """Outputs for pixels ``[N, C, size, size]`` in 0..255, in batches of 256.

        Parameters
        ----------
        pixels
            ``[N, C, h, w]`` in 0..255.
        cam
            Whether class activation maps are wanted, too.
        landmarks
            Whether landmarks are wanted, too.

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
            self._answers(wanted, how.normalise(pixels[i : i + BATCH]))
            for i in range(0, len(pixels), BATCH)
        ]
        none = np.zeros((0, len(self.labels)))
        found = {
            name: np.concatenate([part[i] for part in parts]) if parts else none
            for i, name in enumerate(wanted)
        }
        return Output(
            found[self.head.logits],
            found[self.head.cam] if cam and self.head.cam else None,
            found.get(self.card.landmarks) if self.card.landmarks else None,
        )

    def _answers(self, names: Sequence[str], values: FloatArray) -> list[FloatArray]:
        """The outputs of one batch under the chosen prior, with ``flip`` of both images."""
        outputs = self._batch(names, values)
        if self.flip:
            mirrored = self._batch(names, np.ascontiguousarray(values[..., ::-1]))
            pairs = zip(names, outputs, mirrored, strict=True)
            outputs = [(one + self._turned(name, other)) / 2 for name, one, other in pairs]
        if self.offset.any():
            outputs[0] = outputs[0] + self.offset
        return outputs

    def _turned(self, name: str, output: FloatArray) -> FloatArray:
        """An output for mirror images as it lies on the images themselves."""
        if name == self.head.cam:
            return output[..., ::-1]
        if name == self.card.landmarks:
            points = output[:, list(MIRROR)].copy()
            points[..., 0] = 1 - points[..., 0]
            return points
        return output

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
        """Logits ``[N, K]`` of the chosen head for pixels ``[N, C, size, size]`` in 0..255.

        Parameters
        ----------
        pixels
            ``[N, C, h, w]`` in 0..255.
        """
        return self.run(pixels).logits

    @property
    def template(self) -> FloatArray:
        """Mean landmarks ``[24, 2]`` of the training crops, in 0..1 across the crop."""
        return np.asarray(self.card.template, dtype=np.float64)
