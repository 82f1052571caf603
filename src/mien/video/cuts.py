"""Hard cuts: where a clip goes from one shot to another within a frame."""

from __future__ import annotations

import statistics
from collections import deque
from enum import IntEnum

import numpy as np

from mien.types import FloatArray, ImageArray

BINS = 4  # a colour, in the histogram of a thumbnail
SHARP = 22.0  # mean difference of pixels, 0 to 255, from which on all of the picture is new
HISTOGRAM = 0.25  # share of pixels that changed their colours, likewise
LOCAL = 35.0  # mean difference of the pixels that changed most: a part of the picture is new
PART = 0.05  # of the pixels, those that changed most
ABOVE = 3.0  # times as much as lately: a camera that moves makes large differences, too
RECENT = 12  # frames
STRUCTURE = 0.9  # correlation of two thumbnails that show the same in another light
ALIKE = 8.0  # mean difference of two thumbnails of the same shot
FLASH = 0.25  # seconds; a shot that is back sooner was not left


class Change(IntEnum):
    """How a frame follows on the one before."""

    NONE = 0
    POSSIBLE = 1  # a cut, should no face go on
    RETURN = 2  # to the shot that a flash of light had hidden
    CUT = 3


class CutDetector:
    """Compares each frame with the one before, by thumbnails ``[18, 32, 3] uint8``.

    A cut changes pixels and colours all over the picture, and more than the frames before it did.
    A change of a part of the picture alone, as between two speakers before the same wall, is
    :attr:`Change.POSSIBLE`, and so is one of the light alone: the faces tell.

    >>> detect, grey = CutDetector(), np.full((18, 32, 3), 90, np.uint8)
    >>> [detect(picture, time).name for time, picture in enumerate((grey, grey, 255 - grey))]
    ['NONE', 'NONE', 'CUT']
    """

    def __init__(self) -> None:
        self._last: ImageArray | None = None
        self._whole: deque[float] = deque(maxlen=RECENT)
        self._part: deque[float] = deque(maxlen=RECENT)
        self._left: tuple[float, ImageArray] | None = None  # when, and how it looked

    def __call__(self, thumbnail: ImageArray, time: float) -> Change:
        """How the frame with this thumbnail and time in seconds follows on the last one."""
        last, self._last = self._last, thumbnail
        if last is None:
            return Change.NONE
        pixels = np.abs(thumbnail.astype(np.int16) - last).mean(axis=2).ravel()
        whole = float(pixels.mean())
        count = max(int(PART * pixels.size), 1)
        part = float(np.partition(pixels, -count)[-count:].mean())
        sharp = (
            whole > max(SHARP, ABOVE * _usual(self._whole))
            and _colours(last, thumbnail) > HISTOGRAM
        )
        local = part > max(LOCAL, ABOVE * _usual(self._part))
        # a part that is new again and again, as where people move, becomes the usual
        self._whole.append(whole)
        self._part.append(part)
        if not sharp and not local:
            return Change.NONE
        if not sharp or _correlation(last, thumbnail) > STRUCTURE:
            return Change.POSSIBLE  # a part is new, or the light
        left, self._left = self._left, (time, last)
        if left is not None and time - left[0] <= FLASH and _difference(left[1], thumbnail) < ALIKE:
            self._left = None
            return Change.RETURN
        self._whole.clear()
        self._part.clear()
        return Change.CUT


def _usual(recent: deque[float]) -> float:
    return statistics.median(recent) if recent else 0.0


def _difference(a: ImageArray, b: ImageArray) -> float:
    return float(np.abs(a.astype(np.int16) - b).mean())


def _correlation(a: ImageArray, b: ImageArray) -> float:
    """How alike two thumbnails are but for their light, -1 to 1; 0 where one is flat."""
    x, y = (picture.mean(axis=2).ravel() - picture.mean() for picture in (a, b))
    norms = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / norms if norms else 0.0


def _colours(a: ImageArray, b: ImageArray) -> float:
    """Share of pixels, 0 to 1, by which the histograms of two thumbnails differ."""
    return 1.0 - float(np.minimum(_histogram(a), _histogram(b)).sum())


def _histogram(thumbnail: ImageArray) -> FloatArray:
    bins = thumbnail.reshape(-1, 3).astype(np.int64) * BINS // 256
    index = (bins[:, 0] * BINS + bins[:, 1]) * BINS + bins[:, 2]
    return np.bincount(index, minlength=BINS**3) / len(index)


class ShotChanges:
    """Changes since the last frame that was analysed, taken together.

    >>> since = ShotChanges()
    >>> for change in (Change.CUT, Change.RETURN, Change.POSSIBLE):
    ...     since.add(change)
    >>> since.take(), since.take()
    (<Change.POSSIBLE: 1>, <Change.NONE: 0>)
    """

    def __init__(self) -> None:
        self._found = Change.NONE

    def add(self, change: Change) -> None:
        """Take note of the change before one frame."""
        if change is Change.RETURN and self._found is Change.CUT:
            self._found = Change.NONE  # a flash between two looks
        else:
            self._found = max(self._found, change)

    def take(self) -> Change:
        """The change between this look and the one before."""
        found, self._found = self._found, Change.NONE
        return found
