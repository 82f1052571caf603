"""Videos: faces followed over time, their expressions smoothed, tables, summaries and pictures.

:func:`analyse` does it all for one clip, :func:`stream` yields its frames one by one.

>>> from mien import video
>>> video.analyse("absent.mp4")
Traceback (most recent call last):
mien.types.InputError: absent.mp4: no such file; give the path of a video
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.video.analysis import Analysis, Progress, analyse
    from mien.video.clip import Clip, probe
    from mien.video.frames import FrameResult, Tracked, VideoOptions, stream
    from mien.video.reader import Frame, read_frames
    from mien.video.summary import FaceSummary, Peak

_HOME = {
    "Analysis": "analysis",
    "Clip": "clip",
    "FaceSummary": "summary",
    "Frame": "reader",
    "FrameResult": "frames",
    "Peak": "summary",
    "Progress": "analysis",
    "Tracked": "frames",
    "VideoOptions": "frames",
    "analyse": "analysis",
    "probe": "clip",
    "read_frames": "reader",
    "stream": "frames",
}

__all__ = [
    "Analysis",
    "Clip",
    "FaceSummary",
    "Frame",
    "FrameResult",
    "Peak",
    "Progress",
    "Tracked",
    "VideoOptions",
    "analyse",
    "probe",
    "read_frames",
    "stream",
]


def __getattr__(name: str) -> Any:
    """Load names on first use, so that the command starts fast."""
    if name not in _HOME:
        raise AttributeError(f"module 'mien.video' has no attribute {name!r}")
    return getattr(import_module(f"mien.video.{_HOME[name]}"), name)
