"""The 24 facial landmarks that Mien's regions and alignment are built on.

Left and right are those of the *image*, not of the person: ``left`` points have the smaller x
on an upright, frontal face. Coordinates are (x, y) in pixels of whatever image they belong to,
with (0, 0) the centre of the top-left pixel.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from mien.types import FloatArray

# name -> vertex of the 468-point face mesh of Kartynnik et al. 2019 (arXiv:1907.06724)
MESH_VERTEX: Final[dict[str, int]] = {
    "brow_left_outer": 70,
    "brow_left_middle": 105,
    "brow_left_inner": 107,
    "brow_right_inner": 336,
    "brow_right_middle": 334,
    "brow_right_outer": 300,
    "eye_left_outer": 33,
    "eye_left_inner": 133,
    "eye_right_inner": 362,
    "eye_right_outer": 263,
    "nose_bridge": 168,
    "nose_tip": 1,
    "nose_left": 98,
    "nose_right": 327,
    "mouth_left": 61,
    "mouth_right": 291,
    "lip_top": 0,
    "lip_bottom": 17,
    "chin": 152,
    "side_left": 234,
    "side_right": 454,
    "jaw_left": 172,
    "jaw_right": 397,
    "forehead": 10,
}
#: The 24 points, in the order of every array of landmarks.
LANDMARKS: Final[tuple[str, ...]] = tuple(MESH_VERTEX)
INDEX: Final[dict[str, int]] = {name: i for i, name in enumerate(LANDMARKS)}


def _mirror_name(name: str) -> str:
    swap = {"left": "right", "right": "left"}
    return "_".join(swap.get(part, part) for part in name.split("_"))


#: ``points[MIRROR]`` puts the points of a mirrored face back into this module's order.
MIRROR: Final[tuple[int, ...]] = tuple(INDEX[_mirror_name(name)] for name in LANDMARKS)


def mirror(points: FloatArray, width: float) -> FloatArray:
    """Landmarks ``[..., 24, 2]`` of the horizontally mirrored image, ``width`` pixels wide.

    >>> import numpy as np
    >>> points = np.zeros((24, 2))
    >>> mirror(points, 48.0)[0]
    array([47.,  0.])
    """
    flipped = points[..., list(MIRROR), :].copy()
    flipped[..., 0] = (width - 1) - flipped[..., 0]
    return flipped


def eye_centres(points: FloatArray) -> FloatArray:
    """Centres ``[..., 2, 2]`` of the left and the right eye (midpoints of their corners)."""
    left = (points[..., INDEX["eye_left_outer"], :] + points[..., INDEX["eye_left_inner"], :]) / 2
    right = (
        points[..., INDEX["eye_right_outer"], :] + points[..., INDEX["eye_right_inner"], :]
    ) / 2
    return np.stack([left, right], axis=-2)


def eye_distance(points: FloatArray) -> FloatArray:
    """Distance in pixels between the eye centres, the unit in which landmark errors are given."""
    eyes = eye_centres(points)
    return np.asarray(np.linalg.norm(eyes[..., 1, :] - eyes[..., 0, :], axis=-1))
