"""Calibrate, export and measure the trained network, and put it where the package ships it.

Run ``python -m training.release recipes/builtin/compact.toml build/model src/mien/models/weights``.
Temperature and the choice of the int8 variant rest on PublicTest; PrivateTest is read once, at
the end, through the exported files themselves.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from mien.data.votes import majority, plurality, soft_targets
from mien.emotions import EIGHT, SEVEN
from mien.metrics import (
    bootstrap_interval,
    calibration_error,
    cross_entropy,
    fit_temperature,
    macro_f1,
    probabilities,
    recall,
)
from mien.models.card import Card
from mien.models.onnx import Model
from mien.runs.export import attach, halve_weights, quantise, to_onnx
from mien.types import FloatArray
from mien.vision.geometry import Preprocess
from mien.vision.landmarks import eye_distance
from training.augment import augment
from training.card import first_card
from training.combine import combine
from training.examples import MEAN, STD
from training.export import HEADS, OUTPUTS, Exported, load_network
from training.priors import training_priors
from training.recipe import Recipe, read_recipe

CALIBRATION = 2048  # training crops that the int8 variant is calibrated on
LARGEST_LOSS = 0.005  # of accuracy on PublicTest that int8 may cost


def crowd_labels(votes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What a score should be right about: the answer most raters gave, one-hot, and its weight.

    All images with such an answer count, ambiguous ones too, as users' photos hold them.
    """
    label, kept = plurality(votes)
    return np.eye(len(EIGHT))[label], kept.astype(float)


def calibration_crops(arrays: dict[str, np.ndarray], recipe: Recipe) -> np.ndarray:
    """Normalised training crops ``[N, 1, 48, 48]``: half as they stand, half augmented.

    Photos differ from FER2013's crops in light and sharpness, and int8 has to hold their range.
    """
    seed = recipe.training.seed
    training = arrays["images"][arrays["split"] == "train"]
    chosen = np.random.default_rng(seed).choice(len(training), CALIBRATION, replace=False)
    images = torch.from_numpy(training[chosen, None]).float() / 255
    half, points = len(images) // 2, torch.zeros(len(images) // 2, 24, 2)
    generator = torch.Generator().manual_seed(seed)
    varied, _ = augment(images[half:], points, recipe.augmentation, generator)
    return ((torch.cat([images[:half], varied]) - MEAN) / STD).numpy()


