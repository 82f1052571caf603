"""Open a model: a built-in one, an ONNX file, or a finished run."""

from __future__ import annotations

from pathlib import Path

from mien import extras
from mien.models.base import BaseModel
from mien.models.onnx import Model
from mien.models.weights import BUILT_IN, locate
from mien.types import InputError


def open_model(
    model: str | Path | BaseModel = "mien", *, head: str | None = None, threads: int = 0
) -> BaseModel:
    """A model by its built-in name, its ONNX file, or the folder of a finished run.

    A run is opened in torch, on a GPU where there is one, with its layers open to every
    explanation method. A model that is open already passes as it is.
    Raises MissingExtraError for a run without torch.

    >>> open_model("mien").card.name
    'mien'
    """
    if isinstance(model, BaseModel):
        if head not in (None, model.head_name):
            raise InputError(
                f"expected a head for a name or a path, got {head!r} for an open model"
            )
        return model
    if str(model) in BUILT_IN or not Path(model).is_dir():
        return Model(locate(model), head, threads)
    extras.need("torch", "explain", f"{model}: opening a run, unlike its ONNX file,")
    from mien.runs.model import load_run

    return load_run(model, head=head)
