"""One answer from both label sets: the head ``both``, added to a model file that has the two.

``python -m training.combine build/model/arrays.npz src/mien/models/weights/mien.onnx`` writes it
into the file, with its scores on PublicTest and, with ``--final``, on PrivateTest; a release calls
:func:`combine` itself. ``arrays.npz`` needs the images, labels, votes and splits alone.

Each head's calibrated log-probabilities, less the logarithm of its training prior, say how much
the face speaks for a label, whatever was expected before. The sum over the heads is linear in
their logits, up to a constant per face, which no softmax sees, so it stands in the graph, and so
does its class activation map: ``mean(cam) + bias == logits`` as for the two heads. The labels of
the two sets were given to the same pictures, so the sum is too sure; its temperature, fitted on
PublicTest, mends that.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mien.data.votes import plurality
from mien.emotions import SEVEN
from mien.metrics import calibration_error, fit_temperature, probabilities, recall
from mien.models.card import Card, Head
from mien.models.onnx import Model
from mien.runs.export import attach
from mien.types import FloatArray, InputError, IntArray

PARTS: Final = ("ferplus", "fer2013")
NAME: Final = "both"
LOGITS, CAM = f"logits_{NAME}", f"cam_{NAME}"


def combined_head(card: Card) -> Head:
    """The head of the sum, with an even prior and its temperature not yet fitted.

    Raises InputError for a card that lacks one of the two heads, their maps or their priors.
    """
    bias = np.zeros(len(SEVEN))
    for part in PARTS:
        head = card.heads.get(part)
        if head is None or head.cam is None or not head.prior or not set(SEVEN) <= {*head.labels}:
            raise InputError(
                f"{card.name}: expected a head {part!r} of {', '.join(SEVEN)} with a class "
                "activation map and a prior; see training.priors"
            )
        bias += _column(head, head.bias) / head.temperature - np.log(_column(head, head.prior))
    even = (1 / len(SEVEN),) * len(SEVEN)
    return Head(SEVEN, LOGITS, CAM, tuple(map(float, bias)), prior=even)


def separate(card: Card) -> Card:
    """The card without the sum: of the network's own heads alone."""
    heads = {name: head for name, head in card.heads.items() if name != NAME}
    return replace(card, heads=heads, default_head=PARTS[0])


def _column(head: Head, values: tuple[float, ...]) -> FloatArray:
    return np.array([values[head.labels.index(name)] for name in SEVEN])


def add_outputs(model: onnx.ModelProto, card: Card) -> None:
    """Put the sum's logits and class activation map into the graph; those of before are replaced.

    The logits are the map's mean plus the bias in exact numbers; the graph adds up the logits of
    the two heads, which are such means.
    """
    graph = model.graph
    kept = [node for node in graph.node if not node.name.startswith(f"{NAME}/")]
    tensors = [t for t in graph.initializer if not t.name.startswith(f"{NAME}/")]
    outputs = [o for o in graph.output if o.name not in (LOGITS, CAM)]
    added = np.zeros(len(SEVEN))
    sums: dict[str, list[str]] = {LOGITS: [], CAM: []}
    for part in PARTS:
        head = card.heads[part]
        index = np.array([head.labels.index(name) for name in SEVEN], dtype=np.int64)
        scale = np.array(1 / head.temperature, dtype=np.float32)
        tensors += [
            numpy_helper.from_array(index, f"{NAME}/{part}/labels"),
            numpy_helper.from_array(scale, f"{NAME}/{part}/scale"),
        ]
        added -= np.log(_column(head, head.prior))
        for output, source in ((LOGITS, head.logits), (CAM, str(head.cam))):
            name = f"{NAME}/{part}/{output}"
            labels, scales = f"{NAME}/{part}/labels", f"{NAME}/{part}/scale"
            kept += [
                helper.make_node("Gather", [source, labels], [f"{name}/seven"], axis=1, name=name),
                helper.make_node("Mul", [f"{name}/seven", scales], [name], name=f"{name}/scaled"),
            ]
            sums[output].append(name)
    tensors.append(numpy_helper.from_array(added.astype(np.float32), f"{NAME}/added"))
    first = f"{NAME}/sum"
    kept += [
        helper.make_node("Add", sums[LOGITS], [first], name=first),
        helper.make_node("Add", [first, f"{NAME}/added"], [LOGITS], name=f"{NAME}/logits"),
        helper.make_node("Add", sums[CAM], [CAM], name=f"{NAME}/cam"),
    ]
    shape = next(o for o in graph.output if o.name == card.heads[PARTS[1]].cam).type.tensor_type
    sides = [d.dim_value or d.dim_param for d in shape.shape.dim]
    outputs += [
        helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [sides[0], len(SEVEN)]),
        helper.make_tensor_value_info(CAM, TensorProto.FLOAT, [sides[0], len(SEVEN), *sides[2:]]),
    ]
    for field, values in (
        (graph.node, kept),
        (graph.initializer, tensors),
        (graph.output, outputs),
    ):
        held = [type(value).FromString(value.SerializeToString()) for value in values]
        del field[:]
        field.extend(held)


