"""What a network under training says of images, outside of its training steps."""

from __future__ import annotations

import numpy as np
import torch

from mien.metrics import accuracy
from mien.train.module import Fit
from mien.train.pixels import Images
from mien.types import FloatArray


@torch.no_grad()
def predict(
    module: Fit, images: Images, batch: int, device: torch.device | None = None
) -> FloatArray:
    """Logits ``[N, K]`` of images, in their order, in float32; leaves the network in evaluation."""
    module.to(device or torch.device("cpu")).eval()
    logits = [module(part.to(module.device)).float().cpu() for part in images.batches(batch)]
    return np.asarray(torch.cat(logits).numpy())


def share_right(module: Fit, images: Images, batch: int) -> float:
    """Accuracy on images as they are, where the network is; it goes on as it was."""
    training = module.training
    logits = predict(module, images, batch, module.device)
    module.train(training)
    return accuracy(images.targets.argmax(dim=1).numpy(), logits.argmax(axis=1))
