"""Faces followed from frame to frame: the Hungarian method on overlap and appearance."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from mien import extras
from mien.types import Box, FloatArray, ImageArray
from mien.video.cuts import Change
from mien.vision.geometry import shrink

PATCH = 12  # cells a side of the picture by which a face is known again
TOUCHING = 0.1  # overlap above which a face may be the one that was expected there
SAME = 0.12  # distance of appearances up to which a face that was away is the same
OTHER = 0.25  # distance above which nobody is the same, however well the boxes overlap
STEADY = 0.02  # distance that a face goes from frame to frame: 96 of 100 stay below
AWAY = 0.5  # seconds unseen after which a face was away
LEARN = 0.15  # how much of each new appearance is taken over


def appearance(image: ImageArray, box: Box) -> FloatArray:
    """What a face and its hair look like, ``[12 * 12 * 3]`` of length 1, free of brightness."""
    x, y, width, height = box
    x0, y0 = int(max(x - 0.15 * width, 0)), int(max(y - 0.3 * height, 0))
    x1, y1 = int(x + 1.15 * width) + 1, int(y + 1.1 * height) + 1
    part = image[y0:y1, x0:x1]
    if not part.size:
        return np.zeros(PATCH * PATCH * 3)
    if min(part.shape[:2]) > 4 * PATCH:
        part = shrink(part, 4 * PATCH / min(part.shape[:2]))
    rows = np.linspace(0, part.shape[0], PATCH + 1).astype(int)[:-1]
    columns = np.linspace(0, part.shape[1], PATCH + 1).astype(int)[:-1]
    if min(part.shape[:2]) < PATCH:
        values = part[rows][:, columns].astype(np.float64)
    else:
        values = np.add.reduceat(np.add.reduceat(part, rows, 0, dtype=np.float64), columns, 1)
    # each colour keeps its share of the light, so that skin and hair tell people apart; black is
    # like black
    values = values.ravel() / max(float(values.mean()), 1e-9) + 1e-6
    return np.asarray(values / max(float(np.linalg.norm(values)), 1e-9))


def overlap(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """Intersection over union ``[N, M]`` of boxes ``[N, 4]`` and ``[M, 4]``, x, y, w, h.

    >>> overlap(np.array([[0, 0, 2, 2.0]]), np.array([[1, 0, 2, 2.0], [5, 5, 1, 1]])).round(2)
    array([[0.33, 0.  ]])
    """
    a, b = boxes[:, None], others[None]
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    whole = a[..., 2:].prod(axis=-1) + b[..., 2:].prod(axis=-1) - shared
    return np.asarray(shared / np.maximum(whole, 1e-9))


@dataclass
class Track:
    """One face over time; ``speed`` is that of its box's centre in pixels per second."""

    face_id: int
    box: FloatArray  # [4]
    look: FloatArray  # a mean over time
    seen: float  # seconds
    latest: FloatArray  # how it looked when it was last seen
    speed: FloatArray = field(default_factory=lambda: np.zeros(2))

    def expected(self, time: float) -> FloatArray:
        """Where its box should be now, were it to move on as it did."""
        # half a second is as far as a face goes on straight
        moved = self.speed * min(time - self.seen, 0.5)
        return np.concatenate([self.box[:2] + moved, self.box[2:]])


