"""What a clip comes to: time per expression, changes, peaks; kept while the clip runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mien.types import FloatArray, ImageArray
from mien.video.frames import FrameResult, Tracked

GAP = 1.0  # seconds; a face that is away for longer was out of sight meanwhile
COLUMNS = 1000  # of a timeline's picture
PICTURED = 24  # faces whose strongest moments are kept as pictures, 0.9 MB each at most


@dataclass(frozen=True, eq=False)
class Peak:
    """The frame in which an expression was strongest."""

    emotion: str  # the expression
    score: float  # its smoothed probability
    face_id: int  # of which face
    frame: int  # in which frame
    timestamp: float  # in seconds
    picture: ImageArray = field(repr=False)  # [192, 192, 3], the aligned face

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields, without the picture."""
        return {
            "emotion": self.emotion,
            "score": self.score,
            "face_id": self.face_id,
            "frame": self.frame,
            "timestamp": self.timestamp,
        }


@dataclass(frozen=True)
class FaceSummary:
    """One face over the whole clip.

    ``shares`` are parts of the time in sight by dominant expression and sum to 1; ``means`` are
    mean probabilities; ``transitions`` count changes of the dominant expression, from and to.
    """

    face_id: int  # its number
    first: float  # seconds
    last: float  # seconds
    seconds: float  # in sight
    frames: int  # analysed
    shares: dict[str, float]
    means: dict[str, float]
    transitions: dict[tuple[str, str], int]
    peaks: dict[str, tuple[float, float]]  # expression -> score and time of its strongest frame

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return {
            "face_id": self.face_id,
            "first": self.first,
            "last": self.last,
            "seconds": self.seconds,
            "frames": self.frames,
            "shares": dict(self.shares),
            "means": dict(self.means),
            "transitions": [
                {"from": a, "to": b, "count": n} for (a, b), n in self.transitions.items()
            ],
            "peaks": {name: {"score": s, "timestamp": t} for name, (s, t) in self.peaks.items()},
        }


@dataclass(eq=False)
class _Face:
    """Sums of one face; ``bins`` hold its timeline at the resolution of the picture."""

    first: float
    last: float
    answer: str
    step: float  # seconds for which its last frame stands
    seconds: float = 0.0
    frames: int = 0
    time_by_answer: dict[str, float] = field(default_factory=dict)
    total: FloatArray | None = None
    transitions: dict[tuple[str, str], int] = field(default_factory=dict)
    peaks: dict[str, tuple[float, float]] = field(default_factory=dict)
    moments: dict[str, Peak] = field(default_factory=dict)  # of the expressions that led
    bins: dict[int, FloatArray] = field(default_factory=dict)  # sums of probabilities and a count