def with_interval(right: np.ndarray) -> dict[str, Any]:
    low, high = bootstrap_interval(right.astype(float))
    return {
        "value": round(float(right.mean()), 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "images": len(right),
    }


def measure(path: Path, arrays: dict[str, np.ndarray], split: str) -> dict[str, Any]:
    """All scores of an exported file on one split, flips off, single crops as they stand."""
    rows = np.flatnonzero(arrays["split"] == split)
    pixels = arrays["images"][rows, None].astype(np.float32)
    labels, votes = arrays["labels"][rows], arrays["votes"][rows]
    fresh = ~arrays["in_training"][rows]

    model = Model(path, head="fer2013")
    p7 = probabilities(model.logits(pixels), model.head.temperature)
    right = p7.argmax(axis=1) == labels
    scores: dict[str, Any] = {
        "fer2013 accuracy": with_interval(right),
        "fer2013 accuracy, without copies": with_interval(right[fresh]),
        "fer2013 macro-F1": round(macro_f1(labels, p7.argmax(axis=1), len(SEVEN)), 4),
        "fer2013 ECE": round(calibration_error(labels, p7), 4),
    }
    model = Model(path, head="ferplus")
    output = model.run(pixels, landmarks=True)
    p8 = probabilities(output.logits, model.head.temperature)
    for name, rule in (("majority", majority), ("plurality", plurality)):
        truth, kept = rule(votes)
        hit = p8.argmax(axis=1) == truth
        scores[f"ferplus accuracy, {name}"] = with_interval(hit[kept])
        scores[f"ferplus accuracy, {name}, without copies"] = with_interval(hit[kept & fresh])
    truth, kept = majority(votes)
    scores["ferplus macro-F1, majority"] = round(
        macro_f1(truth[kept], p8.argmax(axis=1)[kept], len(EIGHT)), 4
    )
    answer, labelled = plurality(votes)
    scores["ferplus ECE, plurality"] = round(calibration_error(answer[labelled], p8[labelled]), 4)
    # what users get: contempt left out and the other seven rescaled
    served = probabilities(output.logits[:, : len(SEVEN)], model.head.temperature)
    common = labelled & (answer < len(SEVEN))
    scores["ferplus accuracy, plurality, seven as served"] = with_interval(
        (served.argmax(axis=1) == answer)[common]
    )
    scores["ferplus ECE, plurality, seven as served"] = round(
        calibration_error(answer[common], served[common]), 4
    )
    recalls = recall(truth[kept], p8.argmax(axis=1)[kept], len(EIGHT))
    scores["ferplus recall, majority"] = {
        name: round(float(v), 3) for name, v in zip(EIGHT, recalls, strict=True)
    }
    scores["ferplus ECE, majority"] = round(calibration_error(truth[kept], p8[kept]), 4)
    target, weight = soft_targets(votes)
    scores["ferplus cross-entropy, soft"] = round(
        cross_entropy(target[weight > 0], p8[weight > 0]), 4
    )
    ok = arrays["landmarks_ok"][rows]
    if output.landmarks is not None:
        found = output.landmarks[ok] * 48 - 0.5
        gap = np.linalg.norm(found - arrays["landmarks"][rows][ok], axis=2).mean(axis=1)
        error = 100 * gap / eye_distance(arrays["landmarks"][rows][ok])
        scores["landmark error, % of eye distance"] = round(float(error.mean()), 2)
        scores["landmark error, median"] = round(float(np.median(error)), 2)
    return scores


def calibrated(
    card: Card, graph: onnx.ModelProto, target: Path, arrays: dict[str, np.ndarray], *, final: bool
) -> Card:
    """The card with temperatures fitted on PublicTest, and the scores of the file ``target``.

    The graph is written there first, since what is measured is the file.
    """
    card = replace(card, metrics={})
    attach(graph, card, target)
    public = arrays["split"] == "val"
    pixels = arrays["images"][public, None].astype(np.float32)
    heads = {}
    for head in card.heads:
        model = Model(target, head=head)
        goal, weight = (
            crowd_labels(arrays["votes"][public])
            if head == "ferplus"
            else (np.eye(7)[arrays["labels"][public]], np.ones(int(public.sum())))
        )
        temperature = fit_temperature(model.logits(pixels), goal, weight)
        heads[head] = replace(card.heads[head], temperature=round(temperature, 4))
    card = replace(card, heads=heads)
    attach(graph, card, target)
    metrics = {"PublicTest": measure(target, arrays, "val")}
    if final:
        metrics["PrivateTest"] = measure(target, arrays, "test")
    return replace(card, metrics=metrics)


def largest_loss(whole: dict[str, Any], small: dict[str, Any]) -> float:
    """What the int8 variant loses on PublicTest, of both label sets the one that loses more."""
    return max(
        float(whole["PublicTest"][k]["value"] - small["PublicTest"][k]["value"])
        for k in ("fer2013 accuracy", "ferplus accuracy, majority")
    )


def release(recipe_path: Path, folder: Path, output: Path, *, final: bool) -> dict[str, Any]:
    """Export both files into ``output``; with ``final`` also read PrivateTest and fill the card."""
    recipe = read_recipe(recipe_path)
    with np.load(folder / "arrays.npz") as file:
        arrays = {name: file[name] for name in file.files}
    net = load_network(recipe.to_dict()["network"], folder / "best.pt")
    output.mkdir(parents=True, exist_ok=True)
    raw, path, small = folder / "float.onnx", output / "mien.onnx", output / "mien-int8.onnx"
    to_onnx(Exported(net), Preprocess(48, 1, (MEAN,), (STD,)), OUTPUTS, raw)
    crops = calibration_crops(arrays, recipe)
    quantise(raw, folder / "int8.onnx", crops, HEADS)

    biases = {
        name: tuple(float(b) for b in getattr(net, name).bias.detach())
        for name in ("ferplus", "fer2013")
    }
    template = (net.template.numpy() + 1) / 2
    text = recipe_path.read_text(encoding="utf-8")
    card = first_card(recipe, text, biases, template, training_priors(arrays))
    table: dict[str, Any] = {}
    for name, target, graph in (
        ("mien", path, halve_weights(onnx.load(str(raw)))),
        ("mien-int8", small, onnx.load(str(folder / "int8.onnx"))),
    ):
        card = calibrated(replace(card, name=name), graph, target, arrays, final=final)
        attach(graph, card, target)
        digest = combine(target, arrays, final=final)
        table[name] = {
            "bytes": target.stat().st_size,
            "sha256": digest,
            "temperature": {h: head.temperature for h, head in card.heads.items()},
            **card.metrics,
        }
    lost = largest_loss(table["mien"], table["mien-int8"])
    table["int8 loses on PublicTest"] = round(lost, 4)
    if lost > LARGEST_LOSS:
        small.unlink()
        small.with_name(small.name + ".sha256").unlink()
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--interim", action="store_true", help="do not read PrivateTest")
    args = parser.parse_args()
    table = release(args.recipe, args.folder, args.output, final=not args.interim)
    text = json.dumps(table, indent=1)
    (args.folder / "scores.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
