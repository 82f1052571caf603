"""A labelled sample of faces from a Parquet file, as the model sees them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.data.table import ImageTable, image_bytes, image_path
from mien.models.base import BaseModel
from mien.recognizer import Recognizer
from mien.types import BoolArray, InputError, IntArray, Prediction
from mien.vision.crops import Crop
from mien.vision.read import read_image


@dataclass(frozen=True, eq=False)
class Sampled:
    """One face of the sample, with its answer."""

    name: str  # of its file, or its row
    truth: str
    crop: Crop
    prediction: Prediction
    mask: BoolArray | None = field(default=None, repr=False)  # [S, S], true evidence of a drawing
    #: opens the model that answers it, where that is another for other faces: a run's folds
    opened: Callable[[], BaseModel] | None = field(default=None, repr=False)

    def model(self, recognizer: Recognizer) -> BaseModel:
        """The model that answers and explains it: its own, or the recognizer's."""
        return recognizer.model if self.opened is None else self.opened()


def sample_faces(
    path: str | Path,
    recognizer: Recognizer,
    *,
    n: int = 200,
    seed: int = 0,
    split: str = "test",
    labels: Sequence[str] | None = None,
) -> list[Sampled]:
    """At most ``n`` faces of a split, as many of each expression as there are, drawn by ``seed``.

    Images are face crops: the recognizer's detector should be ``none``. ``labels`` narrows the
    expressions; those that the model does not know are left out. Where a file has no column
    ``split``, all its rows are taken. Raises InputError for a file that cannot be read and for a
    split without faces of these expressions.
    """
    source = ImageTable(Path(path))
    wanted = [name for name in recognizer.labels if labels is None or name in labels]
    rows = draw_rows(source, wanted, n=n, seed=seed, inside=rows_in_split(source, split))
    if not len(rows):
        names = ", ".join(wanted) or f"{', '.join(labels or ())}, which the model does not know,"
        raise InputError(
            f"{source.path}: expected faces of {names} in the split {split!r}, got "
            f"none; its splits are {', '.join(sorted(set(map(str, _sides(source)))))}"
        )
    return faces_of(source, rows, recognizer)


def rows_in_split(source: ImageTable, split: str) -> BoolArray:
    """Which rows ``[N]`` are of a split of the file; all where it has no column of splits."""
    return np.array([side in (None, split) for side in _sides(source)], dtype=bool)


def _sides(source: ImageTable) -> list[Any]:
    if "split" not in source.names:
        return [None] * source.rows
    return [side for b in source.batches(["split"], 8192) for side in source.values(b, "split")]


def draw_rows(
    source: ImageTable, wanted: Sequence[str], *, n: int, seed: int, inside: BoolArray
) -> IntArray:
    """At most ``n`` of the rows that are ``inside`` ``[N]``, evenly over the expressions wanted.

    In the file's order. Raises InputError for a file without labels.
    """
    if n < 1:
        raise InputError(f"expected 1 face or more, got {n}")
    if "label" not in source.names:
        raise InputError(f"{source.path}: expected a column 'label', got none")
    truths: list[str | None] = []
    for batch in source.batches(["label"], 8192):
        truths += source.values(batch, "label")
    order = np.random.default_rng(seed).permutation(len(truths))
    queues = [[i for i in order if truths[i] == name and inside[i]] for name in wanted]
    turns = max(map(len, queues), default=0)
    dealt = [queue[k] for k in range(turns) for queue in queues if k < len(queue)]
    return np.sort(np.array(dealt[:n], dtype=int))


def faces_of(
    source: ImageTable,
    rows: IntArray,
    recognizer: Recognizer,
    opened: Callable[[], BaseModel] | None = None,
) -> list[Sampled]:
    """The faces of some rows as a recognizer sees them, in the file's order."""
    found: list[Sampled] = []
    start = 0
    columns = [name for name in ("image", "label", "mask") if name in source.names]
    for batch in source.batches(columns, 512):
        inside = rows[(rows >= start) & (rows < start + len(batch))] - start
        if len(inside):
            part = batch.take(inside)
            cells = (source.values(part, c) for c in ("image", "label", "mask"))
            for row, image, truth, mask in zip(inside + start, *cells, strict=True):
                name = image_path(image) or f"row {row}"
                seen = _seen(recognizer, name, str(truth), image, mask)
                found += [replace(face, opened=opened) for face in seen]
        start += len(batch)
    return found


def _seen(recognizer: Recognizer, name: str, truth: str, image: Any, mask: Any) -> list[Sampled]:
    """The face of one row; none where the detector finds none."""
    crops = recognizer.crops(read_image(image_bytes(image)))[:1]
    answers = recognizer.answers(name, crops)
    evidence = None if mask is None else read_image(image_bytes(mask))[:, :, 0] > 0
    return [
        Sampled(name, truth, crop, answer, evidence)
        for crop, answer in zip(crops, answers, strict=True)
    ]
