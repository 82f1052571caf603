"""Faces to judge a model on: of a run the images that it tested, each by the fold that did so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mien.data.crop import framing_of
from mien.data.table import ImageTable, image_bytes, image_path, pixel_hash
from mien.judging.sampling import Sampled, draw_rows, faces_of, rows_in_split, sample_faces
from mien.loading import load
from mien.models.base import BaseModel
from mien.models.weights import BUILT_IN
from mien.priors import Prior
from mien.recognizer import Recognizer
from mien.runs.folder import folds_of_run, is_fold, run_of
from mien.runs.sides import TRAINED, Sides, read_sides
from mien.types import BoolArray, InputError
from mien.vision.read import read_image


@dataclass(frozen=True, eq=False)
class Sample:
    """Faces with the answers of a model, and how they stand to the images it was trained on."""

    recognizer: Recognizer  # the model's; of a run of folds the first fold's
    faces: list[Sampled]
    identity: str
    known: str = field(repr=False)  # in a sentence


def sample(
    model: str | Path,
    path: str | Path,
    *,
    n: int = 200,
    seed: int = 0,
    split: str = "test",
    detector: str = "none",
    head: str | None = None,
    prior: Prior | None = None,
    check: Callable[[BaseModel], object] = lambda _model: None,
) -> Sample:
    """At most ``n`` labelled faces of a file on which a model may be judged.

    A run knows its images: of the file that it was trained from, those of ``split`` in the run's
    own split are taken, and of a run of folds all, each answered and explained by the fold that
    did not train on it. Of another file, images with the pixels of a training image are left out.
    Of a model that did not write down its images, such as an ONNX file, the file's own split is
    taken, and ``known`` says so.

    ``check`` is called with the model before any face is answered, and may refuse it. Raises
    InputError for a file that cannot be read or has no such faces.
    """
    how: dict[str, Any] = {"head": head, "prior": prior, "detector": detector}
    folder, sides = Path(model), _sides(model)
    if sides is None:
        recognizer = load(model, **how)
        check(recognizer.model)
        faces = sample_faces(path, recognizer, n=n, seed=seed, split=split)
        cut = _cut_otherwise(recognizer, ImageTable(Path(path)), detector)
        return Sample(recognizer, faces, recognizer.model.identity, _unknown(recognizer) + cut)
    source = ImageTable(Path(path))
    keys = _keys(source)
    own = [sides.own(*key) for key in keys]
    if not any(own):
        recognizer = load(model, **how)
        check(recognizer.model)
        found = _foreign(recognizer, source, sides, keys, n=n, seed=seed, split=split)
        return replace(found, known=found.known + _cut_otherwise(recognizer, source, detector))
    folds = {place.name: place for place in folds_of_run(folder)}
    wanted = _wanted(folder, folds, split)
    inside = np.array([side in wanted for side in own], dtype=bool)
    places = folds or {"": folder}
    recognizers = Opened(places, how)
    first = recognizers(next(iter(places)))
    check(first.model)
    rows = draw_rows(source, first.labels, n=n, seed=seed, inside=inside)
    if not len(rows):
        raise InputError(f"{path}: expected images of the side {split!r} of {folder}, got none")
    faces = []
    for name in places:
        mine = rows[[not folds or own[row] == name for row in rows]] if len(rows) else rows
        if len(mine):
            opened = recognizers.of(name) if folds else None
            faces += faces_of(source, mine, recognizers(name), opened)
    copies = sum(sides.alike(keys[row][1]) in TRAINED for row in rows) if not folds else 0
    identity = _identity(first, folds)
    return Sample(first, faces, identity, _told(split, folds, copies))


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of a file, and the model that is measured on them."""

    model: str | Path
    rows: BoolArray | None  # [N]; None where the file's own split says which
    known: str = ""


def parts_of(model: str | Path, path: str | Path, split: str = "") -> list[Part]:
    """By which model each row of a file is measured: of a run of folds, by the one that tests it.

    ``split`` as for :func:`sample`; "" is ``test``. Where the file is not what a run was trained
    from, its copies of the run's images stay out.
    """
    folder, sides = Path(model), _sides(model)
    if sides is None:
        return [Part(model, None)]
    source = ImageTable(Path(path))
    keys = _keys(source)
    own = np.array([sides.own(*key) or "" for key in keys], dtype=object)
    if not own.astype(bool).any():
        seen = _copies(sides, keys)
        has = not split and "split" in source.names and rows_in_split(source, "test").any()
        inside = rows_in_split(source, split or "test") if split or has else ~seen
        return [Part(model, inside & ~seen, _told_foreign(seen))]
    folds = {place.name: place for place in folds_of_run(folder)}
    wanted = _wanted(folder, folds, split or "test")
    known = _told(split or "test", folds, 0)
    if not folds:
        return [Part(model, np.isin(own, list(wanted)), known)]
    return [Part(place, own == name, known) for name, place in folds.items()]


