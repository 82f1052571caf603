"""Frames with what was found drawn on them: boxes, names, bars, and the evidence on request."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from mien.emotions import COLOURS
from mien.results import draw
from mien.results.predictions import brief
from mien.types import FloatArray, ImageArray, Prediction
from mien.video.frames import Tracked
from mien.video.layout import Layout
from mien.vision.crops import Crop
from mien.vision.geometry import DISPLAY, invert, transform

OPACITY = 0.55  # of the strongest evidence: the face stays in sight
DOT = 0.012  # of the longer side of a face's box: the radius of a landmark's dot
_SUB = 4  # bits of a pixel's fractions, for dots
DECAY = 0.995  # per frame, of the value at which colours are full


class Annotator:
    """Draws the faces of one frame after another.

    Evidence is drawn in vermilion (for) and blue (against). Its colours are full at the largest
    value of late, which falls by half a percent a frame, so that the picture does not flicker.
    """

    def __init__(self, *, landmarks: bool = False) -> None:
        self._landmarks = landmarks
        self._limit = 0.0
        self._layout = Layout()

    def __call__(self, image: ImageArray, faces: Sequence[Tracked]) -> ImageArray:
        """A copy of the frame ``[H, W, 3]`` with its faces drawn."""
        canvas = image.copy()
        maps = [face.evidence for face in faces if face.evidence is not None]
        if maps:
            strongest = max(float(np.abs(values).max()) for values in maps)
            self._limit = max(self._limit * DECAY, strongest, 1e-9)
        for face in faces:
            if face.evidence is not None:
                shade(canvas, face.crop.matrix, face.evidence, self._limit, signed=face.signed)
        if self._landmarks:
            for face in faces:
                dot(canvas, face.crop)
        picture = Image.fromarray(canvas)
        unit = max(min(image.shape[:2]) // 45, 9)  # pixels of the text
        labels = [_Label(face.prediction, unit) for face in faces]
        panels = [bars(face.prediction, max(round(0.8 * unit), 8)) for face in faces]
        places = self._layout(
            picture.size,
            {row.face_id or 0: row.box for row in (f.prediction for f in faces) if row.box},
            [label.size for label in labels],
            [panel.size for panel in panels],
        )
        # all panels first: no panel hides a name
        for panel, place in zip(panels, places, strict=True):
            if place.panel is not None:
                picture.paste(panel, place.panel, Image.new("L", panel.size, 205))
        for label, place in zip(labels, places, strict=True):
            label.draw(picture, place.label)
        return np.asarray(picture)


def shade(
    canvas: ImageArray,
    matrix: FloatArray,
    values: FloatArray,
    limit: float,
    *,
    signed: bool = True,
) -> None:
    """Lay a map ``[h, w]`` over the crop that ``matrix`` cuts from the canvas, in place."""
    import cv2

    corners = transform(
        np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]]) * DISPLAY - 0.5, invert(matrix)
    )
    size = np.array([canvas.shape[1], canvas.shape[0]])
    low = np.clip(np.floor(corners.min(axis=0)).astype(int), 0, size)
    high = np.clip(np.ceil(corners.max(axis=0)).astype(int) + 1, 0, size)
    if (high <= low).any():
        return
    # from pixels of this part of the canvas to cells of the map
    cells = np.array([values.shape[1], values.shape[0]]) / DISPLAY
    offset = matrix[:, 2] + matrix[:, :2] @ low + 0.5
    to_cells = np.column_stack([matrix[:, :2] * cells[:, None], offset * cells - 0.5])
    width, height = (int(v) for v in high - low)
    strength = cv2.warpAffine(
        np.clip(values / limit, -1, 1).astype(np.float32),
        to_cells,
        (width, height),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderValue=(0.0,),
    )[..., None]
    part = canvas[low[1] : high[1], low[0] : high[0]]
    colour = np.where(strength >= 0, draw.FOR if signed else draw.LOOK, draw.AGAINST)
    alpha = OPACITY * np.abs(strength)
    part[:] = (part * (1 - alpha) + colour * alpha).astype(np.uint8)


def dot(canvas: ImageArray, crop: Crop) -> None:
    """Put a yellow dot in a dark ring on each of a face's landmarks, in place."""
    import cv2

    points = transform(crop.landmarks * DISPLAY - 0.5, invert(crop.matrix))
    radius = max(DOT * max(crop.face.box[2:]), 1.5)
    for around, colour in ((1.0, draw.INK), (0.0, draw.PLACE)):
        for x, y in points:
            place = (round(float(x) * 2**_SUB), round(float(y) * 2**_SUB))
            reach = round((radius + around) * 2**_SUB)
            cv2.circle(canvas, place, reach, colour, cv2.FILLED, cv2.LINE_AA, _SUB)


class _Label:
    """A face's box, and its number, expression and score on a plate."""

    def __init__(self, row: Prediction, unit: int) -> None:
        assert row.dominant_emotion is not None
        assert row.score is not None
        self.row, self.unit = row, unit
        self.text = f"{row.face_id}  {row.dominant_emotion} {brief(row.score)}"
        self.colour = COLOURS.get(row.dominant_emotion, draw.FOR)
        self.size = (round(draw.font(unit).getlength(self.text)) + unit, round(1.5 * unit))

    def draw(self, picture: Image.Image, place: tuple[int, int]) -> None:
        """Draw the box, and the plate with its left upper corner at a place."""
        assert self.row.box is not None
        pen, unit = ImageDraw.Draw(picture), self.unit
        x, y, width, height = self.row.box
        box = (x, y, x + max(width, 1), y + max(height, 1))
        pen.rectangle(box, outline=self.colour, width=max(unit // 6, 2))
        left, top = place
        wide, tall = self.size
        pen.rectangle((left, top, left + wide, top + tall), fill=self.colour)
        ink = draw.INK if sum(self.colour) > 330 else draw.PAPER
        where = (left + unit // 2, top + tall / 2)
        pen.text(where, self.text, fill=ink, font=draw.font(unit), anchor="lm")


def bars(row: Prediction, unit: int) -> Image.Image:
    """The probabilities of one face as a small panel of bars; ``unit`` is the text's height."""
    step, name_width, length = round(1.35 * unit), round(4.6 * unit), 5 * unit
    size = (name_width + length + unit, step * len(row.emotions) + unit // 2)
    panel = Image.new("RGB", size, draw.PAPER)
    pen = ImageDraw.Draw(panel)
    for i, (name, p) in enumerate(row.emotions.items()):
        middle = unit // 4 + (i + 0.5) * step
        ink = draw.INK if name == row.dominant_emotion else draw.PALE
        pen.text(
            (name_width - unit // 3, middle), name, fill=ink, font=draw.font(unit), anchor="rm"
        )
        end = name_width + max(length * p, 1)
        box = (name_width, middle - 0.35 * unit, end, middle + 0.35 * unit)
        pen.rectangle(box, fill=COLOURS.get(name, draw.FOR))
    return panel
