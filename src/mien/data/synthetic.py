"""Drawn faces in seven expressions, whose evidence is known because it was drawn.

A face is drawn twice from the same numbers, neutral and with its expression: the pixels that
differ are the evidence, exactly. Everything else (person, pose, light, glasses, something before
the face, clutter behind it) is drawn at random, independently of the expression.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from mien.data.prepare import Cell, Fingerprint, encode
from mien.data.scene import EVIDENCE, MUSCLES, Muscles, Person, Scene, person, scene
from mien.data.strokes import picture
from mien.data.table import Writer, pixel_hash, schema
from mien.emotions import EIGHT, SEVEN, SIX
from mien.registry import choose
from mien.types import BoolArray, FloatArray, ImageArray, InputError

COLUMNS: Final = {"mask": "image", "evidence": "strings", "landmarks": "floats",
                  "intensity": "float"}  # fmt: skip
VISIBLE: Final = 0.6  # share of the evidence that must stay in sight
SEEN: Final = 6  # grey levels by which a pixel must differ to be evidence


@dataclass(frozen=True)
class SyntheticFace:
    """A drawn face with its truth.

    ``image`` is ``[S, S, 3] uint8``; ``mask`` ``[S, S]`` is where the expression differs from the
    same face at rest (for neutral: where any of the others would differ), ``evidence`` names
    those regions; ``landmarks`` are the 24 points of :data:`mien.vision.landmarks.LANDMARKS`, in
    pixels.
    """

    label: str
    subject: str
    intensity: float
    image: ImageArray = field(repr=False, compare=False)
    mask: BoolArray = field(repr=False, compare=False)
    evidence: tuple[str, ...]
    landmarks: FloatArray = field(repr=False, compare=False)


def face(
    label: str, *, subject: int = 0, number: int = 0, seed: int = 0, size: int = 64
) -> SyntheticFace:
    """One face; the same for the same arguments.

    ``number`` distinguishes pictures of one person. Raises UnknownNameError for a label that is
    not drawn, InputError for a size outside 24..512.

    Parameters
    ----------
    label
        The expression.
    subject
        The number of a drawn person.
    seed
        Of pose, light, glasses and clutter.
    size
        Pixels a side.

    >>> smile = face("happy", size=48)
    >>> smile.image.shape, smile.evidence, bool(smile.mask.any())
    ((48, 48, 3), ('mouth',), True)
    """
    choose("expression", label, SEVEN)
    if not 24 <= size <= 512:
        raise InputError(f"size: expected 24 to 512 pixels, got {size}")
    who = person(subject, seed)
    rng = np.random.default_rng([seed, subject, number, 2])
    strength = float(rng.uniform(0.75, 1.1))
    covered = rng.random() < 0.25
    view = scene(rng, covered)
    moved = {name: MUSCLES[name].scaled(strength) for name in SIX}
    # checked for every expression, so that a scene does not depend on the one that is drawn
    if covered and _hidden(who, moved, view, size):
        view = replace(view, cover=None)
    if label != "neutral":
        moved = {label: moved[label]}
    still, landmarks = picture(who, Muscles(), view, size)
    drawn = {name: picture(who, muscles, view, size) for name, muscles in moved.items()}
    mask = np.zeros((size, size), dtype=bool)
    for image, _ in drawn.values():
        mask |= np.abs(image.astype(int) - still).max(axis=2) >= SEEN
    image, points = (still, landmarks) if label == "neutral" else drawn[label]
    return SyntheticFace(label, f"s{subject:04d}", strength, image, mask, EVIDENCE[label], points)


def _hidden(who: Person, moved: dict[str, Muscles], view: Scene, size: int) -> bool:
    """Whether what hides a part of the face hides too much of some expression's evidence."""
    clear = replace(view, cover=None)
    seen, whole = picture(who, Muscles(), view, size)[0], picture(who, Muscles(), clear, size)[0]
    for muscles in moved.values():
        there = _area(picture(who, muscles, clear, size)[0], whole)
        left = _area(picture(who, muscles, view, size)[0], seen)
        if left < VISIBLE * there:
            return True
    return False


def _area(one: ImageArray, other: ImageArray) -> int:
    return int((np.abs(one.astype(int) - other).max(axis=2) >= SEEN).sum())


def faces(
    images: int, *, people: int = 40, seed: int = 0, size: int = 64
) -> Iterator[SyntheticFace]:
    """Faces of ``people`` persons with all seven expressions in turn; the same for one seed."""
    if images < 1 or people < 1:
        raise InputError(f"expected at least one image and person, got {images} and {people}")
    for number in range(images):
        label = SEVEN[number % len(SEVEN)]
        subject = number // len(SEVEN) % people
        yield face(label, subject=subject, number=number, seed=seed, size=size)


def _split(subject: str) -> str:
    place = int(subject[1:]) % 20
    return "val" if place in (3, 9, 15) else "test" if place in (5, 12, 18) else "train"


def write(
    output: str | Path,
    images: int,
    *,
    people: int = 40,
    seed: int = 0,
    size: int = 64,
    advance: Callable[[int | None], object] | None = None,
) -> tuple[dict[Cell, int], str]:
    """Write faces as Parquet with their masks; returns counts and the fingerprint.

    Of every twenty people fourteen are train, three val and three test, so that nobody is on two
    sides.

    Parameters
    ----------
    output
        The Parquet file.
    images
        How many, in equal shares of the expressions.
    people
        How many different persons.
    size
        Pixels a side.
    seed
        Of everything that is drawn.
    advance
        Called after each image.
    """
    counts: dict[Cell, int] = {}
    hashed = Fingerprint()
    options = {"people": str(people), "seed": str(seed)}
    about = {"set": "synthetic", "options": options}
    with Writer(Path(output), schema(COLUMNS, about)) as writer:
        for drawn in faces(images, people=people, seed=seed, size=size):
            if advance is not None:
                advance(images)
            split = _split(drawn.subject)
            name = f"{drawn.subject}/{writer.count:07d}_{drawn.label}.png"
            data, pixels = encode(drawn.image)
            mask = encode(drawn.mask.astype(np.uint8) * 255)[0]
            digest = pixel_hash(pixels)
            writer.add(
                {
                    "image": {"bytes": data, "path": name},
                    "label": EIGHT.index(drawn.label),
                    "split": split,
                    "subject": drawn.subject,
                    "source": "synthetic",
                    "pixel_hash": digest,
                    "mask": {"bytes": mask, "path": f"{name}.mask.png"},
                    "evidence": list(drawn.evidence),
                    "intensity": drawn.intensity,
                    "landmarks": (drawn.landmarks.ravel() / size).tolist(),
                }
            )
            counts[split, drawn.label] = counts.get((split, drawn.label), 0) + 1
            hashed.add("synthetic", name, digest, drawn.label, split)
    return counts, str(hashed)