class Tracker:
    """Gives each face an id that it keeps within a shot; an id is never given twice.

    A face that leaves is remembered for ``memory`` seconds and known again by its looks. A cut
    ends all that: a face of the new shot is a new one. ``new_shot`` tells whether the last frame
    began one, ``resumed`` whether the shot before goes on after all, as after a flash of light.

    >>> tracker, picture = Tracker(), np.zeros((50, 50, 3), np.uint8)
    >>> tracker.update(0.0, picture, [(0, 0, 9, 9), (30, 30, 9, 9)])
    [0, 1]
    >>> tracker.update(0.1, picture, [(31, 30, 9, 9), (1, 0, 9, 9)])
    [1, 0]
    >>> tracker.update(0.2, picture, [(31, 30, 9, 9), (1, 0, 9, 9)], Change.CUT)
    [2, 3]
    """

    def __init__(self, memory: float = 2.0) -> None:
        self.memory = memory
        self.tracks: list[Track] = []
        self.new_shot = self.resumed = False
        self._hidden: list[Track] = []  # tracks of the shot before
        self._doubt = False  # whether there may have been a cut since the last face
        self._time = 0.0  # of the last frame
        self._next = 0

    def update(
        self, time: float, image: ImageArray, boxes: list[Box], change: Change = Change.NONE
    ) -> list[int]:
        """Ids of the faces in one frame, in their order."""
        self._follow_shots(change)
        self.tracks = [t for t in self.tracks if time - t.seen <= self.memory]
        looks = [appearance(image, box) for box in boxes]
        matched = self._matched(time, boxes, looks)
        if self._doubt and boxes and self.tracks:
            self._doubt = False
            visible = sum(track.seen == self._time for track in self.tracks)
            if len(matched) < max(min(visible, len(boxes)), 1):
                self._end_shot()  # where one face is another's, the one beside it may be, too
                matched = []
        ids: list[int] = [-1] * len(boxes)
        for track, k in matched:
            self._follow(track, time, np.asarray(boxes[k], dtype=np.float64), looks[k])
            ids[k] = track.face_id
        for k, box in enumerate(boxes):
            if ids[k] < 0:
                ids[k] = self._next
                where = np.asarray(box, dtype=np.float64)
                self.tracks.append(Track(self._next, where, looks[k], time, looks[k]))
                self._next += 1
        self._time = time
        return ids

    def _follow_shots(self, change: Change) -> None:
        self.new_shot = self.resumed = False
        if change is Change.CUT:
            self._end_shot()
        elif change is Change.RETURN:
            self.tracks, self._hidden = self._hidden, []
            self.resumed = True
        elif change is Change.POSSIBLE and self.tracks:
            self._doubt = True

    def _end_shot(self) -> None:
        self._hidden, self.tracks = self.tracks, []
        self._doubt, self.new_shot = False, True

    def _matched(
        self, time: float, boxes: list[Box], looks: list[FloatArray]
    ) -> list[tuple[Track, int]]:
        if not boxes or not self.tracks:
            return []
        optimize = extras.need("scipy.optimize", "video", "following faces")
        shared = overlap(
            np.stack([t.expected(time) for t in self.tracks]), np.asarray(boxes, dtype=np.float64)
        )
        current = np.stack(looks).T
        distance = 1 - np.stack([t.look for t in self.tracks]) @ current
        if self._doubt:  # only a face that goes on as if nothing had happened is the same
            step = 1 - np.stack([t.latest for t in self.tracks]) @ current
            allowed = (shared > TOUCHING) & (np.minimum(step, distance) < STEADY)
        else:
            away = [t.seen < self._time and time - t.seen > AWAY for t in self.tracks]
            most = np.where(away, SAME, OTHER)[:, None]
            allowed = ((shared > TOUCHING) & (distance < most)) | (distance < SAME / 2)
        # overlap decides, looks settle what it leaves open: people who cross, faces that jump
        cost = (1 - shared) + np.clip(distance / SAME, 0, 2)
        rows, columns = optimize.linear_sum_assignment(np.where(allowed, cost, 1e3))
        return [
            (self.tracks[r], int(c)) for r, c in zip(rows, columns, strict=True) if allowed[r, c]
        ]

    @staticmethod
    def _follow(track: Track, time: float, box: FloatArray, look: FloatArray) -> None:
        passed = max(time - track.seen, 1e-3)
        moved = (box[:2] + box[2:] / 2) - (track.box[:2] + track.box[2:] / 2)
        track.speed = 0.5 * track.speed + 0.5 * moved / passed
        blended = (1 - LEARN) * track.look + LEARN * look
        track.look = blended / max(float(np.linalg.norm(blended)), 1e-9)
        track.box, track.seen, track.latest = box, time, look