class Opened:
    """The recognizers of a run's folds, two of them in memory at a time."""

    def __init__(self, places: Mapping[str, Path], how: Mapping[str, Any]) -> None:
        def opened(name: str) -> Recognizer:
            return load(places[name], **how)

        self._opened = lru_cache(maxsize=2)(opened)

    def __call__(self, name: str) -> Recognizer:
        """The recognizer of a fold."""
        return self._opened(name)

    def of(self, name: str) -> _ModelOf:
        """What opens a fold's model when it is asked."""
        return _ModelOf(self, name)


@dataclass(frozen=True)
class _ModelOf:
    opened: Opened
    name: str

    def __call__(self) -> BaseModel:
        return self.opened(self.name).model


def _sides(model: str | Path) -> Sides | None:
    """The images of a run; None for a model that did not write them down."""
    folder = Path(model)
    is_run = str(model) not in BUILT_IN and folder.is_dir()
    return read_sides(run_of(folder)) if is_run else None


def _copies(sides: Sides, keys: Sequence[tuple[str, str]]) -> BoolArray:
    """Which rows ``[N]`` have the pixels of an image of the run."""
    return np.array([sides.alike(pixels) is not None for _, pixels in keys], dtype=bool)


def _keys(source: ImageTable) -> list[tuple[str, str]]:
    """Name and hash of the pixels of each row; images are decoded where the file has no hashes."""
    found: list[tuple[str, str]] = []
    known = "pixel_hash" in source.names
    for batch in source.batches(["image.path", "pixel_hash"] if known else ["image"], 512):
        images = source.values(batch, "image")
        names = [image_path(image) or "" for image in images]
        hashes = source.values(batch, "pixel_hash") if known else map(_hash, images)
        found += zip(names, hashes, strict=True)
    return found


def _hash(image: object) -> str:
    try:
        return pixel_hash(read_image(image_bytes(image)))
    except InputError:  # what cannot be read was not trained on
        return ""


def _wanted(folder: Path, folds: Mapping[str, Path], split: str) -> set[str]:
    """The sides whose images are taken."""
    if is_fold(folder) or folds:
        if split != "test":
            raise InputError(f"{folder}: of folds, expected the split 'test', got {split!r}")
        return set(folds) or {folder.name}
    return {split}


def _foreign(
    recognizer: Recognizer,
    source: ImageTable,
    sides: Sides,
    keys: Sequence[tuple[str, str]],
    *,
    n: int,
    seed: int,
    split: str,
) -> Sample:
    """Faces of a file that the run was not trained from, without copies of its own images."""
    seen = _copies(sides, keys)
    inside = rows_in_split(source, split) & ~seen
    rows = draw_rows(source, recognizer.labels, n=n, seed=seed, inside=inside)
    if not len(rows):
        raise InputError(
            f"{source.path}: expected faces of {', '.join(recognizer.labels)} in the split "
            f"{split!r} that are no images of the run, got none"
        )
    faces = faces_of(source, rows, recognizer)
    return Sample(recognizer, faces, recognizer.model.identity, _told_foreign(seen))


def _cut_otherwise(recognizer: Recognizer, source: ImageTable, detector: str) -> str:
    """What to say where the file's pictures are not cut as those that the network learnt from."""
    learnt, given = recognizer.model.card.framing, framing_of(source)
    if detector != "none" or learnt is None or learnt.crop == given.crop:
        return ""
    return (
        f"; BEWARE: the file holds {given.words}, the network learnt from {learnt.words}: cut the "
        "file with mien data crop, or let --detector find the faces in it"
    )


def _told_foreign(seen: BoolArray) -> str:
    left = f"{int(seen.sum()):,} images" if seen.any() else "no image"
    return (
        f"not the images that the run was trained from; {left} of the file had the same pixels as "
        "one of the run's and stayed out; changed copies are not looked for"
    )


def _told(split: str, folds: Mapping[str, Path], copies: int) -> str:
    if folds:
        return f"each by the one of {len(folds)} folds that did not train on it"
    same = f"; {copies:,} of them have the pixels of a training image" if copies else ""
    return f"of the side {split!r} of the run's own split{same}"


def _unknown(recognizer: Recognizer) -> str:
    card = recognizer.model.card
    says = ", ".join(text for text in (card.data, card.protocol) if text) or "nothing of its data"
    return f"not known whether the model was trained on these images; its card says: {says}"


def _identity(first: Recognizer, folds: Mapping[str, Path]) -> str:
    identity = first.model.identity
    return f"{identity}, first of {len(folds)} folds" if folds else identity
