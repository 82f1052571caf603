"""Things to try: the portrait, and faces and a clip that are drawn when first asked for."""

from __future__ import annotations

import io
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any, Final

import numpy as np
from PIL import Image

from mien import extras
from mien.data.scene import MUSCLES, Muscles, person, scene
from mien.data.strokes import picture
from mien.types import ImageArray

#: Drawn faces, by their names: a person and an expression, and what they are called.
FACES: Final = {
    "happy": (24, "a drawn smile"),
    "surprise": (25, "drawn surprise"),
    "sad": (23, "drawn sadness"),
    "angry": (19, "drawn anger"),
    "fear": (16, "drawn fear"),
}
GROUP: Final = ((24, "happy"), (18, "neutral"), (25, "surprise"), (19, "angry"), (23, "sad"))
SIDE: Final = 320  # pixels of a drawn face
CLIP: Final = (480, 270)  # pixels of the clip
RATE: Final = 12  # frames per second
#: What the clip's two persons do: an expression and its strength, every quarter of a second.
LEFT: Final = (0, 0, 1, 2, 3, 3, 3, 3, 2, 1, 0, 0, 0, 0, 0, 0)  # of three steps
RIGHT: Final = (0, 0, 0, 0, 0, 0, 1, 2, 3, 3, 3, 3, 3, 2, 1, 0)


def listed() -> list[dict[str, str]]:
    """What the page shows: addresses, names of files, descriptions.

    >>> [one["name"] for one in listed()][:2]
    ['astronaut.jpg', 'drawn-happy.jpg']
    """
    drawn = [
        {"url": f"/examples/{name}.jpg", "name": f"drawn-{name}.jpg", "title": title}
        for name, (_, title) in FACES.items()
    ]
    group = {"url": "/examples/group.jpg", "name": "drawn-group.jpg", "title": "a drawn group"}
    portrait = {"url": "/static/example.jpg", "name": "astronaut.jpg", "title": "a portrait"}
    return [portrait, *drawn, group]


@cache
def drawn_photo(name: str) -> bytes | None:
    """A drawn face, or the group, as a JPEG file; None for another name."""
    if name == "group":
        image = _group()
    elif name in FACES:
        image = _face(FACES[name][0], MUSCLES[name], SIDE)
    else:
        return None
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


@cache
def drawn_clip() -> bytes:
    """Four seconds of two drawn persons as an MP4 file; MissingExtraError without PyAV."""
    av = extras.need("av", "video", "the clip")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=RATE)
        stream.width, stream.height = CLIP
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "20"}
        frames = [_frame(left, right) for left, right in zip(LEFT, RIGHT, strict=True)]
        for n in range(len(frames) * RATE // 4):
            frame: Any = av.VideoFrame.from_ndarray(frames[n * 4 // RATE], format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return buffer.getvalue()


@cache
def _face(who: int, muscles: Muscles, side: int) -> ImageArray:
    view = replace(scene(np.random.default_rng(who), False), clutter=0, noise=0)
    return picture(person(who), muscles, view, side)[0]


def _group() -> ImageArray:
    """Five persons beside one another, some further back."""
    canvas = np.full((420, 1030, 3), (203, 209, 214), np.uint8)
    for i, (who, name) in enumerate(GROUP):
        side = 200 if i % 2 else 230
        top, left = (30 if i % 2 else 150), 8 + 193 * i
        _paste(canvas, _face(who, MUSCLES[name], side), top, left)
    return canvas


@cache
def _frame(left: int, right: int) -> ImageArray:
    canvas = np.full((CLIP[1], CLIP[0], 3), (96, 104, 118), np.uint8)
    _paste(canvas, _face(23, MUSCLES["happy"].scaled(left / 3), 190), 40, 25)
    _paste(canvas, _face(27, MUSCLES["surprise"].scaled(right / 3), 190), 40, 265)
    return canvas


def _paste(canvas: ImageArray, face: ImageArray, top: int, left: int) -> None:
    """A face in an oval, so that its background does not show as a square."""
    side = len(face)
    across = (np.arange(side) + 0.5) / side * 2 - 1
    far = across[None] ** 2 + across[:, None] ** 2
    share = np.clip((1 - far) * side / 4, 0, 1)[..., None]
    part = canvas[top : top + side, left : left + side]
    part[:] = np.round(part * (1 - share) + face * share)
