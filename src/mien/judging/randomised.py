"""The same network with its weights shuffled: what an explanation of nothing looks like."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien import extras
from mien.models.base import BaseModel
from mien.models.onnx import Model
from mien.types import FloatArray, ModelError

if TYPE_CHECKING:
    from mien.models.torch.model import TorchModel  # which imports torch


def randomised(model: BaseModel, seed: int = 0) -> BaseModel:
    """A model whose every weight tensor is shuffled, each differently (Adebayo et al. 2018).

    Shuffling keeps each layer's distribution, so that the logits keep their order of size. The
    model itself is left alone. Raises ModelError for a kind of model that cannot be copied, and for
    a network without weight tensors, such as one whose weights torch has packed.
    """
    if model.net is not None:
        return _shuffled_net(model, seed)
    if isinstance(model, Model):
        return _shuffled_file(model, seed)
    raise ModelError(f"expected an ONNX file or a network in torch, got {type(model).__name__}")


def _shuffle(values: FloatArray, rng: np.random.Generator) -> FloatArray:
    return np.asarray(rng.permutation(values.ravel()).reshape(values.shape), dtype=values.dtype)


def _shuffled_net(model: Any, seed: int) -> TorchModel:
    import torch

    from mien.models.torch.model import TorchModel

    rng = np.random.default_rng(seed)
    net = copy.deepcopy(model.net)
    weights = [parameter for parameter in net.parameters() if parameter.ndim > 1]
    if not weights:
        raise ModelError(
            f"{model.card.name}: expected weights that can be shuffled, got none; give the network "
            "before its weights were quantised"
        )
    with torch.no_grad():
        for weight in weights:
            order = torch.from_numpy(rng.permutation(weight.numel())).to(weight.device)
            weight.copy_(weight.flatten()[order].reshape(weight.shape))
    twin = TorchModel(net, model.spec, model.labels, card=model.card, head=model.head_name)
    return twin.answering(flip=model.flip)


def _shuffled_file(model: Model, seed: int) -> Model:
    onnx = extras.need("onnx", "train", "shuffling the weights of an ONNX file")
    numpy_helper = extras.need("onnx.numpy_helper", "train")
    rng = np.random.default_rng(seed)
    graph = onnx.load(str(model.path))
    for tensor in graph.graph.initializer:
        if len(tensor.dims) > 1:
            values = _shuffle(numpy_helper.to_array(tensor), rng)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "randomised.onnx"
        onnx.save(graph, str(path))
        return Model(path, model.head_name).answering(flip=model.flip)
