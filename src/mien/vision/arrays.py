"""Arrays and tensors as the one form used inside: RGB, uint8, H x W x 3."""

from __future__ import annotations

from typing import Any, Final, TypeGuard

import numpy as np
from PIL import Image

from mien.types import ImageArray, InputError
from mien.vision.pixels import to_rgb

CHANNELS: Final = (1, 3, 4)


def is_array(source: object) -> TypeGuard[np.ndarray[Any, Any]]:
    """Whether an object is an array or a tensor of two sizes or more (a column of paths is not)."""
    if isinstance(source, np.ndarray):
        return True
    return hasattr(source, "__array__") and getattr(source, "ndim", 0) >= 2


def from_array(source: Any, *, bgr: bool = False) -> ImageArray:
    """An array or tensor as ``[H, W, 3] uint8``.

    Grey, RGB or RGBA, channels last or first, uint8 in 0..255 or floats in 0..1; a clear part is
    laid on white. Raises InputError for anything else.

    >>> import numpy as np
    >>> from_array(np.ones((3, 20, 30), dtype=np.float32)).shape
    (20, 30, 3)
    """
    array = _channels_last(_bytes(_numpy(source)))
    if array.ndim == 2:
        return np.ascontiguousarray(np.repeat(array[:, :, None], 3, axis=2))
    if bgr:
        array = array[:, :, [2, 1, 0, *range(3, array.shape[2])]]
    if array.shape[2] == 4:
        return to_rgb(Image.fromarray(np.ascontiguousarray(array)), 0)
    return np.ascontiguousarray(array)


def _numpy(source: Any) -> np.ndarray[Any, Any]:
    """A tensor on this machine's memory; of torch's, NumPy knows no bfloat16 and no gradient."""
    if hasattr(source, "detach"):
        source = source.detach().cpu()
        if str(source.dtype) == "torch.bfloat16":
            source = source.float()
    return np.asarray(source)


def _bytes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Values as uint8."""
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise InputError(
            f"expected an array of uint8 in 0..255 or of floats in 0..1, got {array.dtype}; "
            "scale it and call .astype('uint8')"
        )
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if not (low >= 0 and high <= 1):  # nan is neither
        raise InputError(
            f"expected floats in 0..1, got values from {low:.3g} to {high:.3g}; undo what "
            "normalised them, or divide by 255"
        )
    return np.asarray(np.rint(array.astype(np.float32) * 255), dtype=np.uint8)


def _channels_last(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``[H, W]``, or three or four channels behind."""
    if array.ndim == 3 and array.shape[0] in CHANNELS and array.shape[2] not in CHANNELS:
        array = np.moveaxis(array, 0, 2)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in CHANNELS):
        return array
    many = array.ndim == 4
    raise InputError(
        "expected an array of shape [H, W], [H, W, 3], [H, W, 4] or the channels first, "
        f"got {list(array.shape)}; give {'list(images) for a batch' if many else 'one image'}"
    )
