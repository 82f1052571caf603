"""Live pictures: a camera, or a file played at its own pace as if it were one."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mien.types import ImageArray, InputError, MissingExtraError
from mien.video.reader import Frame, read_frames


@dataclass(frozen=True, eq=False)
class Live:
    """The newest picture; ``taken`` is when it came, by :func:`time.perf_counter`."""

    frame: Frame
    taken: float
    missed: int  # pictures that came while the one before was analysed


class Camera:
    """Gives the newest picture, always: what came while the reader was busy is skipped.

    ``source`` is a camera's number or the path of a video. A thread takes the pictures; leaving
    the ``with`` block ends it.
    """

    def __init__(self, source: int | str) -> None:
        self.source = source
        self._frames = iter(read_frames(source)) if isinstance(source, str) else _shots(source)
        first = next(self._frames, None)
        if first is None:
            raise InputError(f"{source}: expected pictures, got none; is it in use elsewhere?")
        self.width, self.height = first.size
        self._newest: Live | None = Live(first, time.perf_counter(), 0)
        self._error: Exception | None = None
        self._fresh = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._take, daemon=True)

    def __enter__(self) -> Camera:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._thread.join(timeout=5)
        self._frames.close()  # type: ignore[attr-defined]  # both are generators

    def __iter__(self) -> Iterator[Live]:
        while True:
            with self._fresh:
                self._fresh.wait_for(lambda: self._newest is not None or self._stopped)
                live, self._newest = self._newest, None
            if live is None:
                if self._error is not None:
                    raise self._error
                return
            yield live

    def _take(self) -> None:
        started = time.perf_counter()
        missed = 0
        try:
            for frame in self._frames:
                if self._stopped:
                    break
                if isinstance(self.source, str):  # a file waits for its time, a camera does so
                    time.sleep(max(started + frame.timestamp - time.perf_counter(), 0))
                with self._fresh:
                    missed = 0 if self._newest is None else self._newest.missed + 1
                    self._newest = Live(frame, time.perf_counter(), missed)
                    self._fresh.notify()
        except Exception as error:  # raised where the pictures are read
            self._error = error
        with self._fresh:
            self._stopped = True
            self._fresh.notify()


def _shots(number: int) -> Iterator[Frame]:
    """Pictures of a camera, by OpenCV."""
    import cv2

    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(0)  # one line of our own instead of OpenCV's several
    capture = cv2.VideoCapture(number)
    cv2.utils.logging.setLogLevel(before)
    try:
        if not capture.isOpened():
            raise InputError(
                f"camera {number}: none there, or it may not be used; "
                "plug it in, give another --source, or the path of a video"
            )
        started = time.perf_counter()
        count = 0
        while True:
            good, picture = capture.read()
            if not good:
                return
            image = np.ascontiguousarray(picture[:, :, ::-1], dtype=np.uint8)  # OpenCV's BGR
            yield Frame.of(count, time.perf_counter() - started, image)
            count += 1
    finally:
        capture.release()


def has_display() -> bool:
    """Whether a window has somewhere to be; only Linux says so beforehand."""
    return not sys.platform.startswith("linux") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


class Window:
    """A window that shows pictures, by Tk; closed by its button, Escape or q.

    Raises InputError where there is no display, MissingExtraError where Python has no Tk.
    """

    def __init__(self, title: str) -> None:
        if not has_display():
            raise InputError(
                "there is no display for a window (DISPLAY is not set); use --text for rows on "
                "stdout, or run mien serve and open its page, which can use the camera"
            )
        try:
            import tkinter as tk

            from PIL import ImageTk
        except ImportError as error:
            raise MissingExtraError(
                "the window needs Tk, which this Python lacks; install it "
                "(Debian: apt install python3-tk), or use --text for rows on stdout"
            ) from error
        try:
            self._root: Any = tk.Tk()
        except tk.TclError as error:
            raise InputError(f"no window can be opened ({error}); use --text") from error
        self._photo_of: Any = ImageTk.PhotoImage
        self.open = True
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self._shut)
        for key in ("<Escape>", "q"):
            self._root.bind(key, lambda _: self._shut())
        self._label = tk.Label(self._root, borderwidth=0)
        self._label.pack()
        self._shown: Any = None

    def show(self, image: ImageArray) -> None:
        """Show a picture ``[H, W, 3]`` and take note of keys."""
        from PIL import Image

        # Tk drops a picture without a reference
        self._shown = self._photo_of(Image.fromarray(image), master=self._root)
        self._label.configure(image=self._shown)
        self._root.update()

    def close(self) -> None:
        """Close the window."""
        if self._root is not None:
            self._root.destroy()
            self._root = None

    def _shut(self) -> None:
        self.open = False
