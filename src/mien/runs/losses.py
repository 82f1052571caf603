"""Losses on logits and soft targets, by the names that recipes know.

They are written in the methods of tensors alone, so that a recipe can be checked without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from mien.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor


class Focus(Protocol):
    """What losses read of a recipe's training."""

    @property
    def focal_gamma(self) -> float:
        """How strongly examples that are already answered correctly are weighed down."""

    @property
    def focal_alpha(self) -> float:
        """Factor of the whole loss."""


class Loss(Protocol):
    """A scalar of logits ``[N, K]``, targets ``[N, K]`` and class weights ``[K]``."""

    def __call__(self, logits: Tensor, targets: Tensor, weights: Tensor, how: Focus) -> Tensor:
        """The loss."""


LOSSES: Final = Registry[Loss]("loss", group="mien.losses")


@LOSSES.register("cross-entropy")
def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    how: Focus,  # noqa: ARG001 - every loss takes it
) -> Tensor:
    """Weighted cross-entropy with soft targets, a scalar.

    ``logits`` and ``targets`` are ``[N, K]``, rows of targets sum to 1; ``weights`` ``[K]``
    multiply each class's part, and the sum is divided by the weights seen, as torch does
    for hard labels.

    >>> import torch
    >>> from mien.runs.recipe import Training
    >>> logits, targets = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    >>> round(float(cross_entropy(logits, targets, torch.ones(2), Training())), 4)
    0.6931
    """
    parts = -(targets * weights * logits.log_softmax(dim=1)).sum(dim=1)
    return parts.sum() / (targets * weights).sum().clamp(min=1e-12)


@LOSSES.register("focal")
def focal(logits: Tensor, targets: Tensor, weights: Tensor, how: Focus) -> Tensor:
    """Focal loss (Lin et al. 2017, arXiv:1708.02002, equation 5), a scalar.

    ``-alpha (1 - p)^gamma log p`` summed over classes with the targets as shares; equal to
    cross-entropy where gamma is 0 and alpha is 1. Class weights play alpha per class.
    """
    log_p = logits.log_softmax(dim=1)
    parts = targets * weights * (1 - log_p.exp()) ** how.focal_gamma * log_p
    return -how.focal_alpha * parts.sum() / (targets * weights).sum().clamp(min=1e-12)


def soften(targets: Tensor, smoothing: float) -> Tensor:
    """Targets ``[N, K]`` with a share spread over all classes (Szegedy et al. 2016)."""
    return targets * (1 - smoothing) + smoothing / targets.shape[1]