def crowd(votes: FloatArray) -> tuple[IntArray, FloatArray]:
    """The answer that most raters gave, and each image's weight under an even prior.

    Images without such an answer among the seven weigh nothing; of the others each expression
    weighs the same.
    """
    label, kept = plurality(votes)
    kept &= label < len(SEVEN)
    counts = np.bincount(label[kept], minlength=len(SEVEN))
    return label, np.where(kept, 1 / np.maximum(counts, 1)[np.minimum(label, len(SEVEN) - 1)], 0.0)


def scores(p: FloatArray, labels: IntArray, votes: FloatArray) -> dict[str, float]:
    """How the head's probabilities ``[N, 7]`` fit both label sets, its calibration as it is served.

    The calibration error counts each expression alike, as the even prior says.
    """
    found = {}
    label, weight = crowd(votes)
    kept = weight > 0
    truths = (("plurality", label[kept], p[kept]), ("fer2013 labels", labels, p))
    for name, truth, sure in truths:
        guess = sure.argmax(axis=1)
        found[f"both accuracy, {name}"] = float((guess == truth).mean())
        found[f"both mean recall, {name}"] = float(recall(truth, guess, len(SEVEN)).mean())
    error = calibration_error(label[kept], p[kept], weight=weight[kept])
    found["both ECE, plurality, even prior"] = error
    return {name: round(value, 4) for name, value in found.items()}


def combine(path: Path, arrays: dict[str, np.ndarray], *, final: bool = False) -> str:
    """Add the head to a file, as its default, in place; returns the new SHA-256.

    Its temperature is fitted on PublicTest, so that under an even prior a score says how often the
    answer is the one that most raters gave. ``final`` also measures PrivateTest.
    """
    model = onnx.load(str(path))
    card = separate(Model(path).card)
    card = replace(card, heads={NAME: combined_head(card), **card.heads}, default_head=NAME)
    add_outputs(model, card)
    attach(model, card, path)
    metrics = dict(card.metrics)
    temperature = 1.0
    splits = {"val": "PublicTest", "test": "PrivateTest"} if final else {"val": "PublicTest"}
    for split, name in splits.items():
        rows = arrays["split"] == split
        logits = Model(path).logits(arrays["images"][rows, None].astype(np.float32))
        if split == "val":
            label, weight = crowd(arrays["votes"][rows])
            goal = np.eye(len(SEVEN))[np.minimum(label, len(SEVEN) - 1)]
            temperature = round(fit_temperature(logits, goal, weight), 4)
        p = probabilities(logits, temperature)
        found = scores(p, arrays["labels"][rows], arrays["votes"][rows])
        metrics[name] = {**metrics.get(name, {}), **found}
    head = replace(card.heads[NAME], temperature=temperature)
    card = replace(card, heads={**card.heads, NAME: head}, metrics=metrics)
    return attach(model, card, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arrays", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--final", action="store_true", help="also measure PrivateTest")
    args = parser.parse_args()
    with np.load(args.arrays) as file:
        arrays = {name: file[name] for name in ("images", "labels", "votes", "split")}
    for path in args.models:
        digest = combine(path, arrays, final=args.final)
        print(f"{digest}  {path.name}  temperature {Model(path).head.temperature}")


if __name__ == "__main__":
    main()
