"""Probabilities over time, smoothed by what came before: no look ahead, so it serves live video."""

from __future__ import annotations

import math

from mien.types import FloatArray, InputError

DEFAULT = 0.3  # seconds


class Smoother:
    """An exponential mean per face whose weight falls to 37 % within ``seconds``.

    The weight of a new frame depends on the time since the last, so uneven frame rates and
    ``--every`` give the same smoothing. 0 seconds switches it off.

    >>> import numpy as np
    >>> smooth = Smoother(1.0)
    >>> smooth(0, 0.0, np.array([1.0, 0.0])).tolist()
    [1.0, 0.0]
    >>> smooth(0, 1.0, np.array([0.0, 1.0])).round(2).tolist()
    [0.37, 0.63]
    """

    def __init__(self, seconds: float = DEFAULT) -> None:
        if not 0 <= seconds < math.inf:
            raise InputError(f"smoothing: expected seconds from 0 (off) up, got {seconds}")
        self.seconds = seconds
        self._state: dict[int, tuple[float, FloatArray]] = {}

    def __call__(self, face_id: int, time: float, chances: FloatArray) -> FloatArray:
        """The smoothed probabilities ``[K]`` of a face at a time in seconds."""
        if self.seconds == 0:
            return chances
        if face_id in self._state:
            before, mean = self._state[face_id]
            keep = math.exp(-(time - before) / self.seconds)
            chances = keep * mean + (1 - keep) * chances
        self._state[face_id] = (time, chances)
        return chances

    def keep_only(self, kept: set[int]) -> None:
        """Drop the faces that are gone, so that memory does not grow with the clip."""
        self._state = {face: state for face, state in self._state.items() if face in kept}
