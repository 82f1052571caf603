"""How a synthetic face is drawn: strokes in the face's own units, posed, lit and shrunk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from mien.data.scene import Muscles, Person, Pose, Scene
from mien.types import FloatArray, ImageArray, IntArray
from mien.vision.landmarks import LANDMARKS

FINE: Final = 4  # drawn so many times finer, so that edges are smooth after shrinking
DARK: Final = (35, 25, 25)
Colour = tuple[int, int, int]


class Pen:
    """Draws on a fine canvas in the face's units: x across and y down, the face within -1..1."""

    def __init__(self, pose: Pose, size: int) -> None:
        self.side = size * FINE
        self.canvas = np.zeros((self.side, self.side, 3), dtype=np.uint8)
        angle = np.deg2rad(pose.roll)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        self._matrix = turn * pose.scale * self.side * 0.46
        self._origin = (np.array(pose.shift) + 1) * self.side / 2
        self._yaw = pose.yaw

    def at(self, points: FloatArray) -> FloatArray:
        """Points ``[..., 2]`` in pixels of the canvas. What stands out moves more with the yaw."""
        x, y = points[..., 0], points[..., 1]
        depth = np.sqrt(np.clip(1 - (x / 1.05) ** 2, 0, 1))
        turned = x * (1 - 0.15 * abs(self._yaw)) + 0.2 * self._yaw * depth
        return np.asarray(np.stack([turned, y], axis=-1) @ self._matrix.T + self._origin)

    def pixels(self, points: Sequence[Sequence[float]] | FloatArray) -> IntArray:
        """Points as OpenCV takes them, in sixteenths of a pixel of the canvas."""
        return np.round(self.at(np.asarray(points, dtype=float)) * 16).astype(np.int32)

    def fill(self, points: Sequence[Sequence[float]] | FloatArray, colour: Colour) -> None:
        """A filled outline."""
        import cv2

        cv2.fillPoly(self.canvas, [self.pixels(points)], colour, cv2.LINE_AA, shift=4)

    def stroke(
        self, points: Sequence[Sequence[float]] | FloatArray, colour: Colour, width: float
    ) -> None:
        """A line through points; ``width`` in the face's units."""
        import cv2

        thick = max(round(width * self.side * 0.46), 1)
        cv2.polylines(self.canvas, [self.pixels(points)], False, colour, thick, cv2.LINE_AA, 4)


def curve(start: Sequence[float], bend: Sequence[float], end: Sequence[float]) -> FloatArray:
    """Twelve points of the parabola from ``start`` to ``end`` that passes through ``bend``."""
    t = np.linspace(0, 1, 12)[:, None]
    a, m, b = (np.asarray(p, dtype=float) for p in (start, bend, end))
    control = 2 * m - (a + b) / 2
    return np.asarray((1 - t) ** 2 * a + 2 * t * (1 - t) * control + t**2 * b)


