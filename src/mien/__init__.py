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
    from mien.recognizer import Recognizer, explain, load
    from mien.results.explanation import Explanation, Explanations
    from mien.results.predictions import Predictions
    from mien.types import (
        Face,
        InputError,
        MienError,
        MissingExtraError,
        ModelError,
        Prediction,
        UnknownNameError,
    )

__version__ = "0.1.0"

# Nothing leaves the machine. ONNX Runtime (1.32 by default) reports its use to its maker unless
# this is set when it is loaded; its thread would also keep forked children from ending.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOME = {
    "Explanation": "results.explanation",
    "Explanations": "results.explanation",
    "Face": "types",
    "InputError": "types",
    "MienError": "types",
    "MissingExtraError": "types",
    "ModelError": "types",
    "Prediction": "types",
    "Predictions": "results.predictions",
    "Recognizer": "recognizer",
    "UnknownNameError": "types",
    "explain": "recognizer",
    "load": "recognizer",
}

__all__ = [
    "Explanation",
    "Explanations",
    "Face",
    "InputError",
    "MienError",
    "MissingExtraError",
    "ModelError",
    "Prediction",
    "Predictions",
    "Recognizer",
    "UnknownNameError",
    "__version__",
    "explain",
    "load",
]


def __getattr__(name: str) -> Any:
    """Load public names on first use, so that ``import mien`` stays fast and loads no framework."""
    if name not in _HOME:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    return getattr(import_module(f"mien.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
