"""Augmentation as data: what may happen to a training image, drawn once, applied anywhere.

The random numbers are drawn with numpy, so that they do not depend on the device. They are
applied to whole batches: of arrays with OpenCV, of tensors where they lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np

from mien.registry import choose
from mien.types import FloatArray, InputError

RADIUS: Final = 3  # of the blur's kernel, pixels
VIEWS: Final = ("none", "flip", "ten-crop")


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
        most = {
            "rotation": 180.0,
            "mixup": 10.0,
            "cutmix": 10.0,
            "sigma_low": 2.0,
            "sigma_high": 2.0,
            "scale": 0.9,
            "crop": 0.9,
        }
        for part in fields(self):
            value = getattr(self, part.name)
            limit = most.get(part.name, 1.0)
            if not 0 <= value <= limit:
                raise InputError(f"{part.name}: expected 0 to {limit:g}, got {value}")
        if not 0 < self.sigma_low <= self.sigma_high:
            raise InputError(
                f"expected 0 < sigma_low <= sigma_high, got {self.sigma_low}, {self.sigma_high}"
            )


#: The papers' augmentations, as far as they tell, and two of our own.
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


class Augmenter:
    """Augments batches ``[N, C, H, W]`` of pixels in 0..255, arrays or tensors, on their device.

    Without a ``seed``, tensors follow torch's own seed (one number is taken from it for each
    batch), so that a training loop that seeds torch can repeat itself; arrays then need a seed.

    >>> import numpy as np
    >>> flipped = Augmenter(Augmentation(flip=1.0), seed=0)(np.arange(64.0).reshape(1, 1, 8, 8))
    >>> flipped[0, 0, 0].round().tolist()
    [7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
    """

    def __init__(self, how: Augmentation | str, seed: int | None = None) -> None:
        self.how = preset(how) if isinstance(how, str) else how
        self._rng = None if seed is None else np.random.default_rng(seed)

    def _generator(self, images: Any) -> np.random.Generator:
        if self._rng is not None:
            return self._rng
        if isinstance(images, np.ndarray):
            raise InputError("expected a seed for arrays, got none; give Augmenter(..., seed=0)")
        import torch

        return np.random.default_rng(int(torch.randint(2**62, ())))

    def __call__(self, images: Any) -> Any:
        """The batch augmented, as float32 of the same shape and kind."""
        _check_batch(images)
        drawn = draw(self.how, len(images), self._generator(images))
        if isinstance(images, np.ndarray):
            return apply(images, drawn)
        from mien.data.augment_torch import apply as apply_tensor

        return apply_tensor(images, drawn)

    def mix(self, images: Any, targets: Any) -> tuple[Any, Any]:
        """Mixup or CutMix of a batch with targets ``[N, K]``; as it is where both are off.

        Zhang et al. 2018, arXiv:1710.09412; Yun et al. 2019, arXiv:1905.04899. Where both are
        on, each takes half of the batches.
        """
        _check_batch(images)
        how = self.how
        if not how.mixup and not how.cutmix:
            return images, targets
        rng = self._generator(images)
        other = rng.permutation(len(images))
        if how.cutmix and (not how.mixup or rng.random() < 0.5):
            share = float(rng.beta(how.cutmix, how.cutmix))
            images, share = _cut(images, images[other], share, rng)
        else:
            share = float(rng.beta(how.mixup, how.mixup))
            images = images * share + images[other] * (1 - share)
        return images, targets * share + targets[other] * (1 - share)


def _check_batch(images: Any) -> None:
    if getattr(images, "ndim", 0) != 4:
        raise InputError(
            f"expected a batch [N, C, H, W], got {list(getattr(images, 'shape', []))}; "
            "add the missing dimension"
        )


def _cut(images: Any, others: Any, share: float, rng: np.random.Generator) -> tuple[Any, float]:
    """A rectangle of ``1 - share`` of the area taken from the others, and the share that stays."""
    height, width = (int(n) for n in images.shape[2:])
    side = np.sqrt(1 - share) / 2
    x, y = rng.random(2)
    left, right = (round(float(np.clip(v, 0, 1)) * width) for v in (x - side, x + side))
    top, bottom = (round(float(np.clip(v, 0, 1)) * height) for v in (y - side, y + side))
    mixed = images.copy() if isinstance(images, np.ndarray) else images.clone()
    mixed[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (width * height)


def apply(images: FloatArray, drawn: Draw) -> FloatArray:
    """Apply a draw to arrays ``[N, C, H, W]`` in 0..255; beyond the image its edge is repeated."""
    import cv2

    count, _, height, width = images.shape
    result = np.empty(images.shape, dtype=np.float32)
    # positions in -1..1 as pixels: x = (n + 1) w / 2 - 1/2
    to_unit = np.array([[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]])
    to_pixel = np.array([[width / 2, 0, (width - 1) / 2], [0, height / 2, (height - 1) / 2]])
    for i in range(count):
        theta = np.vstack([drawn.theta[i], [0, 0, 1]])
        matrix = np.hstack([to_pixel[:, :2] @ theta[:2, :2], np.zeros((2, 1))])
        matrix[:, 2] = to_pixel[:, :2] @ theta[:2, 2] + to_pixel[:, 2]
        matrix = matrix @ to_unit
        planes = np.ascontiguousarray(images[i].transpose(1, 2, 0), dtype=np.float32)
        moved = cv2.warpAffine(
            planes,
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if drawn.sigma[i]:
            side = 2 * RADIUS + 1
            moved = cv2.GaussianBlur(
                moved, (side, side), float(drawn.sigma[i]), borderType=cv2.BORDER_REPLICATE
            )
        lit = np.asarray(moved, dtype=np.float32).reshape(height, width, -1) * drawn.gain[i]
        mean = lit.mean()
        lit = np.clip((lit - mean) * drawn.contrast[i] + mean, 0, 255)
        left, top, right, bottom = (drawn.box[i] * (width, height, width, height)).round()
        lit[int(top) : int(bottom), int(left) : int(right)] = 255 * drawn.grey[i]
        result[i] = lit.transpose(2, 0, 1)
    return result


def views(images: Any, kind: str = "flip", share: float = 0.9) -> list[Any]:
    """The batch as test-time augmentation sees it, to average the answers over.

    ``none``: itself; ``flip``: itself and mirrored; ``ten-crop``: four corners and the centre of
    ``share`` of the side, each also mirrored (Krizhevsky et al. 2012). Crops are smaller than the
    images: scale them to what the network takes.
    """
    _check_batch(images)
    choose("test-time augmentation", kind, VIEWS)
    found = [images]
    if kind == "ten-crop":
        if not 0.3 <= share < 1:
            raise InputError(f"share: expected 0.3 to below 1, got {share}")
        height, width = (int(n) for n in images.shape[2:])
        high, wide = round(share * height), round(share * width)
        places = [
            (0, 0),
            (0, width - wide),
            (height - high, 0),
            (height - high, width - wide),
            ((height - high) // 2, (width - wide) // 2),
        ]
        found = [images[:, :, y : y + high, x : x + wide] for y, x in places]
    if kind == "none":
        return found
    return found + [_mirrored(view) for view in found]


def _mirrored(images: Any) -> Any:
    return images[..., ::-1].copy() if isinstance(images, np.ndarray) else images.flip(-1)
