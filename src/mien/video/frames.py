"""A clip's frames with the faces in them: found, followed, answered and smoothed, in order."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.explainers import explain
from mien.explainers.method import METHODS, overlays, read_query
from mien.models.base import BaseModel
from mien.registry import choose
from mien.results.evidence import Query
from mien.types import Face, FloatArray, InputError, Prediction
from mien.video.cuts import Change, CutDetector, ShotChanges
from mien.video.reader import Frame, read_frames
from mien.video.searching import Sampled, find_faces
from mien.video.smooth import DEFAULT, Smoother
from mien.video.track import Tracker
from mien.vision.stream import in_groups, iterate_ahead

if TYPE_CHECKING:
    from mien.recognizer import Recognizer
    from mien.vision.crops import Crop

HELD = 40_000_000  # pixels of frames that are analysed together, 120 MB


@dataclass(frozen=True)
class VideoOptions:
    """How a clip is analysed."""

    every: int = 1  # analyse every n-th frame
    fps: float | None = None  # or at so many frames per second of the clip
    smoothing: float = DEFAULT  # seconds, 0 for none
    overlay: str = "none"  # evidence to draw: a method that suits videos, and its options
    landmarks: bool = False  # draw them on each face, too
    key_seconds: float = 2.0  # of methods for key frames: explained anew after so many seconds
    batch: int = 32  # most frames analysed together
    search: float = 0.16  # seconds between searches for faces, 0 searches every frame

    def __post_init__(self) -> None:
        choose("overlay", self.overlay.partition(":")[0], ["none", *overlays()])
        if self.query is not None:
            METHODS.get(self.query.method).checked(self.query.options)
        if self.every < 1:
            raise InputError(f"every: expected 1 or more frames, got {self.every}")
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise InputError(f"fps: expected more than 0 frames per second, got {self.fps}")
        if self.fps is not None and self.every != 1:
            raise InputError("expected every or fps, got both; leave one out")
        if not 0 <= self.search < math.inf:
            raise InputError(f"search: expected 0 or more seconds, got {self.search}")
        if self.key_seconds <= 0 or self.batch < 1:
            raise InputError(
                f"expected key_seconds above 0 and a batch of at least 1, got {self.key_seconds} "
                f"and {self.batch}"
            )
        Smoother(self.smoothing)

    @property
    def query(self) -> Query | None:
        """What is asked of each face, None where no evidence is drawn."""
        return None if self.overlay == "none" else read_query(self.overlay)

    def check(self, model: BaseModel) -> None:
        """Raise InputError where the evidence to draw cannot be had of a model.

        Parameters
        ----------
        model
            Who is to be explained.
        """
        if self.query is not None:
            METHODS.get(self.query.method).check(model, self.query)

    def interval(self, rate: float) -> float:
        """Seconds between analysed frames, in a clip of so many frames per second.

        Parameters
        ----------
        rate
            Frames a second of the clip.
        """
        return max(1 / self.fps, 1 / rate) if self.fps else self.every / rate


DEFAULTS = VideoOptions()


@dataclass(frozen=True, eq=False)
class Tracked:
    """One face in one frame; ``prediction.face_id`` is the same in all frames of the clip."""

    prediction: Prediction  # smoothed
    crop: Crop = field(repr=False)  # the face, aligned
    evidence: FloatArray | None = field(default=None, repr=False)  # [h, w] over the crop
    signed: bool = True  # whether evidence below 0 speaks against the answer


@dataclass(frozen=True, eq=False)
class FrameResult:
    """One frame and its faces; ``analysed`` is False where they are those of the frame before.

    ``cut`` marks the first analysed frame of another shot, ``resumed`` the first one after a flash
    of light that looked like one.
    """

    frame: Frame  # which frame it is
    faces: tuple[Tracked, ...]  # the faces in sight, with their tracks
    analysed: bool
    input: str  # the clip's name
    cut: bool = False
    resumed: bool = False

    @property
    def rows(self) -> tuple[Prediction, ...]:
        """The table's rows for this frame: one per face, or one that says that there is none."""
        none = Prediction(self.input, frame=self.frame.number, timestamp=self.frame.timestamp)
        return tuple(face.prediction for face in self.faces) or (none,)


class Sampler:
    """Which frames are analysed.

    >>> take = Sampler(VideoOptions(fps=2))
    >>> [take(n, n / 10) for n in range(7)]
    [True, False, False, False, False, True, False]
    """

    def __init__(self, options: VideoOptions) -> None:
        self.options = options
        self._due = 0.0

    def __call__(self, number: int, time: float) -> bool:
        """Whether to analyse the frame of this number and time."""
        if self.options.fps is None:
            return number % self.options.every == 0
        # half a millisecond for clips whose times are rounded
        if time + 5e-4 < self._due:
            return False
        step = 1 / self.options.fps
        self._due = max(self._due + step, time - step / 2)
        return True


