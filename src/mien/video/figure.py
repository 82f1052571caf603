"""Pictures of a clip: stacked probabilities of each face over time, and the peaks' sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from mien.emotions import COLOURS
from mien.results import draw
from mien.results.predictions import brief
from mien.types import FloatArray, ImageArray
from mien.video.summary import FaceSummary, Peak

LEFT, WIDTH, HEIGHT = 110, 1000, 120  # pixels of the plots
MOST = 8  # faces that are drawn


def clock(seconds: float) -> str:
    """Minutes and seconds of a time in a clip.

    >>> clock(75.25), clock(3725)
    ('1:15.2', '1:02:05')
    """
    if seconds >= 3600:
        return f"{int(seconds) // 3600}:{int(seconds) // 60 % 60:02d}:{int(seconds) % 60:02d}"
    return f"{int(seconds) // 60}:{seconds % 60:04.1f}"


def timeline(
    series: Mapping[int, FloatArray],
    faces: Sequence[FaceSummary],
    labels: Sequence[str],
    end: float,
) -> ImageArray:
    """Stacked probabilities over time, one strip per face; white where a face is not seen.

    ``series`` holds ``[bins, K]`` per face over 0..``end`` seconds.
    """
    shown = list(faces[:MOST])
    parts: list[draw.Part] = [_legend(labels)]
    for face in shown:
        strip = _strip(series[face.face_id], labels)
        parts.append(draw.side_by_side([_name(face), strip], 0))
    if len(faces) > len(shown):
        text = f"and {len(faces) - len(shown)} faces that were in sight for a shorter time"
        parts.append(draw.wrapped(text, WIDTH, 13, draw.PALE))
    if not shown:
        parts.append(draw.wrapped("no face was found", WIDTH, 15))
    parts.append(_axis(end))
    return draw.frame(draw.stack(parts, 10), 16).raster()


def _strip(values: FloatArray, labels: Sequence[str]) -> ImageArray:
    columns = np.arange(WIDTH) * len(values) // WIDTH
    values = values[columns]  # [WIDTH, K]
    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    seen = ~np.isnan(values[:, 0])
    # from the bottom up, in the order of the labels
    edges = np.cumsum(np.nan_to_num(values), axis=1) * HEIGHT
    heights = HEIGHT - 1 - np.arange(HEIGHT)[:, None] + 0.5
    for k in reversed(range(len(labels))):
        inside = (heights <= edges[None, :, k]) & seen
        picture[inside] = COLOURS.get(labels[k], draw.FOR)
    picture[[0, -1]] = draw.RULE
    return picture


def _name(face: FaceSummary) -> ImageArray:
    picture = Image.new("RGB", (LEFT, HEIGHT), draw.PAPER)
    pen = ImageDraw.Draw(picture)
    most = max(face.shares, key=lambda name: face.shares[name])
    pen.text((0, 6), f"face {face.face_id}", fill=draw.INK, font=draw.font(15))
    for i, line in enumerate(
        (f"{face.seconds:.1f} s in sight", most, f"{face.shares[most]:.0%} of it")
    ):
        pen.text((0, 34 + 18 * i), line, fill=draw.PALE, font=draw.font(13))
    return np.array(picture)


def _legend(labels: Sequence[str]) -> ImageArray:
    picture = Image.new("RGB", (LEFT + WIDTH, 20), draw.PAPER)
    pen = ImageDraw.Draw(picture)
    x = float(LEFT)
    for label in labels:
        pen.rectangle((x, 3, x + 13, 16), fill=COLOURS.get(label, draw.FOR))
        pen.text((x + 19, 10), label, fill=draw.INK, font=draw.font(13), anchor="lm")
        x += 19 + pen.textlength(label, font=draw.font(13)) + 22
    return np.array(picture)


def _axis(end: float) -> ImageArray:
    picture = Image.new("RGB", (LEFT + WIDTH + 40, 34), draw.PAPER)
    pen = ImageDraw.Draw(picture)
    pen.line((LEFT, 2, LEFT + WIDTH, 2), fill=draw.PALE)
    for i in range(6):
        x = LEFT + WIDTH * i / 5
        pen.line((x, 2, x, 8), fill=draw.PALE)
        pen.text((x, 12), clock(end * i / 5), fill=draw.PALE, font=draw.font(13), anchor="ma")
    pen.text((0, 4), "probability", fill=draw.PALE, font=draw.font(13))
    return np.array(picture)


def sheet(peaks: Sequence[Peak]) -> ImageArray:
    """The aligned face at each expression's strongest moment, with its score and time."""
    if not peaks:
        return draw.frame(draw.wrapped("no face was found", 400, 15), 16).raster()
    cells = []
    for peak in peaks:
        caption = Image.new("RGB", (192, 46), draw.PAPER)
        pen = ImageDraw.Draw(caption)
        pen.rectangle((0, 0, 191, 5), fill=COLOURS.get(peak.emotion, draw.FOR))
        title = f"{peak.emotion} {brief(peak.score)}"
        pen.text((0, 9), title, fill=draw.INK, font=draw.font(15))
        where = f"face {peak.face_id}, {clock(peak.timestamp)}, frame {peak.frame:,}"
        pen.text((0, 29), where, fill=draw.PALE, font=draw.font(12))
        cells.append(draw.stack([peak.picture, np.array(caption)]))
    rows = [draw.side_by_side(cells[i : i + 4], 14) for i in range(0, len(cells), 4)]
    return draw.frame(draw.stack(rows, 14), 16).raster()
