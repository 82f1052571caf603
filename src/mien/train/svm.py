"""A linear SVM on a network's frozen features, kept as the network's last layer."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from mien.extras import need
from mien.models.torch.answer import like
from mien.models.torch.spec import Spec
from mien.train.embedding import last_linear, penultimate
from mien.types import FloatArray, InputError, IntArray


def fit_svm(
    net: nn.Module,
    spec: Spec,
    batches: Iterable[tuple[Tensor, IntArray]],
    *,
    penalty: float = 1.0,
    seed: int = 0,
) -> None:
    """Fit the last linear layer by scikit-learn's ``LinearSVC``, one class against the rest.

    Features are what goes into that layer, in evaluation mode; they are standardised, and the scale
    is folded into the layer. The other weights stay as they are. After Kairzhanov's thesis, 3.3.

    Parameters
    ----------
    batches
        Normalised pixels ``[N, channels, size, size]`` with class indices ``[N]``.
    penalty
        The SVM's C.

    Raises InputError where a class has no image, and as :func:`svm_layer` does.
    """
    layer = svm_layer(net, spec)
    device, labels = like(net)[0], []
    with penultimate(net, spec) as features, torch.no_grad():
        for pixels, truth in batches:
            net(pixels.to(device))
            labels.append(np.asarray(truth))
    y = np.concatenate(labels) if labels else np.zeros(0, dtype=np.int64)
    if missing := sorted(set(range(spec.classes)) - set(y.tolist())):
        raise InputError(
            f"expected images of all {spec.classes} classes, none of {missing}; add some"
        )
    weight, bias = _solved(features.array.astype(np.float64), y, penalty, seed)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))


def svm_layer(net: nn.Module, spec: Spec) -> nn.Linear:
    """The layer that becomes the SVM.

    Raises InputError where not one is the last (CrossViT has two), and for one without a bias.
    """
    layers = last_linear(net, spec)
    if len(layers) != 1:
        raise InputError(
            f"{spec.name}: expected one last linear layer for strategy 'svm', got {len(layers)}; "
            "use strategy 'head'"
        )
    layer = net.get_submodule(next(iter(layers.values())))
    assert isinstance(layer, nn.Linear)
    if layer.bias is None:
        raise InputError(
            f"{spec.name}: expected a last layer with a bias for strategy 'svm', got one without; "
            "use strategy 'head'"
        )
    return layer


def _solved(x: FloatArray, y: IntArray, penalty: float, seed: int) -> tuple[FloatArray, FloatArray]:
    """Weights ``[classes, features]`` and biases ``[classes]`` for features as they come."""
    mean, std = x.mean(axis=0), x.std(axis=0)
    std[std == 0] = 1.0  # a feature that never varies says nothing
    learn = need("sklearn.svm", "train", "the SVM")
    model = learn.LinearSVC(C=penalty, random_state=seed, max_iter=20_000)
    model.fit((x - mean) / std, y)
    weight, bias = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn keeps one row for two classes
        weight, bias = np.vstack([-weight, weight]), np.concatenate([-bias, bias])
    weight = weight / std
    return weight, bias - weight @ mean
