"""Times of frames and sound that only grow, whatever a file says."""

from __future__ import annotations


class GrowingTimes:
    """Times from 0 that grow strictly; what repeats or restarts goes on by one step.

    Two recordings in one file start again at 0 in the middle: from there on all times are moved
    behind the first recording. Any unit will do, seconds as well as ticks.

    >>> times = GrowingTimes()
    >>> [times(t, 1) for t in (5, 6, 6, 8, 5, 6)]
    [0, 1, 2, 3, 4, 5]
    """

    def __init__(self, start: float | None = None) -> None:
        self._start = start
        self._last: float | None = None

    def __call__(self, time: float | None, step: float) -> float:
        """The time to use for what says ``time`` and lasts for ``step``."""
        if self._start is None:
            self._start = 0 if time is None else time
        if self._last is None:
            self._last = 0 if time is None else time - self._start
            return self._last
        following = self._last + step
        own = following if time is None else time - self._start
        if own < self._last - step:  # a restart
            self._start -= following - own
            own = following
        self._last = own if own > self._last else following
        return self._last
