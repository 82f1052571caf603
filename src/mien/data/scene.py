"""Who is drawn, how the face moves, and how the picture is taken; at random on request."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from mien.types import FloatArray


@dataclass(frozen=True)
class Pose:
    """Where the head looks and stands: yaw -1..1, roll in degrees, scale, shift in half widths."""

    yaw: float
    roll: float
    scale: float
    shift: tuple[float, float]


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
