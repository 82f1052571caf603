"""Videos: faces followed over time, their expressions smoothed, tables, summaries and pictures.

:func:`analyse` does it all for one clip, :func:`stream` yields its frames one by one.

>>> analyse("absent.mp4")
Traceback (most recent call last):
mien.types.InputError: absent.mp4: no such file; give the path of a video
"""

from mien.video.analyse import Analysis, Progress, analyse
from mien.video.frames import FrameResult, Options, Tracked, stream
from mien.video.reader import Clip, Frame, probe, read_frames
from mien.video.summary import FaceSummary, Peak

__all__ = [
    "Analysis",
    "Clip",
    "FaceSummary",
    "Frame",
    "FrameResult",
    "Options",
    "Peak",
    "Progress",
    "Tracked",
    "analyse",
    "probe",
    "read_frames",
    "stream",
]
