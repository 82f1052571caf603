"""How model files do on PublicTest, by which candidates and defaults are chosen.

``python -m training.public build/model/arrays.npz MODEL.onnx ...`` prints for each head and prior
the accuracy and mean recall by FER2013's labels and by FER+'s majority, for the crops as they stand
and as photos show them: with light, blur, size, noise and compression put on by a fixed seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from mien.data.votes import majority
from mien.emotions import SEVEN
from mien.metrics import probabilities, recall
from mien.models.onnx import Model
from mien.types import ImageArray
from training.examples import Examples, read_examples
from training.light import photograph, relight
from training.recipe import Augmentation

WAYS = (
    ("ferplus", None),
    ("ferplus", "even"),
    ("fer2013", None),
    ("fer2013", "even"),
    ("both", "fer2013"),
    ("both", None),
)
SEED = 7
PHOTOS = Augmentation(
    rotation=0.0,
    scale=0.0,
    shift=0.0,
    contrast=0.4,
    brightness=0.2,
    erase=0.0,
    erase_side=0.0,
    gamma=0.5,
    slope=0.3,
    photo=0.35,
)


def as_photos(public: Examples) -> ImageArray:
    """The crops ``[N, 1, 48, 48]`` changed as cameras and files change them, always alike."""
    generator = torch.Generator().manual_seed(SEED)
    lit = relight(public.images.float() / 255, PHOTOS, generator)
    changed = photograph(lit, PHOTOS, generator)
    return np.asarray((changed * 255).round().to(torch.uint8).numpy())


def figures(model: Model, pixels: ImageArray, public: Examples) -> list[str]:
    """Accuracy / mean recall by FER2013's labels and by FER+'s majority, among the seven."""
    logits = model.logits(pixels.astype(np.float32))[:, : len(SEVEN)]
    answer = probabilities(logits, model.head.temperature).argmax(axis=1)
    label, kept = majority(public.votes.numpy())
    kept &= label < len(SEVEN)
    found = []
    for truth, guess in ((public.labels.numpy(), answer), (label[kept], answer[kept])):
        mean = recall(truth, guess, len(SEVEN)).mean()
        found.append(f"{(guess == truth).mean():.3f} / {mean:.3f}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arrays", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    args = parser.parse_args()
    public = read_examples(args.arrays, "val")
    sights = (public.images.numpy(), as_photos(public))
    columns = ("labels", "majority", "labels, as in photos", "majority, as in photos")
    print(f"| model | head, prior | {' | '.join(columns)} |")
    print("|---" * (2 + len(columns)) + "|")
    for path in args.models:
        for head, prior in WAYS:
            model = Model(path, head=head)
            if prior is not None:
                model = model.answering(prior)
            cells = [cell for pixels in sights for cell in figures(model, pixels, public)]
            name = f"`{head}`, {prior or 'its own'}"
            print(f"| {path.name} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
