"""What may happen to a training image, as data, and what is drawn to happen to each of a batch.

The random numbers are drawn with numpy, so that they do not depend on the device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from mien.registry import choose
from mien.types import FloatArray, InputError

RADIUS: Final = 3  # of the blur's kernel, pixels
_MOST: Final = {
    "rotation": 180.0, "mixup": 10.0, "cutmix": 10.0, "sigma_low": 2.0, "sigma_high": 2.0,
    "scale": 0.9, "crop": 0.9,
}  # fmt: skip


@dataclass(frozen=True)
class Augmentation:
    """What may happen to an image; 0 switches a part off.

    ``flip``, ``flip_vertical``, ``blur`` and ``erase`` are chances in 0..1; ``rotation`` is in
    degrees to either side; ``shift`` and ``scale`` are shares of the side; ``crop`` is the share
    of the side that the smallest crop loses; ``brightness`` and ``contrast`` are factors about 1;
    ``sigma_low`` and ``sigma_high`` bound the blur in pixels; ``erase_area`` bounds the share of
    the image that is erased; ``mixup`` and ``cutmix`` are the Beta distribution's parameters.
    """

    flip: float = 0.0
    flip_vertical: float = 0.0
    rotation: float = 0.0
    shift: float = 0.0
    scale: float = 0.0
    crop: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    blur: float = 0.0
    sigma_low: float = 0.1
    sigma_high: float = 1.0
    erase: float = 0.0
    erase_area: float = 0.15
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            limit = _MOST.get(part.name, 1.0)
            if not 0 <= value <= limit:
                raise InputError(f"{part.name}: expected 0 to {limit:g}, got {value}")
        if not 0 < self.sigma_low <= self.sigma_high:
            raise InputError(
                f"expected 0 < sigma_low <= sigma_high, got {self.sigma_low}, {self.sigma_high}"
            )


#: The papers' augmentations, as far as they state them, and two of our own.
PRESETS: Final[Mapping[str, Augmentation]] = {
    "none": Augmentation(),
    "flip": Augmentation(flip=0.5),
    # Di Iorio, section 3.2: flips 0.5, +-15 degrees, factors up to 0.25, sigma 0.1 to 1.0;
    # how often images are blurred is not said
    "vit-fer2013": Augmentation(
        flip=0.5, rotation=15, brightness=0.25, contrast=0.25, blur=0.5, sigma_low=0.1,
        sigma_high=1.0,
    ),
    # the timm thesis, chapter 3: horizontal and vertical flips, rotation, changes of pixels; no
    # amounts are given
    "timm-thesis": Augmentation(
        flip=0.5, flip_vertical=0.5, rotation=15, brightness=0.2, contrast=0.2
    ),
    # GiMeFive's preliminary report, section 4.2: random rotation and crop; no amounts are given
    "gimefive": Augmentation(rotation=10, crop=0.1),
    # these two say that they crop, resize and normalise, and no more
    "vit-kdef": Augmentation(),
    "dncshap": Augmentation(),
    # known to work for a small network from scratch at 48 pixels
    "small": Augmentation(flip=0.5, rotation=10, shift=0.2, scale=0.2),
    "strong": Augmentation(
        flip=0.5, rotation=15, shift=0.1, scale=0.15, brightness=0.25, contrast=0.25, blur=0.2,
        erase=0.25, mixup=0.2,
    ),
}  # fmt: skip


def preset(name: str) -> Augmentation:
    """A preset by name; UnknownNameError for another.

    >>> preset("vit-fer2013").rotation
    15
    """
    return PRESETS[choose("augmentation", name, PRESETS)]


@dataclass(frozen=True)
class Draw:
    """What happens to each of N images.

    ``theta`` ``[N, 2, 3]`` takes positions of the result to positions in the image, both in
    -1..1; ``gain`` and ``contrast`` ``[N]`` are factors; ``sigma`` ``[N]`` is 0 for no blur;
    ``box`` ``[N, 4]`` is what is erased, in 0..1 (left, top, right, bottom); ``grey`` ``[N]`` in
    0..1 fills it.
    """

    theta: FloatArray
    gain: FloatArray
    contrast: FloatArray
    sigma: FloatArray
    box: FloatArray
    grey: FloatArray


def draw(how: Augmentation, count: int, rng: np.random.Generator) -> Draw:
    """Draw what happens to ``count`` images."""

    def about(bound: float, shape: tuple[int, ...] = (count,)) -> FloatArray:
        return rng.uniform(-bound, bound, shape)

    angle = np.deg2rad(about(how.rotation))
    zoom = 1 / (1 + about(how.scale))
    cut = 1 - rng.uniform(0, how.crop, count)
    zoom = zoom * cut
    mirror = np.where(rng.random(count) < how.flip, -1.0, 1.0)
    upset = np.where(rng.random(count) < how.flip_vertical, -1.0, 1.0)
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    # a crop of share c may lie anywhere within 1 - c of the centre
    shift = about(2 * how.shift, (count, 2)) + rng.uniform(-1, 1, (count, 2)) * (1 - cut)[:, None]
    rows = [[cos * mirror, -sin * upset, shift[:, 0]], [sin * mirror, cos * upset, shift[:, 1]]]
    theta = np.stack([np.stack(row, axis=1) for row in rows], axis=1)
    area = rng.uniform(0.02, max(how.erase_area, 0.02), count)
    aspect = np.exp(about(np.log(2.0)))
    wide, high = np.sqrt(area * aspect), np.sqrt(area / aspect)
    left, top = rng.random(count) * (1 - wide), rng.random(count) * (1 - high)
    box = np.stack([left, top, left + wide, top + high], axis=1)
    box[rng.random(count) >= how.erase] = 0
    sigma = rng.uniform(how.sigma_low, how.sigma_high, count)
    sigma[rng.random(count) >= how.blur] = 0
    return Draw(
        theta, 1 + about(how.brightness), 1 + about(how.contrast), sigma, box, rng.random(count)
    )
