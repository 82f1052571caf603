"""One uploaded video: its files, its state, its result."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.video import VideoOptions
from mien.web.choices import OWN, Choice


@dataclass(eq=False)
class Job:
    """One video; ``state`` is waiting, working, done, failed or cancelled."""

    folder: Path
    options: VideoOptions
    caller: str  # the address that it came from
    choice: Choice = OWN
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    state: str = "waiting"
    progress: float = 0.0
    frames: int = 0
    of: int | None = None  # frames in all, where the clip says
    error: str | None = None
    result: dict[str, Any] | None = None
    cancel: threading.Event = field(default_factory=threading.Event)
    ended: float | None = None
    curves: dict[int, list[tuple[float, list[float]]]] = field(default_factory=dict)

    @property
    def upload(self) -> Path:
        """The clip as it was sent; gone as soon as the work ends."""
        return self.folder / "upload"

    @property
    def clip(self) -> Path:
        """The annotated clip."""
        return self.folder / "clip.mp4"

    @property
    def table(self) -> Path:
        """One row per face and frame."""
        return self.folder / "table.csv"

    def to_dict(self) -> dict[str, Any]:
        """What callers see of it."""
        return {
            "id": self.id,
            "state": self.state,
            "progress": round(self.progress, 4),
            "frames": self.frames,
            "of": self.of,
            "error": self.error,
        }
