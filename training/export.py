"""Write the trained network as ONNX with its card: float weights kept in 16 bits, and int8.

Run ``python -m training.export recipes/builtin/compact.toml build/model OUTPUT``.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from mien.models.compact import CompactNet
from mien.runtime import CARD_KEY, Card

OUTPUTS = ("logits_ferplus", "cam_ferplus", "logits_fer2013", "cam_fer2013", "landmarks")


class Exported(nn.Module):
    """The network with the file's outputs: logits, class activation maps, landmarks in 0..1."""

    def __init__(self, net: CompactNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        out = self.net(x)
        outputs: list[Tensor] = []
        for head in (self.net.ferplus, self.net.fer2013):
            cam = torch.nn.functional.conv2d(out.features, head.weight[:, :, None, None])
            outputs += [cam.mean(dim=(2, 3)) + head.bias, cam]
        return (*outputs, (out.landmarks + 1) / 2)


def load_network(network: dict[str, Any], weights: Path) -> CompactNet:
    net: CompactNet = CompactNet(**network)
    net.load_state_dict(torch.load(weights, weights_only=True))
    net.eval()
    return net


def export_float(net: CompactNet, path: Path) -> None:
    """The graph in 32-bit floats; batch normalisation is folded into the convolutions."""
    torch.onnx.export(
        Exported(net).eval(),
        (torch.zeros(2, 1, 48, 48),),
        str(path),
        input_names=["pixels"],
        output_names=list(OUTPUTS),
        dynamic_shapes={"x": {0: "batch"}},
        opset_version=18,
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def halve_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Keep large weights as 16-bit floats, cast back when the file is loaded: half the size."""
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) > 256:
            name = tensor.name
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, name + "_half"))
            casts.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)
    return model


class Crops(CalibrationDataReader):
    """Calibration batches for static quantisation."""

    def __init__(self, batches: Sequence[np.ndarray]) -> None:
        self._left = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._left, None)
        return None if batch is None else {"pixels": batch}


def quantise(source: Path, target: Path, crops: np.ndarray) -> None:
    """Static int8 (QDQ, per channel), calibrated on normalised training crops ``[N, 1, 48, 48]``.

    The linear heads and the landmark head stay in floats: they cost nothing and carry the answer.
    """
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        graph = onnx.load(str(ready)).graph
        # the last three convolutions are the two activation maps and the landmark head's
        heads = [n.name for n in graph.node if n.op_type == "Conv"][-3:]
        # additions of a constant are the heads' biases; those of two features are shortcuts
        constants = {tensor.name for tensor in graph.initializer}
        heads += [n.name for n in graph.node if n.op_type == "Add" and constants & set(n.input)]
        quantize_static(
            str(ready), str(target), Crops(np.array_split(crops, max(len(crops) // 64, 1))),
            quant_format=QuantFormat.QDQ, per_channel=True,
            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "Add", "MaxPool"], nodes_to_exclude=heads,
        )  # fmt: skip


def attach(model: onnx.ModelProto, card: Card, path: Path) -> str:
    """Write the model with its card inside and its SHA-256 beside it; returns the SHA-256."""
    del model.metadata_props[:]
    helper.set_model_props(model, {CARD_KEY: card.to_json()})
    model.producer_name = "mien"
    for node in model.graph.node:  # the exporter notes source files of this machine here
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(model)
    content = model.SerializeToString()
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    path.with_name(path.name + ".sha256").write_text(f"{digest}  {path.name}\n", encoding="utf-8")
    return digest
