"""Facial regions as a partition of the crop: every pixel belongs to exactly one region."""

from __future__ import annotations

from typing import Final

import numpy as np

from mien.types import FloatArray, ImageArray, IntArray
from mien.vision.landmarks import INDEX, eye_centres

#: The facial regions, in the order of their numbers in a map of labels.
REGIONS: Final = ("brows", "eyes", "nose", "mouth", "cheeks", "forehead", "chin", "background")

_FINE = 8  # the outlines are drawn this many times finer, then each pixel takes its majority
_SMOOTH = 1056  # pixels at which outlines are taken


def region_labels(landmarks: FloatArray, size: int) -> IntArray:
    """Region of each pixel ``[size, size]``, an index into :data:`REGIONS`.

    ``landmarks`` are 24 points in pixels of that grid. Brows include the space between them,
    where frowns show; eyes include the lids; cheeks are what the other parts of the face leave.

    >>> from mien.vision.landmarks import LANDMARKS
    >>> import numpy as np
    >>> region_labels(np.random.default_rng(0).uniform(5, 40, (24, 2)), 48).shape
    (48, 48)
    """
    blocks = _painted(landmarks, size, size * _FINE).reshape(size, _FINE, size, _FINE)
    shares = np.stack([(blocks == i).mean(axis=(1, 3)) for i in range(len(REGIONS))])
    return np.asarray(shares.argmax(axis=0), dtype=np.int64)


def region_map(landmarks: FloatArray, size: int, side: int) -> IntArray:
    """The regions drawn at ``side`` pixels, ``[side, side]``, to look at.

    ``landmarks`` are in pixels of the ``size`` x ``size`` grid, as of :func:`region_labels`,
    whose borders these are without its steps.

    >>> from mien.vision.landmarks import LANDMARKS
    >>> import numpy as np
    >>> region_map(np.random.default_rng(0).uniform(5, 40, (24, 2)), 48, 264).shape
    (264, 264)
    """
    return np.asarray(_painted(landmarks, size, side), dtype=np.int64)