def oval(x: float, y: float, wide: float, high: float) -> FloatArray:
    """An ellipse's outline ``[24, 2]``."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return np.column_stack([x + wide * np.cos(angle), y + high * np.sin(angle)])


def shade(colour: Colour, factor: float) -> Colour:
    """A colour made darker or lighter."""
    r, g, b = (int(min(max(c * factor, 0), 255)) for c in colour)
    return r, g, b


def picture(who: Person, muscles: Muscles, view: Scene, size: int) -> tuple[ImageArray, FloatArray]:
    """The face ``[size, size, 3]`` and its landmarks ``[24, 2]`` in pixels of it."""
    import cv2

    pen = Pen(view.pose, size)
    rng = np.random.default_rng(view.seed)
    _background(pen, view, rng)
    _head(pen, who)
    points: dict[str, Sequence[float]] = _frame(who)
    for side, name in ((-1, "left"), (1, "right")):
        points |= _eye(pen, who, muscles, side, name)
    points |= _nose(pen, who, muscles)
    points |= _mouth(pen, who, muscles)
    for side, name in ((-1, "left"), (1, "right")):
        points |= _brow(pen, who, muscles, side, name)
    if muscles.frown > 0:
        for side in (-1, 1):
            line = [(side * 0.035, -0.42), (side * 0.03, -0.3)]
            pen.stroke(line, shade(who.skin, 0.6), 0.022 * muscles.frown)
    _before(pen, who, view)
    shrunk = cv2.resize(pen.canvas, (size, size), interpolation=cv2.INTER_AREA)
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    light = view.gain * (1 + view.light[0] * ramp[None, :] + view.light[1] * ramp[:, None])
    lit = shrunk * light[:, :, None] + rng.normal(0, view.noise, shrunk.shape)
    landmarks = pen.at(np.array([points[name] for name in LANDMARKS], dtype=float)) / FINE - 0.5
    return np.clip(lit, 0, 255).astype(np.uint8), landmarks


def _background(pen: Pen, view: Scene, rng: np.random.Generator) -> None:
    import cv2

    pen.canvas[:] = view.background
    for _ in range(view.clutter):
        x, y = (int(v) for v in rng.integers(0, pen.side, 2))
        radius = int(rng.integers(pen.side // 20, pen.side // 5))
        r, g, b = (int(v) for v in rng.integers(0, 256, 3))
        if rng.random() < 0.5:
            cv2.circle(pen.canvas, (x, y), radius, (r, g, b), -1, cv2.LINE_AA)
        else:  # a smile that means nothing, among others
            end = int(rng.integers(90, 330))
            cv2.ellipse(
                pen.canvas,
                (x, y),
                (radius, radius // 2),
                0,
                0,
                end,
                (r, g, b),
                max(pen.side // 50, 1),
                cv2.LINE_AA,
            )


def _outline(who: Person) -> FloatArray:
    """Half an ellipse above, a jaw below."""
    angle = np.linspace(np.pi, 2 * np.pi, 24)
    top = np.column_stack([who.width * np.cos(angle), -0.1 + 0.8 * np.sin(angle)])
    right = curve((who.width, -0.1), (who.width * 0.86, 0.45), (who.jaw * 0.55, 0.86))
    under = curve((who.jaw * 0.55, 0.86), (0, 0.97), (-who.jaw * 0.55, 0.86))
    return np.vstack([top, right, under, right[::-1] * (-1, 1)])


def _head(pen: Pen, who: Person) -> None:
    neck = shade(who.skin, 0.82)
    if who.long_hair:
        pen.fill(oval(0, 0.05, who.width * 1.22, 1.05), who.hair)
    pen.fill([(-0.3, 0.6), (0.3, 0.6), (0.36, 1.6), (-0.36, 1.6)], neck)
    for side in (-1, 1):
        pen.fill(oval(side * who.width * 1.02, 0.02, 0.08, 0.17), shade(who.skin, 0.9))
    pen.fill(_outline(who), who.skin)
    angle = np.linspace(np.pi, 2 * np.pi, 24)
    cap = np.column_stack([who.width * 1.08 * np.cos(angle), -0.12 + 0.9 * np.sin(angle)])
    line = curve((who.width * 1.0, -0.28), (0.05, who.fringe + 0.02), (-who.width * 1.0, -0.28))
    pen.fill(np.vstack([cap, line]), who.hair)


def _frame(who: Person) -> dict[str, Sequence[float]]:
    return {
        "chin": (0, 0.92),
        "forehead": (0, who.fringe + 0.02),
        "side_left": (-who.width, 0),
        "side_right": (who.width, 0),
        "jaw_left": (-who.jaw * 0.8, 0.62),
        "jaw_right": (who.jaw * 0.8, 0.62),
    }


def _eye(
    pen: Pen, who: Person, muscles: Muscles, side: int, name: str
) -> dict[str, Sequence[float]]:
    import cv2

    x, y, half = side * who.eyes, -0.16, 0.125 * who.eye_size
    up = 0.062 * who.eye_size * max(1 + muscles.lids, 0.1)
    down = 0.045 * who.eye_size * max(1 + 0.5 * muscles.lids, 0.1)
    upper = curve((x - half, y), (x, y - up), (x + half, y))
    lower = curve((x + half, y), (x, y + down), (x - half, y))
    almond = np.vstack([upper, lower])
    pen.fill(almond, (240, 238, 234))
    # iris and pupil are cut to the opening of the lids, in the small part that they touch
    iris = oval(x, y - 0.005, 0.06, 0.06)
    touched = pen.at(np.vstack([almond, iris]))
    left, top = np.clip(touched.min(axis=0).astype(int) - 4, 0, pen.side)
    right, bottom = np.clip(touched.max(axis=0).astype(int) + 5, 0, pen.side)
    inside = np.zeros(pen.canvas.shape[:2], dtype=np.uint8)
    cv2.fillPoly(inside, [pen.pixels(almond)], 1, shift=4)
    part = pen.canvas[top:bottom, left:right]
    before = part.copy()
    pen.fill(iris, who.iris)
    pen.fill(oval(x, y - 0.005, 0.03, 0.03), (15, 12, 12))
    pen.fill(oval(x + 0.018, y - 0.025, 0.012, 0.012), (250, 250, 250))
    hidden = inside[top:bottom, left:right] == 0
    part[hidden] = before[hidden]
    pen.stroke(upper, DARK, 0.026)
    pen.stroke(lower, shade(who.skin, 0.6), 0.012)
    inner, outer = (x + half, x - half) if side < 0 else (x - half, x + half)
    return {f"eye_{name}_outer": (outer, y), f"eye_{name}_inner": (inner, y)}


def _brow(
    pen: Pen, who: Person, muscles: Muscles, side: int, name: str
) -> dict[str, Sequence[float]]:
    inner = (side * (0.15 - muscles.brow_together), -0.335 - muscles.brow_inner)
    outer = (side * (who.eyes + 0.15), -0.325 - muscles.brow_outer)
    lift = 0.045 - (muscles.brow_inner + muscles.brow_outer) / 2
    middle = (side * who.eyes, -0.335 + (lift - 0.09) if lift > 0 else -0.38 + lift)
    middle = (middle[0], min(middle[1], (inner[1] + outer[1]) / 2 - 0.02))
    line = curve(inner, middle, outer)
    pen.stroke(line, shade(who.hair, 0.8), 0.05 * who.brow)
    return {
        f"brow_{name}_outer": outer,
        f"brow_{name}_middle": middle,
        f"brow_{name}_inner": inner,
    }


def _nose(pen: Pen, who: Person, muscles: Muscles) -> dict[str, Sequence[float]]:
    dark = shade(who.skin, 0.68)
    tip, half = 0.2 * who.nose, 0.1 * who.nose
    rise = 0.045 * muscles.wrinkle
    flare = 1 + 0.25 * muscles.wrinkle
    pen.stroke([(0.04, -0.12), (0.065, tip - 0.09 - rise)], shade(who.skin, 0.85), 0.02)
    wing = half * flare
    pen.stroke(curve((-wing, tip - rise), (0, tip + 0.05), (wing, tip - rise)), dark, 0.022)
    for side in (-1, 1):
        pen.fill(oval(side * wing * 0.5, tip + 0.005 - rise / 2, 0.026, 0.016), DARK)
        ala = curve(
            (side * wing, tip - rise),
            (side * wing * 1.2, tip - 0.04 - rise),
            (side * wing * 0.95, tip - 0.09 - rise),
        )
        pen.stroke(ala, dark, 0.02)
    if muscles.wrinkle > 0:
        for i in range(3):
            y = -0.12 + 0.07 * i
            across = curve((-0.075, y), (0, y - 0.03), (0.075, y))
            pen.stroke(across, shade(who.skin, 0.55), 0.022 * min(muscles.wrinkle, 1.0))
    return {
        "nose_bridge": (0, -0.17),
        "nose_tip": (0, tip - 0.02),
        "nose_left": (-wing, tip),
        "nose_right": (wing, tip),
    }


def _mouth(pen: Pen, who: Person, muscles: Muscles) -> dict[str, Sequence[float]]:
    half = who.mouth * (1 + muscles.stretch)
    y = 0.52
    corner = y - muscles.smile
    left, right = (-half, corner), (half, corner)
    thin = 1 - 0.6 * min(muscles.press, 1.0)
    raised = 0.07 * muscles.sneer
    # the middle moves against the corners, as a smiling mouth is a bow
    middle = y + 0.25 * muscles.smile
    top = middle - 0.35 * muscles.gape - raised
    bottom = middle + 0.65 * muscles.gape + 0.25 * raised
    lip_up, lip_down = 0.045 * thin, 0.06 * thin
    gap = bottom - top
    if gap <= 0.2:
        edge_up = curve(left, (0, top - lip_up), right)
        edge_down = curve(right, (0, bottom + lip_down), left)
        pen.fill(np.vstack([edge_up, edge_down]), who.lip)
    inside_up, inside_down = curve(left, (0, top), right), curve(right, (0, bottom), left)
    if gap > 0.2:  # wide open: round, not a bow
        centre = (top + bottom) / 2
        pen.fill(oval(0, centre, half, gap / 2 + lip_up), who.lip)
        pen.fill(oval(0, centre, half - 0.05, gap / 2), (70, 20, 25))
    elif gap > 0.03:
        pen.fill(np.vstack([inside_up, inside_down]), (70, 20, 25))
        if muscles.teeth > 0 or muscles.sneer > 0:
            shown = min(0.085, 0.6 * gap)
            tooth = curve((right[0] * 0.9, right[1]), (0, top + shown), (left[0] * 0.9, left[1]))
            pen.fill(np.vstack([inside_up[1:-1], tooth]), (244, 242, 236))
    else:
        pen.stroke(inside_up, shade(who.lip, 0.45), 0.02)
    return {
        "mouth_left": left,
        "mouth_right": right,
        "lip_top": (0, top - lip_up),
        "lip_bottom": (0, bottom + lip_down),
    }


def _before(pen: Pen, who: Person, view: Scene) -> None:
    if who.glasses:
        for side in (-1, 1):
            ring = oval(side * who.eyes, -0.14, 0.2, 0.15)
            pen.stroke(np.vstack([ring, ring[:1]]), (30, 30, 36), 0.024)
            temple = [(side * (who.eyes + 0.2), -0.15), (side * who.width, -0.12)]
            pen.stroke(temple, (30, 30, 36), 0.02)
        bridge = curve((-who.eyes + 0.2, -0.16), (0, -0.19), (who.eyes - 0.2, -0.16))
        pen.stroke(bridge, (30, 30, 36), 0.022)
    if view.cover is not None:
        x, y, wide, high = view.cover
        pen.fill(oval(x, y, wide, high), shade(view.background, 0.7))
