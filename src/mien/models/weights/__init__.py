"""The built-in models' files, and where a model by its name or its path lies."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from mien.registry import choose
from mien.types import InputError

HERE: Final = Path(__file__).parent
BUILT_IN: Final = {"mien": "mien.onnx", "mien-int8": "mien-int8.onnx"}


def locate(name: str | Path) -> Path:
    """Path of a model: a built-in name (``mien``, ``mien-int8``) or the path of an ONNX file.

    Raises InputError for the path of a folder, UnknownNameError for another name.

    >>> locate("mien").name
    'mien.onnx'
    """
    if isinstance(name, Path) or Path(name).suffix == ".onnx":
        return Path(name)
    if Path(name).name != name:  # a path, and no folder: open_model takes those that exist
        there = "neither a folder nor an ONNX file" if Path(name).exists() else "no such folder"
        raise InputError(
            f"{name}: {there}; expected the folder of a finished run, an ONNX file, or one of "
            + ", ".join(BUILT_IN)
        )
    return HERE / BUILT_IN[choose("model", name, BUILT_IN)]
