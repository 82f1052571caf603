"""What the teachers answer for every training crop: the soft targets of the built-in model.

``python -m training.teach build/model recipes/builtin/teacher.toml=build/teacher/best.pt ...``
writes ``build/model/teachers.npz``: the mean of the teachers' calibrated probabilities for the
rows of Training, each crop seen as it stands and mirrored. A teacher is ``RECIPE=WEIGHTS``, where
the weights are the ``best.pt`` of a run or a shipped file, or ``votes``: FER2013's labels as the
raters of FER+ would give them. PublicTest says what each is worth, and what all are worth together.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from torch import nn

from mien.metrics import probabilities
from mien.types import FloatArray
from training.answers import HEADS, calibrated, outputs_of, score
from training.examples import Examples, read_examples
from training.networks import best_device, open_teacher, placed
from training.votes import label_chances


def answers(
    net: nn.Module, train: Examples, public: Examples
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """Calibrated probabilities of both heads for the rows of Training and of PublicTest."""
    net = placed(net, best_device())
    heat, of_public = calibrated(net, public)
    out = outputs_of(net, train.images, flip=True)
    return {h: probabilities(out[h].double().numpy(), heat[h]) for h in HEADS}, of_public


def by_votes(
    train: Examples, public: Examples
) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
    """What the raters of FER+ say of both label sets, for Training and PublicTest."""
    chances = label_chances(train, public)
    return tuple(
        {"ferplus": split.ferplus.double().numpy(), "fer2013": chance.double().numpy()}
        for split, chance in zip((train, public), chances, strict=True)
    )  # type: ignore[return-value]  # two splits, two parts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("teachers", nargs="+")
    args = parser.parse_args()
    train = read_examples(args.folder / "arrays.npz", "train")
    public = read_examples(args.folder / "arrays.npz", "val")
    parts = []
    for text in args.teachers:
        parts.append(
            by_votes(train, public)
            if text == "votes"
            else answers(open_teacher(text, train), train, public)
        )
        print(
            f"{text}: PublicTest, with the mirror image: {score(parts[-1][1], public)}", flush=True
        )
    mean = [{h: np.mean([p[side][h] for p in parts], axis=0) for h in HEADS} for side in (0, 1)]
    print(f"together: {score(mean[1], public)}")
    right = (mean[0]["fer2013"].argmax(axis=1) == train.labels.numpy()).mean()
    print(f"together, on Training itself: fer2013 {right:.4f}")
    said = {head: values.astype(np.float32) for head, values in mean[0].items()}
    np.savez(args.folder / "teachers.npz", allow_pickle=False, **said)


if __name__ == "__main__":
    main()
