"""Drawn faces in seven expressions, whose evidence is known because it was drawn.

A face is drawn twice from the same numbers, neutral and with its expression: the pixels that
differ are the evidence, exactly. Everything else (person, pose, light, glasses, something before
the face, clutter behind it) is drawn by chance, independently of the expression.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from mien.data.prepare import Cell, Fingerprint, encode
from mien.data.strokes import Pose, picture
from mien.data.table import Writer, pixel_hash, schema
from mien.emotions import EIGHT, SEVEN, SIX
from mien.registry import choose
from mien.types import BoolArray, FloatArray, ImageArray, InputError

COLUMNS: Final = {"mask": "image", "evidence": "strings", "landmarks": "floats",
                  "intensity": "float"}  # fmt: skip
VISIBLE: Final = 0.6  # share of the evidence that must stay in sight
SEEN: Final = 6  # grey levels by which a pixel must differ to be evidence


@dataclass(frozen=True)
class Muscles:
    """How far each part of the face is moved; all zero is neutral.

    Lengths are in halves of the face's width, upwards positive.
    """

    brow_inner: float = 0.0
    brow_outer: float = 0.0
    brow_together: float = 0.0
    frown: float = 0.0
    lids: float = 0.0  # opening of the eyes: -1 shut, 0 at rest
    wrinkle: float = 0.0  # of the nose
    smile: float = 0.0  # corners of the mouth
    stretch: float = 0.0
    gape: float = 0.0
    teeth: float = 0.0
    press: float = 0.0
    sneer: float = 0.0  # upper lip

    def scaled(self, strength: float) -> Muscles:
        """The same movement, weaker or stronger."""
        return Muscles(**{f.name: getattr(self, f.name) * strength for f in fields(self)})


#: Movements after the action units of each expression (Ekman and Friesen 1978), simplified.
MUSCLES: Final[dict[str, Muscles]] = {
    "angry": Muscles(brow_inner=-0.12, brow_outer=0.05, brow_together=0.06, frown=1, lids=-0.35,
                     smile=-0.05, press=1, stretch=-0.1),
    "disgust": Muscles(wrinkle=1, sneer=1, smile=-0.06),
    "fear": Muscles(brow_inner=0.16, brow_outer=0.02, brow_together=0.05, lids=0.7, stretch=0.3,
                    gape=0.09, teeth=1, smile=-0.08),
    "happy": Muscles(smile=0.13, stretch=0.35, gape=0.1, teeth=1),
    "sad": Muscles(brow_inner=0.12, brow_outer=-0.07, smile=-0.12, stretch=-0.1),
    "surprise": Muscles(brow_inner=0.15, brow_outer=0.15, lids=0.8, gape=0.3, stretch=-0.35),
    "neutral": Muscles(),
}  # fmt: skip
#: The regions in which each expression differs from neutral.
EVIDENCE: Final[dict[str, tuple[str, ...]]] = {
    "angry": ("brows", "eyes", "mouth"),
    "disgust": ("nose", "mouth"),
    "fear": ("brows", "eyes", "mouth"),
    "happy": ("mouth",),
    "sad": ("brows", "mouth"),
    "surprise": ("brows", "eyes", "mouth"),
    "neutral": ("brows", "eyes", "nose", "mouth"),
}


@dataclass(frozen=True)
class Person:
    """What stays the same in all pictures of one person; lengths in halves of the face's width."""

    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    iris: tuple[int, int, int]
    lip: tuple[int, int, int]
    width: float
    jaw: float
    eyes: float
    eye_size: float
    nose: float
    mouth: float
    brow: float
    fringe: float
    long_hair: bool
    glasses: bool


@dataclass(frozen=True)
class Scene:
    """What changes from picture to picture, whatever the expression."""

    pose: Pose
    light: tuple[float, float]  # gain from left to right and from top to bottom
    gain: float
    background: tuple[int, int, int]
    clutter: int  # shapes behind the head
    cover: tuple[float, float, float, float] | None  # centre and half sides of what hides a part
    noise: float
    seed: int


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


def person(number: int, seed: int = 0) -> Person:
    """The person of a number; the same for the same seed."""
    rng = np.random.default_rng([seed, number, 1])
    tone = rng.uniform(0, 1)  # from light to dark skin
    skin = np.array([244, 208, 180]) * (1 - tone) + np.array([92, 58, 42]) * tone
    skin += rng.normal(0, 6, 3)
    hairs = ((35, 28, 25), (80, 50, 30), (150, 105, 60), (205, 170, 110), (120, 120, 122))
    hair = np.array(hairs[rng.integers(len(hairs))]) + rng.normal(0, 8, 3)
    irises = ((70, 45, 30), (60, 90, 130), (70, 100, 70))
    lip = skin * (0.78, 0.55, 0.55)

    def colour(values: FloatArray) -> tuple[int, int, int]:
        r, g, b = (int(v) for v in np.clip(values, 0, 255))
        return r, g, b

    return Person(
        skin=colour(skin),
        hair=colour(hair),
        iris=irises[rng.integers(len(irises))],
        lip=colour(lip),
        width=rng.uniform(0.66, 0.76),
        jaw=rng.uniform(0.5, 0.72),
        eyes=rng.uniform(0.27, 0.33),
        eye_size=rng.uniform(0.9, 1.12),
        nose=rng.uniform(0.9, 1.12),
        mouth=rng.uniform(0.22, 0.28),
        brow=rng.uniform(0.8, 1.3),
        fringe=rng.uniform(-0.78, -0.6),
        long_hair=bool(rng.random() < 0.5),
        glasses=bool(rng.random() < 0.2),
    )


def scene(rng: np.random.Generator, cover: bool) -> Scene:
    """Everything about a picture that chance decides."""
    pose = Pose(
        yaw=rng.uniform(-0.5, 0.5),
        roll=rng.uniform(-12, 12),
        scale=rng.uniform(0.9, 1.08),
        shift=(rng.uniform(-0.07, 0.07), rng.uniform(-0.05, 0.07)),
    )
    hidden = None
    if cover:
        x, y = rng.uniform(-0.6, 0.6), rng.uniform(-0.7, 0.9)
        hidden = (x, y, rng.uniform(0.08, 0.2), rng.uniform(0.08, 0.2))
    back = rng.integers(30, 226, 3)
    return Scene(
        pose=pose,
        light=(rng.uniform(-0.3, 0.3), rng.uniform(-0.25, 0.1)),
        gain=rng.uniform(0.75, 1.15),
        background=(int(back[0]), int(back[1]), int(back[2])),
        clutter=int(rng.integers(0, 6)),
        cover=hidden,
        noise=rng.uniform(0, 5),
        seed=int(rng.integers(1 << 31)),
    )


def face(
    label: str, *, subject: int = 0, number: int = 0, seed: int = 0, size: int = 64
) -> SyntheticFace:
    """One face; the same for the same arguments.

    ``number`` tells pictures of one person apart. Raises UnknownNameError for a label that is
    not drawn, InputError for a size outside 24..512.

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
    # asked of every expression, so that a scene does not depend on the one that is drawn
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
    """
    counts: dict[Cell, int] = {}
    hashed = Fingerprint()
    about: dict[str, Any] = {
        "set": "synthetic",
        "options": {"people": str(people), "seed": str(seed)},
    }
    with Writer(Path(output), schema(COLUMNS, about)) as writer:
        for drawn in faces(images, people=people, seed=seed, size=size):
            if advance is not None:
                advance(images)
            place = int(drawn.subject[1:]) % 20
            split = "val" if place in (3, 9, 15) else "test" if place in (5, 12, 18) else "train"
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
