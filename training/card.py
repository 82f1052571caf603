"""The card of the built-in model, as it stands in its file before anything is measured."""

from __future__ import annotations

import hashlib
import platform

import numpy as np
import onnx
import onnxruntime
import torch

from mien import __version__
from mien.emotions import EIGHT, SEVEN
from mien.models.card import Card, Head
from mien.vision.geometry import Preprocess
from training.examples import MEAN, STD
from training.recipe import Recipe


def first_card(
    recipe: Recipe,
    text: str,
    biases: dict[str, tuple[float, ...]],
    template: np.ndarray,
    priors: dict[str, tuple[float, ...]],
) -> Card:
    def head(name: str, labels: tuple[str, ...]) -> Head:
        return Head(labels, f"logits_{name}", f"cam_{name}", biases[name], prior=priors[name])

    return Card(
        name="mien",
        summary=(
            "Compact residual network for 48 x 48 grey face crops: expression by FER+ crowd votes "
            "(eight classes) and by FER2013 labels (seven), and 24 landmarks."
        ),
        preprocess=Preprocess(48, 1, (MEAN,), (STD,)),
        heads={"ferplus": head("ferplus", EIGHT), "fer2013": head("fer2013", SEVEN)},
        default_head="ferplus",
        landmarks="landmarks",
        template=tuple((round(float(x), 5), round(float(y), 5)) for x, y in template),
        licence=(
            "Apache-2.0 for the weights; FER2013's images, no part of it, were shared for "
            "research, and the FER+ votes are under the MIT licence"
        ),
        data=(
            "FER2013 (Goodfellow et al. 2013), Training, 28,709 images; FER+ votes (Barsoum et al. "
            "2016, MIT); landmarks from the mesh of Kartynnik et al. 2019 (Apache-2.0); teachers, "
            "trained on the same images: a smaller network, and EfficientNet-Lite0 that began with "
            "ImageNet's weights (Apache-2.0)"
        ),
        protocol=(
            "best epoch, temperature and int8 chosen on PublicTest; PrivateTest measured once; "
            "single crop, no flip"
        ),
        intended_use=(
            "Perceived expression in a face crop, not a feeling. Not for decisions about people: "
            "not for work, education, hiring, policing or medical use."
        ),
        recipe=recipe.to_dict(),
        recipe_hash=hashlib.sha256(text.encode()).hexdigest(),
        versions={
            "mien": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__.split("+")[0],
            "onnx": onnx.__version__,
            "onnxruntime": onnxruntime.__version__,
            "numpy": np.__version__,
        },
    )