class Follower:
    """The state that goes from frame to frame: tracks, smoothing, evidence of key frames."""

    def __init__(
        self, recognizer: Recognizer, options: VideoOptions, name: str, rate: float = 25.0
    ) -> None:
        self.recognizer, self.options, self.name = recognizer, options, name
        # where looks are far apart, a face is remembered for some of them
        self.tracker = Tracker(max(2.0, 3 * options.interval(rate)))
        self.smoother = Smoother(options.smoothing)
        options.check(recognizer.model)
        self._query = options.query
        # the network's own map comes with its answers, for all faces in one call
        self._own = self._query == Query("cam")
        self._keys: dict[int, _Key] = {}

    def __call__(
        self,
        frames: list[Frame],
        changes: Sequence[Change] = (),
        found: Sequence[list[Face]] | None = None,
    ) -> list[FrameResult]:
        """Results of frames that are all analysed, by one call of the model.

        ``changes`` are how they follow on one another; default: all in one shot. ``found`` are
        the faces of each, where the detector was asked already.
        """
        crops = self.recognizer.crops_of([f.image for f in frames], cam=self._own, found=found)
        changes = changes or [Change.NONE] * len(frames)
        return [self._one(*one) for one in zip(frames, crops, changes, strict=True)]

    def _one(self, frame: Frame, crops: list[Crop], change: Change) -> FrameResult:
        boxes = [crop.face.box for crop in crops]
        ids = self.tracker.update(frame.timestamp, frame.image, boxes, change)
        alive = {track.face_id for track in self.tracker.tracks}
        self.smoother.keep_only(alive)
        self._keys = {face: key for face, key in self._keys.items() if face in alive}
        found = []
        for face_id, crop, answer in zip(
            ids, crops, self.recognizer.answers(self.name, crops), strict=True
        ):
            labels = list(answer.emotions)
            raw = np.fromiter(answer.emotions.values(), dtype=np.float64)
            chances = self.smoother(face_id, frame.timestamp, raw)
            best = int(chances.argmax())
            row = replace(
                answer,
                face_id=face_id,
                frame=frame.number,
                timestamp=frame.timestamp,
                emotions={n: float(v) for n, v in zip(labels, chances, strict=True)},
                dominant_emotion=labels[best],
                score=float(chances[best]),
            )
            found.append(Tracked(row, crop, *self._evidence(row, crop)))
        found.sort(key=lambda face: face.prediction.face_id or 0)
        shots = {"cut": self.tracker.new_shot, "resumed": self.tracker.resumed}
        return FrameResult(frame, tuple(found), True, self.name, **shots)

    def _evidence(self, row: Prediction, crop: Crop) -> tuple[FloatArray | None, bool]:
        """The map to draw over a face, and whether it is signed."""
        assert row.dominant_emotion is not None
        if self._query is None:
            return None, True
        if crop.cam is not None:
            own = crop.cam[self.recognizer.model.labels.index(row.dominant_emotion)]
            return np.asarray(own), True
        assert row.face_id is not None
        assert row.timestamp is not None
        key = self._keys.get(row.face_id)
        every_frame = METHODS.get(self._query.method).overlay == "frame"
        if key is None or every_frame or key.old(row, self.options.key_seconds):
            found = explain(self.recognizer.model, crop, row, self._query)
            key = _Key(row.timestamp, row.dominant_emotion, found.values, found.signed)
            self._keys[row.face_id] = key
        return key.values, key.signed


@dataclass(frozen=True, eq=False)
class _Key:
    """The evidence for one face, and when it was found for which answer."""

    time: float
    answer: str
    values: FloatArray
    signed: bool

    def old(self, row: Prediction, seconds: float) -> bool:
        """Whether it is to be found anew: after so many seconds, or for another answer."""
        late = row.timestamp is not None and row.timestamp - self.time >= seconds
        return late or row.dominant_emotion != self.answer


def stream(
    source: str | Path | Iterable[Frame],
    recognizer: Recognizer,
    options: VideoOptions = DEFAULTS,
    *,
    name: str | None = None,
    rate: float = 25.0,
    all_frames: bool = False,
) -> Generator[FrameResult, None, None]:
    """Results frame by frame; memory does not grow with the clip.

    Parameters
    ----------
    recognizer
        Who answers.
    source
        A video's path, or any frames, such as those of a camera.
    options
        Which frames are analysed, smoothing, evidence.
    name
        What stands in the rows' ``input``; default: the path.
    rate
        Frames per second of the source, about.
    all_frames
        Yield the frames that are not analysed, too, with the faces of the last one that was.

    Raises InputError for a file without frames. ``read_frames`` as a source says afterwards
    whether the file broke off.
    """
    if isinstance(source, str | Path):
        source, name = read_frames(source), name or str(source)
    name = name or "frames"
    follow = Follower(recognizer, options, name, rate)
    # the reading thread holds a few frames more, fewer where they are large
    read = iterate_ahead(_sampled(source, Sampler(options), all_frames), 4)
    faces: tuple[Tracked, ...] = ()
    with (
        closing(read),
        closing(find_faces(read, recognizer.detector, options.search)) as ahead,
    ):
        for group in in_groups(ahead, options.batch, lambda one: one.pixels, HELD):
            wanted = [one for one in group if one.analysed]
            results = iter(
                follow(
                    [one.frame for one in wanted],
                    [one.change for one in wanted],
                    [one.found or [] for one in wanted],
                )
            )
            for one in group:
                if one.analysed:
                    result = next(results)
                    faces = result.faces
                    yield result
                else:
                    if one.change is Change.CUT:
                        faces = ()  # they were those of another shot
                    yield FrameResult(one.frame, faces, False, name)


def _sampled(source: Iterable[Frame], take: Sampler, all_frames: bool) -> Iterator[Sampled]:
    detect, since = CutDetector(), ShotChanges()
    for frame in source:
        change = detect(frame.thumbnail, frame.timestamp)
        since.add(change)
        analysed = take(frame.number, frame.timestamp)
        if analysed or all_frames:
            _ = frame.image  # its pixels are made here, in the reading thread
            yield Sampled(frame, analysed, since.take() if analysed else change)
