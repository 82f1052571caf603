"""The built-in models' files, and where a model by its name or its path lies."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mien.registry import choose

HERE: Final = Path(__file__).parent
BUILT_IN: Final = {"mien": "mien.onnx", "mien-int8": "mien-int8.onnx"}


def locate(name: str | Path) -> Path:
    """Path of a model: a built-in name (``mien``, ``mien-int8``) or the path of an ONNX file.

    >>> locate("mien").name
    'mien.onnx'
    """
    if isinstance(name, Path) or Path(name).suffix == ".onnx":
        return Path(name)
    return HERE / BUILT_IN[choose("model", name, BUILT_IN)]
