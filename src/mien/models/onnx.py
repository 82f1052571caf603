"""A network in an ONNX file with its card inside, run by ONNX Runtime."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.models.base import BaseModel
from mien.models.card import CARD_KEY, Card
from mien.types import FloatArray, ModelError

if TYPE_CHECKING:
    pass  # which imports torch


class Model(BaseModel):
    """A network in an ONNX file, with the card inside it.

    ``head`` picks one of the card's label sets. The file is checked against the SHA-256 beside
    it where there is one. Raises ModelError for a file that cannot be used.

    >>> from mien.models.weights import locate
    >>> model = Model(locate("mien"))
    >>> model.labels[:3]
    ('angry', 'disgust', 'fear')
    """

    def __init__(self, path: Path, head: str | None = None, threads: int = 0) -> None:
        self.path = path
        self._threads = threads
        self.sha256 = _verified_hash(path)
        meta = self._session.get_modelmeta().custom_metadata_map
        if CARD_KEY not in meta:
            raise ModelError(
                f"{path}: expected a Mien model with its card inside, found no card; "
                "export it with Mien"
            )
        super().__init__(Card.from_json(meta[CARD_KEY]), head)

    @cached_property
    def _session(self) -> Any:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self._threads
        # waiting threads sleep instead of spinning, so that other processes keep their cores
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            return ort.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own unexported kinds
            reason = str(error).splitlines()[0]
            raise ModelError(
                f"{self.path}: expected an ONNX model, but it cannot be loaded ({reason})"
            ) from error

    def _outputs(self, names: Sequence[str], values: FloatArray) -> list[FloatArray]:
        inputs = {self._session.get_inputs()[0].name: values}
        return list(self._session.run(list(names), inputs))


def _verified_hash(path: Path) -> str:
    """SHA-256 of a model file; ModelError where it is absent or not the one beside it."""
    if not path.is_file():
        raise ModelError(f"{path}: no such model file; give the path of an .onnx file")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    beside = path.with_name(path.name + ".sha256")
    if beside.is_file() and (stated := beside.read_text(encoding="utf-8").split()[0]) != digest:
        raise ModelError(
            f"{path}: expected SHA-256 {stated[:12]}..., got {digest[:12]}...; "
            "the file is damaged: install Mien again or copy the file again"
        )
    return digest
