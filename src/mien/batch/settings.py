"""What a job does, as it is written down beside its results."""

from __future__ import annotations

import json
import math
import platform
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mien.types import InputError

FAST = {"avx512_vnni", "avx_vnni", "asimddp", "i8mm"}  # instructions for products of bytes


@dataclass(frozen=True)
class JobSettings:
    """What decides the rows; a job goes on only with the same settings."""

    source: tuple[str, ...]  # folders, globs, lists, tables, videos, as they were given
    model: str = "mien"  # a built-in name, an ONNX file or a run's folder
    head: str | None = None  # the label set; None is the model's own
    contempt: bool = False  # whether contempt is an eighth expression
    prior: str | None = None  # as of mien.load
    flip: bool = False  # the mean over each crop and its mirror image
    detector: str = "auto"  # a detector's name, or auto
    column: str | None = None  # of a Parquet source
    fps: float = 1.0  # analysed frames per second of videos
    unit: int = 256  # images of one work unit, and of one Parquet file at most
    full: bool = False  # never decode large JPEGs at a smaller size
    measures: bool = False  # whether rows hold the face's geometry

    def __post_init__(self) -> None:
        if not self.source:
            raise InputError("expected a source, got an empty list")
        if self.unit < 1 or not 0 < self.fps < math.inf:
            raise InputError(
                f"expected a unit of at least 1 image and fps above 0, got {self.unit} "
                f"and {self.fps}"
            )

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return {**asdict(self), "source": list(self.source)}

    @classmethod
    def from_json(cls, text: str) -> JobSettings:
        """Read settings back.

        Parameters
        ----------
        text
            What ``to_json`` gave.
        """
        raw = json.loads(text)
        known: dict[str, Any] = {f.name: raw[f.name] for f in fields(cls) if f.name in raw}
        return cls(**{**known, "source": tuple(known["source"])})

    def difference(self, other: JobSettings) -> str:
        """The fields that differ, for people.

        Parameters
        ----------
        other
            The settings of an earlier start of the same job.

        >>> JobSettings(("a",)).difference(JobSettings(("a",), fps=2.0))
        'fps: 1.0 there, 2.0 here'
        """
        mine, theirs = self.to_dict(), other.to_dict()
        return "; ".join(
            f"{k}: {v} there, {theirs[k]} here" for k, v in mine.items() if v != theirs[k]
        )


def fastest_model() -> str:
    """``mien-int8`` where this processor multiplies bytes in one instruction, else ``mien``."""
    if platform.machine() in ("arm64", "aarch64") and platform.system() == "Darwin":
        return "mien-int8"
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "mien"
    flags = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")
    return "mien-int8" if FAST & set(flags.split()) else "mien"
