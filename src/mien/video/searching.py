"""The faces in a clip's frames: searched now and then, and followed between two searches."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from mien.types import Box, Face, FloatArray
from mien.video.cuts import Change
from mien.video.reader import Frame
from mien.video.track import overlap
from mien.vision.stream import read_ahead

if TYPE_CHECKING:
    from mien.vision.faces import Detector

SEARCHERS: Final = 2  # threads that look for faces
SAME: Final = 0.5  # overlap from which two boxes, a moment apart, are the same face
WAITING: Final = 12_000_000  # pixels of frames that wait for the next search


@dataclass(frozen=True, eq=False)
class Sampled:
    """A frame that was read, and how it follows on the last one that was analysed."""

    frame: Frame
    analysed: bool
    change: Change
    found: list[Face] | None = None  # None: not searched yet

    @property
    def pixels(self) -> int:
        """How many its image has."""
        return self.frame.size[0] * self.frame.size[1]


def find_faces(
    frames: Iterable[Sampled], detector: Detector, seconds: float
) -> Generator[Sampled, None, None]:
    """The same frames with their faces, those that are analysed, in order.

    Frames that are ``seconds`` apart are searched, in threads where the detector may be asked by
    several. Where two searches find the same faces, those of the frames between lie between them,
    as where people move evenly; where a face came or left, another shot began, or the detector
    gives landmarks, which may have moved otherwise, every frame between is searched as well.

    Parameters
    ----------
    frames
        In order.
    detector
        What finds the faces.
    seconds
        Of the clip, between searches; 0 searches every frame.
    """
    searchers = SEARCHERS if detector.threads else 0
    search = partial(_searched, detector)
    with (
        closing(read_ahead(_marked(frames, seconds), search, searchers, ahead=2)) as first,
        closing(read_ahead(_between(first), search, searchers, ahead=2)) as rest,
    ):
        for one, _ in rest:
            yield one


def _marked(frames: Iterable[Sampled], seconds: float) -> Iterator[tuple[Sampled, bool]]:
    """Frames, and whether each is to be searched in any case."""
    last, waiting = -np.inf, 0
    for one in frames:
        due = False
        if one.analysed:
            waiting += one.pixels
            # half a millisecond for clips whose times are rounded
            late = one.frame.timestamp > last + seconds - 5e-4
            due = late or one.change is not Change.NONE or waiting > WAITING
        if due:
            last, waiting = one.frame.timestamp, 0
        yield one, due


def _searched(detector: Detector, item: tuple[Sampled, bool]) -> tuple[Sampled, bool]:
    """The same frame with its faces, where it is to be searched."""
    one, due = item
    return (replace(one, found=detector(one.frame.image)), False) if due else item


def _between(frames: Iterable[tuple[Sampled, bool]]) -> Iterator[tuple[Sampled, bool]]:
    """Frames with their faces, or marked to be searched."""
    start: Sampled | None = None
    held: list[Sampled] = []  # since then
    for one, _ in frames:
        if one.found is None:
            held.append(one)
            continue
        yield from _filled(start, held, one)
        yield one, False
        start, held = one, []
    yield from _filled(start, held, None)


def _filled(
    start: Sampled | None, held: list[Sampled], end: Sampled | None
) -> Iterator[tuple[Sampled, bool]]:
    pairs = None
    if start is not None and end is not None and end.change is Change.NONE:
        assert start.found is not None
        assert end.found is not None
        pairs = same_faces(start.found, end.found)
    for one in held:
        if not one.analysed:
            yield one, False
        elif pairs is None or start is None or end is None:
            yield one, True
        else:
            passed = one.frame.timestamp - start.frame.timestamp
            part = passed / (end.frame.timestamp - start.frame.timestamp)
            yield replace(one, found=[_part_way(*pair, part) for pair in pairs]), False


def same_faces(before: list[Face], after: list[Face]) -> list[tuple[Face, Face]] | None:
    """Pairs of the same face, a moment apart; None where one came, left or cannot be told.

    >>> one, other = Face((0, 0, 9, 9), 0.9, "yunet"), Face((30, 0, 9, 9), 0.9, "yunet")
    >>> same_faces([one, other], [one, other]) == [(one, one), (other, other)]
    True
    >>> same_faces([one], [other]) is None
    True
    """
    if len(before) != len(after) or any(face.landmarks is not None for face in before + after):
        return None
    if not before:
        return []
    shared = overlap(_boxes(before), _boxes(after))
    partners = shared.argmax(axis=1)
    if len(set(partners.tolist())) < len(before) or shared.max(axis=1).min() < SAME:
        return None
    return [(face, after[k]) for face, k in zip(before, partners, strict=True)]


def _boxes(faces: list[Face]) -> FloatArray:
    return np.array([face.box for face in faces], dtype=np.float64)


def _part_way(before: Face, after: Face, part: float) -> Face:
    """A face on the way from one place to another."""
    x, y, width, height = (float(v) for v in _mixed(_boxes([before]), _boxes([after]), part)[0])
    box: Box = (x, y, width, height)
    confidence, anchors = before.confidence, before.anchors
    if confidence is not None and after.confidence is not None:
        confidence += part * (after.confidence - confidence)
    if anchors is not None and after.anchors is not None:
        anchors = _mixed(anchors, after.anchors, part)
    return replace(before, box=box, confidence=confidence, anchors=anchors)


def _mixed(before: FloatArray, after: FloatArray, part: float) -> FloatArray:
    return np.asarray(before + part * (after - before))