class Collector:
    """Takes the results frame by frame and holds sums only.

    ``interval`` is the time in seconds between analysed frames. The timeline's bins
    are doubled whenever the clip outgrows :data:`COLUMNS` of them.
    """

    def __init__(self, labels: Sequence[str], interval: float = 0.04) -> None:
        self.labels = tuple(labels)
        self.interval = interval
        self.gap = max(GAP, 2.5 * interval)
        self.peaks: dict[str, Peak] = {}
        self.width = 0.04  # seconds per bin
        self.end = 0.0
        self._faces: dict[int, _Face] = {}
        self._latest: float | None = None
        self._present: list[_Face] = []  # in the last frame

    def add(self, result: FrameResult) -> None:
        """Take one frame that was analysed."""
        time = result.frame.timestamp
        self.end = max(self.end, time + self.interval)
        # a frame stands for the time to the next one; of the last one, that before it is taken
        step = self.interval if self._latest is None else time - self._latest
        for face in self._present:
            face.step = min(step, self.gap)
        self._latest = time
        self._present = []
        while self.end > self.width * COLUMNS:
            self._double()
        for found in result.faces:
            self._add_face(time, step, found)

    def finish(self, end: float) -> None:
        """Say when the clip ended: its last frames, too, stand for no longer than it lasts."""
        if self._latest is None:
            return
        self.end = min(self.end, end)
        for face in self._present:
            face.step = min(face.step, max(end - self._latest, 0.0))

    def _add_face(self, time: float, step: float, found: Tracked) -> None:
        row = found.prediction
        assert row.face_id is not None
        assert row.dominant_emotion is not None
        assert row.frame is not None
        answer = row.dominant_emotion
        chances = np.fromiter(row.emotions.values(), dtype=np.float64)
        face = self._faces.setdefault(row.face_id, _Face(time, time, answer, step))
        passed = time - face.last
        if 0 < passed <= self.gap:
            _add_time(face, face.answer, passed)
        elif face.frames:
            _add_time(face, face.answer, face.step)  # it went away
        face.step = step
        self._present.append(face)
        if answer != face.answer:
            change = (face.answer, answer)
            face.transitions[change] = face.transitions.get(change, 0) + 1
        face.last, face.answer = time, answer
        face.frames += 1
        face.total = chances if face.total is None else face.total + chances
        place = face.bins.setdefault(int(time / self.width), np.zeros(len(self.labels) + 1))
        place += np.append(chances, 1.0)
        for name, p in row.emotions.items():
            if p > face.peaks.get(name, (-1.0, 0.0))[0]:
                face.peaks[name] = (p, time)
        # pictures only where the expression leads
        p = row.emotions[answer]
        best = [peaks[answer].score for peaks in (face.moments, self.peaks) if answer in peaks]
        if len(best) < 2 or p > min(best):
            peak = Peak(answer, p, row.face_id, row.frame, time, found.crop.image)
            for peaks in (face.moments, self.peaks):
                if answer not in peaks or p > peaks[answer].score:
                    peaks[answer] = peak
        self._forget_pictures()

    def _forget_pictures(self) -> None:
        """Of many faces, those that were in sight longest keep their pictures."""
        pictured = [face for face in self._faces.values() if face.moments]
        if len(pictured) > PICTURED:
            away = [face for face in pictured if face not in self._present] or pictured
            min(away, key=lambda face: face.seconds).moments.clear()

    def _double(self) -> None:
        self.width *= 2
        for face in self._faces.values():
            merged: dict[int, FloatArray] = {}
            for place, values in face.bins.items():
                merged[place // 2] = merged.get(place // 2, 0) + values
            face.bins = merged

    def faces(self) -> tuple[FaceSummary, ...]:
        """Summaries, longest in sight first."""
        found = [self._summary(face_id, face) for face_id, face in self._faces.items()]
        return tuple(sorted(found, key=lambda f: (-f.seconds, f.face_id)))

    def _summary(self, face_id: int, face: _Face) -> FaceSummary:
        time_by_answer = dict(face.time_by_answer)
        time_by_answer[face.answer] = (
            time_by_answer.get(face.answer, 0.0) + face.step
        )  # the last frame's own time
        seconds = sum(time_by_answer.values())
        whole = sum(time_by_answer.values())
        assert face.total is not None
        return FaceSummary(
            face_id=face_id,
            first=face.first,
            last=face.last,
            seconds=seconds,
            frames=face.frames,
            shares={n: time_by_answer.get(n, 0.0) / whole for n in self.labels},
            means={n: float(v) / face.frames for n, v in zip(self.labels, face.total, strict=True)},
            transitions=dict(face.transitions),
            peaks=dict(face.peaks),
        )

    def moments(self, face_id: int) -> tuple[Peak, ...]:
        """A face's strongest moment of each expression that led, in the order of the labels."""
        found = self._faces[face_id].moments
        return tuple(found[name] for name in self.labels if name in found)

    def series(self, face_id: int) -> FloatArray:
        """Mean probabilities ``[bins, K]`` of a face over the clip; NaN where it is not seen."""
        bins = max(round(self.end / self.width), 1)
        values = np.full((bins, len(self.labels)), np.nan)
        before = bins
        for place, sums in sorted(self._faces[face_id].bins.items()):
            place = min(place, bins - 1)  # the end may cut the last one's
            if 0 < (place - before) * self.width <= self.gap + self.width:
                values[before + 1 : place] = values[before]  # between two looks
            own = max(int(np.ceil(self.interval / self.width)), 1)  # what one look stands for
            values[place : place + own] = sums[:-1] / sums[-1]
            before = place
        return values


def _add_time(face: _Face, answer: str, seconds: float) -> None:
    face.time_by_answer[answer] = face.time_by_answer.get(answer, 0.0) + seconds
    face.seconds += seconds
