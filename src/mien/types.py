"""The plain types that every other module speaks: arrays, errors, faces, predictions."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.notebook import html_table
from mien.wording import brief

FloatArray = npt.NDArray[np.floating[Any]]
ImageArray = npt.NDArray[np.uint8]  # H x W x 3, RGB: the only image inside Mien
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.integer[Any]]
Box = tuple[float, float, float, float]  # x, y, width, height in pixels


class MienError(Exception):
    """Anything that Mien can explain in one line: what was expected, what came, what to do."""


class InputError(MienError, ValueError):
    """An image, a path or an argument that cannot be used."""


class InputTypeError(InputError, TypeError):
    """An argument of a type that nobody could use."""


class UnknownNameError(MienError, ValueError):
    """A name that no registry entry, label or option has."""


class MissingExtraError(MienError, ImportError):
    """An optional package that is not installed; the message says how to install it."""


class ModelError(MienError, RuntimeError):
    """A model file that is missing, damaged or does not say what it is."""


class Stopped(BaseException):
    """Nobody waits for the answer any more; what a ``stop`` raises to end work between two passes.

    Not an Exception, so that no code in between takes it for a failure of its own.
    """


def checked_seed(seed: int) -> int:
    """The seed; InputError for one that NumPy, torch and scikit-learn do not all take.

    >>> checked_seed(7)
    7
    """
    if not 0 <= seed < 2**32:
        raise InputError(f"expected a seed of 0 to 4294967295, got {seed}")
    return seed


@dataclass(frozen=True)
class Face:
    """One face in one image.

    ``box`` is ``(x, y, width, height)`` in pixels and may reach beyond the image;
    ``confidence`` is in 0..1, None where the detector gives none; ``landmarks`` are 24 points
    (x, y) in pixels of the image, in the order of :data:`mien.vision.landmarks.LANDMARKS`, or None.
    ``anchors`` are three, ``[3, 2]``, from a detector that knows no more: the centres of the eyes
    (the image's left first) and of the mouth.
    """

    box: Box
    confidence: float | None
    detector: str  # what found it
    landmarks: FloatArray | None = field(default=None, compare=False, repr=False)
    anchors: FloatArray | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, repr=False)
class Prediction:
    """The answer for one face, or the row that says why there is none.

    ``emotions`` are calibrated probabilities that sum to 1; ``score`` is the largest.
    ``measures`` are there where they were asked for (:mod:`mien.vision.measures`).
    ``face_id`` is None where no face was found, and ``error`` is set where the input failed.
    """

    input: str  # the image: a path, or what it was called
    face_id: int | None = None  # 0, 1, ... from left to right; None where no face was found
    box: Box | None = None  # left, top, width, height in pixels; it may reach beyond the image
    face_confidence: float | None = None  # the detector's, where it has one
    emotions: dict[str, float] = field(default_factory=dict)  # calibrated probabilities, sum 1
    dominant_emotion: str | None = None  # the most probable
    score: float | None = None  # its probability
    frame: int | None = None  # of a video, from 0
    timestamp: float | None = None  # seconds from a video's start
    error: str | None = None  # why the input failed, in a line
    face: Face | None = field(default=None, compare=False, repr=False)  # as the detector found it
    #: Geometry of the face by name, where it was asked for: :mod:`mien.vision.measures`.
    measures: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        """What it is of, and what it says.

        >>> Prediction("a.jpg", 0, dominant_emotion="happy", score=0.873)
        <Prediction of a.jpg: face 0, happy 0.87>
        """
        return f"<Prediction of {self.input}: {self._said()}>"

    def _said(self) -> str:
        if self.error is not None:
            return f"error: {self.error}"
        if self.face_id is None:
            return "no face found"
        frame = "" if self.frame is None else f"frame {self.frame}, "
        score = "" if self.score is None else f" {brief(self.score)}"
        return f"{frame}face {self.face_id}, {self.dominant_emotion}{score}"

    def _repr_html_(self) -> str:
        ranked = sorted(self.emotions.items(), key=lambda item: -item[1])
        rows = [[name, brief(p)] for name, p in ranked]
        rows += [[name.replace("_", " "), f"{v:.2f}"] for name, v in self.measures.items()]
        return f"<p>{escape(f'{self.input}: {self._said()}')}</p>" + (
            html_table(["", ""], rows) if rows else ""
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields, in the order of the table that ``mien predict`` writes.

        >>> Prediction("a.jpg", error="not an image").to_dict()["error"]
        'not an image'
        """
        return {
            "input": self.input,
            "frame": self.frame,
            "timestamp": self.timestamp,
            "face_id": self.face_id,
            "box": None if self.box is None else [round(v, 2) for v in self.box],
            "face_confidence": self.face_confidence,
            "emotions": dict(self.emotions),
            "dominant_emotion": self.dominant_emotion,
            "score": self.score,
            **({"measures": dict(self.measures)} if self.measures else {}),
            "detector": None if self.face is None else self.face.detector,
            "error": self.error,
        }


def first_line(error: BaseException) -> str:
    """What an error says, in one line without control characters; its kind where it is silent.

    >>> first_line(ValueError("red" + chr(27))), first_line(StopIteration())
    ('red?', 'StopIteration')
    """
    lines = str(error).strip().splitlines()
    text = lines[0][:200] if lines else type(error).__name__
    return "".join(c if c.isprintable() else "?" for c in text)
