"""A trained network as ONNX with its card inside, to serve wherever the built-in one does."""

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

from mien.files import write_whole
from mien.models.card import CARD_KEY, Card
from mien.models.onnx import Model
from mien.models.torch import Spec
from mien.runs.model import open_run
from mien.types import FloatArray, InputError, ModelError
from mien.vision.geometry import Preprocess

TOLERANCE = 1e-4  # of logits, between torch and the exported file


def to_onnx(net: nn.Module, how: Preprocess, outputs: Sequence[str], path: Path) -> None:
    """Write a network in 32-bit floats with a free batch size.

    Batch normalisation is folded into the convolutions before it.
    """
    torch.onnx.export(
        net.eval(),
        (torch.zeros(2, how.channels, how.size, how.size),),
        str(path),
        input_names=["pixels"],
        output_names=list(outputs),
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
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


class Batches(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Calibration batches for static quantisation."""

    def __init__(self, batches: Sequence[np.ndarray]) -> None:
        self._left = iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next batch, None at the end."""
        batch = next(self._left, None)
        return None if batch is None else {"pixels": batch}


def quantise(source: Path, target: Path, crops: np.ndarray, heads: int) -> None:
    """Static int8 (QDQ, per channel), calibrated on normalised crops ``[N, C, h, w]``.

    The last ``heads`` convolutions stay in floats, and so do biases added to them: they cost
    nothing and carry the answer. Weights have 7 bits: with 8, processors that have AVX2 but no
    VNNI add pairs of products in 16 bits, which overflow, and answer otherwise than others.
    """
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready.onnx"
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        graph = onnx.load(str(ready)).graph
        convolutions = [n.name for n in graph.node if n.op_type == "Conv"]
        kept = convolutions[len(convolutions) - heads :]
        # additions of a constant are the heads' biases; those of two features are shortcuts
        constants = {tensor.name for tensor in graph.initializer}
        kept += [n.name for n in graph.node if n.op_type == "Add" and constants & set(n.input)]
        quantize_static(
            str(ready),
            str(target),
            Batches(np.array_split(crops, max(len(crops) // 64, 1))),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", "Add", "MaxPool"],
            nodes_to_exclude=kept,
        )


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
    write_whole(path, content)
    digest = hashlib.sha256(content).hexdigest()
    write_whole(path.with_name(path.name + ".sha256"), f"{digest}  {path.name}\n")
    return digest


class WithMap(nn.Module):
    """A network that ends in average pooling and a linear layer, with its class activation map."""

    def __init__(self, net: nn.Module, features: str, linear: nn.Linear) -> None:
        super().__init__()
        self.net = net
        self.linear = linear
        self.seen: list[Tensor] = []
        net.get_submodule(features).register_forward_hook(lambda _m, _i, out: self.seen.append(out))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits ``[N, K]`` and the class activation map ``[N, K, h, w]``."""
        self.seen.clear()
        logits = self.net(x)
        weight = self.linear.weight[:, :, None, None]
        return logits, torch.nn.functional.conv2d(self.seen[-1], weight)


def export(run: str | Path, output: str | Path, *, calibration: FloatArray | None = None) -> Path:
    """Write a finished run as an ONNX file with its card; checked against torch to 1e-4.

    ``calibration`` are pixels ``[N, C, size, size]`` in 0..255 of images that the network was
    trained on: with them the file is quantised statically to int8, and smaller and less exact.
    Raises InputError for a folder without a finished run and ModelError where the exported file
    does not agree with torch.
    """
    run, output = Path(run), Path(output)
    if output.suffix != ".onnx" or not output.parent.is_dir():
        raise InputError(f"{output}: expected a name ending in .onnx in a folder that exists")
    net, spec, card = open_run(run)
    net.eval()
    module: nn.Module = net
    names = ["logits"]
    if spec.class_map is not None:
        linear: Any = net.get_submodule(spec.class_map.linear)  # a linear layer, as the map needs
        module, names = WithMap(net, spec.class_map.features, linear), ["logits", "cam"]
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.onnx"
        to_onnx(module, spec.preprocess, names, raw)
        if calibration is not None:
            small = Path(folder) / "int8.onnx"
            crops = spec.preprocess.normalise(calibration)
            quantise(raw, small, crops, heads=len(names) - 1)
            raw = small
        whole = Path(folder) / "whole" / output.name  # what does not agree is not written
        whole.parent.mkdir()
        attach(onnx.load(str(raw)), card, whole)
        if calibration is None:
            _agree(net, spec, whole)
        for name in (output.name, f"{output.name}.sha256"):
            write_whole(output.with_name(name), whole.with_name(name).read_bytes())
    return output


def _agree(net: nn.Module, spec: Spec, path: Path) -> None:
    """Compare the file with torch on noise, in batches of one and of three."""
    how = spec.preprocess
    shape = (3, how.channels, how.size, how.size)
    pixels = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(how.normalise(pixels))).numpy()
    model = Model(path)
    for batch in (slice(0, 1), slice(0, 3)):
        gap = float(np.abs(model.logits(pixels[batch]) - expected[batch]).max())
        if gap > TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise ModelError(f"{path.name}: expected torch's logits, got a difference of {gap:.2g}")
