"""Frames of a video: upright, RGB, with the times at which a player shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from mien.types import ImageArray, InputError
from mien.video.clip import Decoding, Scaler, Upright, frame_rate, open_clip
from mien.video.times import GrowingTimes
from mien.vision.memory import check_memory

SMALL = (32, 18)  # width and height of a thumbnail
HELD = 36  # bytes a pixel: some eight frames are held at a time, as decoded and as RGB


@dataclass(frozen=True, eq=False)
class Frame:
    """One upright frame; ``timestamp`` in seconds from the clip's start.

    Its pixels are made when they are asked for, so that frames that are not analysed cost little.
    """

    number: int  # from 0
    timestamp: float
    make: Callable[[], ImageArray]  # gives the pixels when they are asked for
    size: tuple[int, int]  # width and height of the image, in pixels
    make_small: Callable[[], ImageArray] | None = None  # a quicker way to the thumbnail

    @cached_property
    def image(self) -> ImageArray:
        """``[H, W, 3] uint8``, RGB."""
        return self.make()

    @cached_property
    def thumbnail(self) -> ImageArray:
        """``[18, 32, 3] uint8``, RGB, to compare frames by; it need not stand upright."""
        if self.make_small is not None:
            return self.make_small()
        import cv2

        return np.asarray(cv2.resize(self.image, SMALL, interpolation=cv2.INTER_AREA), np.uint8)

    @classmethod
    def of(cls, number: int, timestamp: float, image: ImageArray) -> Frame:
        """A frame of pixels that are there already, such as a camera's.

        Parameters
        ----------
        number
            From 0.
        timestamp
            Seconds from the start.
        image
            ``[H, W, 3] uint8``, RGB.
        """
        return cls(number, timestamp, lambda: image, (image.shape[1], image.shape[0]))


class read_frames:  # noqa: N801 - called like a function, it can be asked what went wrong
    """Iterate over the frames of a video; ``problem`` says afterwards where it broke off.

    ``count`` and ``end`` are the frames read so far and the time of the last one; ``file_end`` is
    where all of the file's streams ended, in seconds.

    Frames are turned upright and scaled to square pixels. A frame without a time, or with one
    that does not grow, is given one frame's length after the last. A file that breaks off ends
    the iteration, not the program: its frames so far have been yielded. Memory does not grow with
    the length.

    A frame of more than ``most_pixels``, where that is given, or than
    :func:`mien.vision.memory.budget` allows, raises InputError before its pixels are made: the
    size of frames may change within a clip.
    """

    def __init__(self, path: str | Path, *, most_pixels: int | None = None) -> None:
        self.path, self.most_pixels = str(path), most_pixels
        self.problem: str | None = None
        self.count = 0
        self.end = self.file_end = 0.0

    def __iter__(self) -> Iterator[Frame]:
        with open_clip(self.path) as container:
            decoding = Decoding(self.path, container)
            decoding.stream.thread_type = "AUTO"
            step = 1 / frame_rate(decoding.stream)
            times = GrowingTimes()
            scale, shrink = Scaler(), Scaler("AREA")
            for number, frame in enumerate(decoding):
                self.end = times(frame.time, step)
                self.count = number + 1
                self.problem, self.file_end = decoding.problem, decoding.end
                upright = Upright.of(frame, decoding.stream)
                self._check_size(number, *upright.size)
                yield Frame(
                    number,
                    self.end,
                    partial(upright, frame, scale),
                    upright.size,
                    partial(shrink, frame, *SMALL),
                )
            self.problem, self.file_end = decoding.problem, decoding.end

    def _check_size(self, number: int, width: int, height: int) -> None:
        check_memory(f"{self.path}: frame {number}", width * height * HELD)
        if self.most_pixels is not None and width * height > self.most_pixels:
            raise InputError(
                f"{self.path}: expected frames of at most {self.most_pixels / 1e6:g} million "
                f"pixels, got {width} x {height} at frame {number}; send a smaller clip"
            )
