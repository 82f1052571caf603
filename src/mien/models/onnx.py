"""A network in an ONNX file with its card inside, run by ONNX Runtime."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from mien.forks import unforked
from mien.models.base import BaseModel
from mien.models.card import CARD_KEY, Card
from mien.models.weights import locate
from mien.sessions import Session
from mien.types import FloatArray, MienError, ModelError, first_line
from mien.vision.landmarks import LANDMARKS

HASH_FILE: Final = 4096  # bytes that are read of a .sha256 file


class Model(BaseModel):
    """A network in an ONNX file, with the card inside it.

    ``head`` picks one of the card's label sets, ``threads`` bounds those of ONNX Runtime (0: as
    many as cores). The file is checked against the SHA-256 beside it where there is one, and its
    graph against its card. Raises ModelError for a file that cannot be used.

    A copy shares the opened network; a pickle holds the path, and opens the file again, as does a
    process that was forked.

    >>> from mien.models.weights import locate
    >>> model = Model(locate("mien"))
    >>> model.labels[:3]
    ('angry', 'disgust', 'fear')
    """

    def __init__(self, path: Path, head: str | None = None, threads: int = 0) -> None:
        self.path = path
        self._threads = threads
        self._opened = Session(path, threads)
        self.sha256 = _verified_hash(path)
        super().__init__(self._card(), head)
        self._check_graph()

    def _card(self) -> Card:
        try:
            meta = self._session.get_modelmeta().custom_metadata_map
        except UnicodeDecodeError as error:
            raise ModelError(
                f"{self.path}: expected a card as text in the model's metadata, got other bytes; "
                "export it with Mien"
            ) from error
        if CARD_KEY not in meta:
            raise ModelError(
                f"{self.path}: expected a Mien model with its card inside, found no card; "
                "export it with Mien"
            )
        try:
            return Card.from_json(meta[CARD_KEY])
        except ModelError as error:
            raise ModelError(f"{self.path}: {error}; export the model again") from None

    @property
    def _session(self) -> Any:
        return self._opened.get()

    def _check_graph(self) -> None:
        """ModelError where the graph is not what the card says of it."""
        how = self.card.preprocess
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ModelError(f"{self.path}: expected a graph of 1 input, got {len(inputs)}")
        self._check_tensor("input", inputs[0], [None, how.channels, how.size, how.size])
        outputs = {output.name: output for output in self._session.get_outputs()}
        wanted: list[tuple[str, list[int | None]]] = []
        for head in self.card.heads.values():
            wanted.append((head.logits, [None, len(head.labels)]))
            if head.cam is not None:
                wanted.append((head.cam, [None, len(head.labels), None, None]))
        if self.card.landmarks is not None:
            wanted.append((self.card.landmarks, [None, len(LANDMARKS), 2]))
        for name, shape in wanted:
            if name not in outputs:
                raise ModelError(
                    f"{self.path}: its card names the output {name!r}, but the graph has "
                    f"{', '.join(map(ascii, outputs))[:200]}; export the model again"
                )
            self._check_tensor("output", outputs[name], shape)

    def _check_tensor(self, what: str, tensor: Any, shape: Sequence[int | None]) -> None:
        """One input or output: 32-bit floats, a free batch, and the card's sizes where known."""
        found = list(tensor.shape)
        fits = len(found) == len(shape) and not isinstance(found[0], int)
        fits = fits and all(
            want is None or not isinstance(have, int) or have == want
            for have, want in zip(found, shape, strict=True)
        )
        if not fits or tensor.type != "tensor(float)":
            expected = ["N", *("any" if n is None else n for n in shape[1:])]
            raise ModelError(
                f"{self.path}: expected the {what} {tensor.name!a} as 32-bit floats of shape "
                f"[{', '.join(map(str, expected))}], as its card says, got {tensor.type} of "
                f"[{', '.join(map(str, found))}]; export the model again"
            )

    def _outputs(self, names: Sequence[str], values: FloatArray) -> list[FloatArray]:
        session = self._session
        inputs = {session.get_inputs()[0].name: values}
        try:
            with unforked():
                return list(session.run(list(names), inputs))
        except MienError:
            raise
        except Exception as error:  # onnxruntime raises its own unexported kinds
            raise ModelError(
                f"{self.path}: the network fails on pixels of shape {list(values.shape)} "
                f"({first_line(error)}); export the model again"
            ) from error

    def __copy__(self) -> Model:
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__)
        return twin

    def __deepcopy__(self, _: dict[int, Any]) -> Model:
        return self.__copy__()  # nothing in it changes

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_opened"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _opened=Session(state["path"], state["_threads"]))
        if (found := _verified_hash(self.path)) != self.sha256:
            raise ModelError(
                f"{self.path}: expected the model of SHA-256 {self.sha256[:12]}..., "
                f"got {found[:12]}...; the file has changed since the model was opened"
            )


@cache
def built_in_template() -> tuple[tuple[float, float], ...]:
    """Mean landmarks of the built-in model's crops, to align faces where a network has no card."""
    return Model(locate("mien")).card.template


def _verified_hash(path: Path) -> str:
    """SHA-256 of a model file; ModelError where it is absent or not the one beside it."""
    if not path.is_file():
        raise ModelError(f"{path}: no such model file; give the path of an .onnx file")
    beside = path.with_name(path.name + ".sha256")
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        stated = _start_of(beside) if beside.is_file() else None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from error
    if stated is None:
        return digest
    words = stated.decode("ascii", errors="replace").split()
    if not words or not re.fullmatch(r"[0-9a-fA-F]{64}", words[0]):
        raise ModelError(
            f"{beside}: expected a SHA-256 of 64 hexadecimal digits, got something else; "
            "copy both files again"
        )
    if words[0].lower() != digest:
        raise ModelError(
            f"{path}: expected SHA-256 {words[0][:12]}..., got {digest[:12]}...; "
            "the file is damaged: install Mien again or copy the file again"
        )
    return digest


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HASH_FILE)