def region_outlines(landmarks: FloatArray, size: int) -> dict[str, tuple[FloatArray, ...]]:
    """The smooth outlines of each region that is there: closed lines ``[n, 2]``, x and y.

    They are in 0..1 across the crop; a region in two parts has two, one with a hole in it has the
    hole's, too. ``landmarks`` as of :func:`region_map`.

    >>> import numpy as np
    >>> points = np.random.default_rng(0).uniform(5, 40, (24, 2))
    >>> "mouth" in region_outlines(points, 48)
    True
    """
    import cv2

    canvas = _painted(landmarks, size, _SMOOTH)
    found = {}
    for i, name in enumerate(REGIONS):
        part = (canvas == i).astype(np.uint8)
        lines, _ = cv2.findContours(part, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        smooth = [cv2.approxPolyDP(line, 0.8, True)[:, 0] for line in lines]
        kept = tuple((line + 0.5) / _SMOOTH for line in smooth if len(line) > 2)
        if kept:
            found[name] = kept
    return found


def region_centres(landmarks: FloatArray, size: int) -> dict[str, tuple[float, float]]:
    """The point of each region that is there which lies deepest within it, in 0..1: x and y.

    It is where a name can stand: of cheeks and eyes on one side. ``landmarks`` as of
    :func:`region_map`.

    >>> import numpy as np
    >>> points = np.random.default_rng(0).uniform(5, 40, (24, 2))
    >>> x, y = region_centres(points, 48)["mouth"]
    >>> 0 < x < 1
    True
    """
    import cv2

    side = _SMOOTH // 4
    canvas = _painted(landmarks, size, side)
    found = {}
    for i, name in enumerate(REGIONS):
        inside = np.pad((canvas == i).astype(np.uint8), 1)  # the rim is outside, too
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        if depth[y, x] > 0:
            found[name] = ((float(x) - 0.5) / side, (float(y) - 0.5) / side)
    return found


def _painted(landmarks: FloatArray, size: int, side: int) -> ImageArray:
    """The regions' numbers at ``side`` pixels, for landmarks in pixels of ``size``."""
    import cv2

    fine = (np.asarray(landmarks, dtype=np.float64) + 0.5) * (side / size) - 0.5
    face = _Face(fine)
    canvas = np.full((side, side), REGIONS.index("background"), dtype=np.uint8)

    def fill(region: str, outline: FloatArray) -> None:
        points = np.round(outline).astype(np.int32)
        cv2.fillPoly(canvas, [points], REGIONS.index(region))

    outline = face.outline()
    fill("cheeks", outline)
    inside = canvas != REGIONS.index("background")
    fill("forehead", face.above_brows())
    fill("chin", face.below_mouth())
    # half-planes reach beyond the face: take them back
    canvas[~inside] = REGIONS.index("background")
    fill("eyes", face.lids())
    fill("nose", face.nose())
    for which in ("left", "right"):
        fill("eyes", face.eye(which))
    fill("brows", face.brows())
    fill("mouth", face.mouth())
    return canvas


class _Face:
    """Outlines of the regions, in a frame that follows the eyes: ``u`` across, ``v`` down."""

    def __init__(self, points: FloatArray) -> None:
        self.points = points
        eyes = eye_centres(points)
        across = eyes[1] - eyes[0]
        self.unit = max(float(np.linalg.norm(across)), 1e-6)
        self.u = across / self.unit
        self.v = np.array([-self.u[1], self.u[0]])

    def __getitem__(self, name: str) -> FloatArray:
        return np.asarray(self.points[INDEX[name]])

    def _arc(
        self, centre: FloatArray, wide: FloatArray, high: FloatArray, start: float, end: float
    ) -> FloatArray:
        """Points of an ellipse with half-axes ``wide`` and ``high``, angles in half-turns."""
        angle = np.linspace(start, end, 24)[:, None] * np.pi
        return np.asarray(centre + np.cos(angle) * wide + np.sin(angle) * high)

    def outline(self) -> FloatArray:
        """Half an ellipse over the forehead, then down the jaw to the chin."""
        left, right = self["side_left"], self["side_right"]
        centre = (left + right) / 2
        top = self._arc(centre, (right - left) / 2, self["forehead"] - centre, 1.0, 0.0)
        chin = self["chin"]
        rounded = [
            (self[f"jaw_{side}"] + chin) / 2 + 0.08 * self.unit * (sign * self.u + self.v)
            for side, sign in (("left", -1), ("right", 1))
        ]
        jaw = [self["jaw_right"], rounded[1], chin, rounded[0], self["jaw_left"]]
        return np.vstack([top, *jaw])

    def above_brows(self) -> FloatArray:
        names = ("outer", "middle", "inner")
        left = [self[f"brow_left_{n}"] for n in names]
        right = [self[f"brow_right_{n}"] for n in reversed(names)]
        line = np.vstack([left[0] - 2 * self.unit * self.u, *left, *right])
        line = np.vstack([line, right[-1] + 2 * self.unit * self.u])
        return np.vstack([line, line[::-1] - 4 * self.unit * self.v])

    def below_mouth(self) -> FloatArray:
        left, right = self["mouth_left"], self["mouth_right"]
        line = np.vstack(
            [left - 2 * self.unit * self.u, left, right, right + 2 * self.unit * self.u]
        )
        return np.vstack([line, line[::-1] + 4 * self.unit * self.v])

    def brows(self) -> FloatArray:
        """A band along both brows, across the space between them."""
        names = ("outer", "middle", "inner")
        left = [self[f"brow_left_{n}"] for n in names]
        right = [self[f"brow_right_{n}"] for n in reversed(names)]
        line = np.vstack([left[0] - 0.06 * self.unit * self.u, *left, *right])
        line = np.vstack([line, right[-1] + 0.06 * self.unit * self.u])
        thick = self.unit * self.v
        return np.vstack([line - 0.07 * thick, line[::-1] + 0.15 * thick])

    def lids(self) -> FloatArray:
        """What lies between the brows and the corners of the eyes."""
        names = ("outer", "middle", "inner")
        left = [self[f"brow_left_{n}"] for n in names]
        right = [self[f"brow_right_{n}"] for n in reversed(names)]
        corners = [self["eye_right_outer"], self["eye_right_inner"]]
        corners += [self["eye_left_inner"], self["eye_left_outer"]]
        return np.vstack([*left, *right, *corners])

    def eye(self, side: str) -> FloatArray:
        outer, inner = self[f"eye_{side}_outer"], self[f"eye_{side}_inner"]
        width = max(float(np.linalg.norm(outer - inner)), 0.3 * self.unit)
        return self._arc((outer + inner) / 2, 0.62 * width * self.u, 0.42 * width * self.v, 0, 2)

    def nose(self) -> FloatArray:
        bridge, left, right = self["nose_bridge"], self["nose_left"], self["nose_right"]
        wing, narrow = 0.10 * self.unit * self.u, 0.12 * self.unit * self.u
        low = 0.06 * self.unit * self.v
        top = bridge - 2 * low
        sides = [right + wing, right + wing + low, left - wing + low, left - wing]
        return np.vstack([top - narrow, top + narrow, *sides])

    def mouth(self) -> FloatArray:
        """Two half-ellipses through corners and lips, a little wider than the lips."""
        left, right = self["mouth_left"], self["mouth_right"]
        centre = (left + right) / 2
        wide = (right - left) / 2 * 1.25
        least = 0.12 * self.unit
        up = max(float((centre - self["lip_top"]) @ self.v) * 1.3, least)
        down = max(float((self["lip_bottom"] - centre) @ self.v) * 1.2, least)
        upper = self._arc(centre, wide, -up * self.v, 1.0, 0.0)
        lower = self._arc(centre, wide, down * self.v, 0.0, 1.0)
        return np.vstack([upper, lower])


def areas(labels: IntArray) -> dict[str, float]:
    """Share of the crop that each region covers; the shares sum to 1."""
    counts = np.bincount(labels.ravel(), minlength=len(REGIONS)) / labels.size
    return {name: float(share) for name, share in zip(REGIONS, counts, strict=True)}


def sum_by_region(values: FloatArray, labels: IntArray) -> dict[str, float]:
    """Sum of a map ``[h, w]`` over each region."""
    sums = np.bincount(labels.ravel(), weights=values.ravel(), minlength=len(REGIONS))
    return {name: float(total) for name, total in zip(REGIONS, sums, strict=True)}
