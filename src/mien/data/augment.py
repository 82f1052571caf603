"""Augmentation applied: to batches of arrays with OpenCV, of tensors on the device they lie on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from mien.data.augmentation import RADIUS, Augmentation, Draw, draw, preset
from mien.registry import choose
from mien.types import FloatArray, InputError

if TYPE_CHECKING:
    from torch import Tensor

VIEWS: Final = ("none", "flip", "ten-crop")
Batch = TypeVar("Batch", "FloatArray", "Tensor")  # [N, C, H, W], or targets [N, K]


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
        self.how = preset(how) if isinstance(how, str) else how  # what may happen to an image
        self._rng = None if seed is None else np.random.default_rng(seed)

    def _generator(self, images: FloatArray | Tensor) -> np.random.Generator:
        if self._rng is not None:
            return self._rng
        if isinstance(images, np.ndarray):
            raise InputError("expected a seed for arrays, got none; give Augmenter(..., seed=0)")
        import torch

        return np.random.default_rng(int(torch.randint(2**62, ())))

    def __call__(self, images: Batch) -> Batch:
        """The batch augmented, as float32 of the same shape and kind."""
        _check_batch(images)
        drawn = draw(self.how, len(images), self._generator(images))
        if isinstance(images, np.ndarray):
            return apply(images, drawn)
        from mien.data.augment_torch import apply as apply_tensor

        return apply_tensor(images, drawn)

    def mix(self, images: Batch, targets: Batch) -> tuple[Batch, Batch]:
        """Mixup or CutMix of a batch with targets ``[N, K]``; as it is where both are off.

        Zhang et al. 2018, arXiv:1710.09412; Yun et al. 2019, arXiv:1905.04899. Where both are
        on, each takes half of the batches.

        Parameters
        ----------
        images
            ``[N, C, H, W]``.
        targets
            ``[N, K]``, one row of shares for each image.
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


def _check_batch(images: FloatArray | Tensor) -> None:
    if getattr(images, "ndim", 0) != 4:
        raise InputError(
            f"expected a batch [N, C, H, W], got {list(getattr(images, 'shape', []))}; "
            "add the missing dimension"
        )


def _cut(
    images: Batch, others: Batch, share: float, rng: np.random.Generator
) -> tuple[Batch, float]:
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


def views(images: Batch, kind: str = "flip", share: float = 0.9) -> list[Batch]:
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


def _mirrored(images: Batch) -> Batch:
    return images[..., ::-1].copy() if isinstance(images, np.ndarray) else images.flip(-1)
