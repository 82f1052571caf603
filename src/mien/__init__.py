"""Mien recognises facial expressions and shows the evidence for each answer.

>>> import mien
>>> recognizer = mien.load()
>>> "happy" in recognizer.labels
True
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.explainers import Query
    from mien.loading import load
    from mien.recognizer import Recognizer
    from mien.results.comparison import GroupComparison, compare_groups
    from mien.results.explanation import Explanation, Explanations
    from mien.results.predictions import Predictions
    from mien.shortcuts import explain, predict
    from mien.types import (
        Face,
        InputError,
        InputTypeError,
        MienError,
        MissingExtraError,
        ModelError,
        Prediction,
        UnknownNameError,
    )
    from mien.vision.read import read_image

__version__ = "0.1.0"

# Nothing leaves the machine. ONNX Runtime (1.32 by default) reports its use to its maker unless
# this is set when it is loaded; its thread would also keep forked children from ending.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOME = {
    "Explanation": "results.explanation",
    "Explanations": "results.explanation",
    "Face": "types",
    "GroupComparison": "results.comparison",
    "InputError": "types",
    "InputTypeError": "types",
    "MienError": "types",
    "MissingExtraError": "types",
    "ModelError": "types",
    "Prediction": "types",
    "Predictions": "results.predictions",
    "Query": "explainers",
    "Recognizer": "recognizer",
    "UnknownNameError": "types",
    "compare_groups": "results.comparison",
    "explain": "shortcuts",
    "load": "loading",
    "predict": "shortcuts",
    "read_image": "vision.read",
}

#: Packages that users import, too; of each the documentation says what is in it.
PACKAGES = (
    "batch",
    "data",
    "emotions",
    "explainers",
    "judging",
    "models",
    "runs",
    "train",
    "types",
    "video",
    "vision",
)

__all__ = [
    "Explanation",
    "Explanations",
    "Face",
    "GroupComparison",
    "InputError",
    "InputTypeError",
    "MienError",
    "MissingExtraError",
    "ModelError",
    "Prediction",
    "Predictions",
    "Query",
    "Recognizer",
    "UnknownNameError",
    "__version__",
    "compare_groups",
    "explain",
    "load",
    "predict",
    "read_image",
]


def __getattr__(name: str) -> Any:
    """Load public names on first use, so that ``import mien`` stays fast and loads no framework."""
    if name in PACKAGES:
        return import_module(f"mien.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    return getattr(import_module(f"mien.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted((*__all__, *PACKAGES))
