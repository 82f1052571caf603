"""Explanation: the evidence for one answer, in numbers, in words and as a picture."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mien import draw
from mien.emotions import COLOURS
from mien.results import Results
from mien.types import FloatArray, ImageArray, InputError, IntArray, Prediction


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why one face got (or did not get) one answer, in signed logits.

    The parts in ``regions`` (for region methods) and the pixels of ``values`` are shares of
    ``value - base``: what the model says of the crop, less what it says of the baseline.
    """

    method: str
    target: str
    against: str | None
    values: FloatArray  # [h, w], signed; each pixel holds its part of its player's value
    regions: dict[str, float]  # summed over each facial region
    areas: dict[str, float]  # share of the crop that each region covers, sums to 1
    base: float  # the explained score on the baseline image
    value: float  # the explained score on the crop
    baseline: str
    seed: int | None
    players: int  # how many parts share value - base
    evaluations: int  # forward passes, counted in images
    seconds: float
    model: str  # name and SHA-256 of the model file
    versions: dict[str, str]
    prediction: Prediction
    crop: ImageArray = field(repr=False)  # [H, W, 3], what the model saw, larger for display
    labels: IntArray = field(repr=False)  # [h, w], index into ``regions`` for each pixel
    landmarks: FloatArray = field(repr=False)  # [24, 2] in pixels of the h x w grid
    interactions: dict[str, dict[str, float]] = field(default_factory=dict, repr=False)
    efficient: bool = True  # whether the method promises that its parts sum to value - base
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """``value - base``, what the parts should add up to."""
        return self.value - self.base

    def check(self) -> float:
        """Efficiency gap: ``|sum(values) - total|`` relative to ``max(|total|, 1)``.

        Near 0 for every method that promises efficiency; methods that promise none
        (``cam``, ``dncshap`` with the printed update) report what they miss.
        """
        return float(abs(np.sum(self.values, dtype=np.float64) - self.total)) / max(
            abs(self.total), 1.0
        )

    @property
    def background_share(self) -> float:
        """Share of the absolute evidence that lies on the background, in 0..1."""
        parts = {name: abs(value) for name, value in self.regions.items()}
        return parts.get("background", 0.0) / max(sum(parts.values()), 1e-12)

    @property
    def warning(self) -> str | None:
        """A sentence where the background carries more than its share of the area, else None."""
        share, area = self.background_share, self.areas.get("background", 0.0)
        if share <= max(area, 0.05):
            return None
        return (
            f"the background carries {share:.0%} of the evidence on {area:.0%} of the crop: "
            "do not read this answer as being about the face alone"
        )

    @property
    def sentence(self) -> str:
        """The answer and its main parts, in words."""
        return describe(self)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready record: everything but the pixels of the crop."""
        return {
            "method": self.method,
            "target": self.target,
            "against": self.against,
            "unit": "logits",
            "sentence": self.sentence,
            "warning": self.warning,
            "regions": dict(self.regions),
            "areas": dict(self.areas),
            "interactions": {a: dict(row) for a, row in self.interactions.items()},
            "base": self.base,
            "value": self.value,
            "total": self.total,
            "efficiency_gap": self.check() if self.efficient else None,
            "baseline": self.baseline,
            "seed": self.seed,
            "players": self.players,
            "evaluations": self.evaluations,
            "seconds": self.seconds,
            "options": dict(self.options),
            "model": self.model,
            "versions": dict(self.versions),
            "prediction": self.prediction.to_dict(),
            "landmarks": np.asarray(self.landmarks, dtype=float).round(3).tolist(),
            "values": np.asarray(self.values, dtype=float).round(6).tolist(),
        }

    def picture(self) -> ImageArray:
        """The sheet that :meth:`save` writes: crop, overlay, region bars, probabilities."""
        return sheet(self)

    def save(self, path: str | Path) -> tuple[Path, Path]:
        """Write ``path`` as PNG and the record beside it as JSON; returns both paths."""
        return Explanations((self,)).save(path)

    def _repr_html_(self) -> str:
        return f'<img alt="{escape(self.sentence)}" src="{_data_url(self.picture())}">'


PLURAL = {"brows", "eyes", "cheeks"}


def chance(p: float) -> str:
    """A probability in two digits that never claims certainty.

    >>> chance(0.873), chance(0.9991), chance(0.0004)
    ('0.87', 'over 0.99', 'under 0.01')
    """
    return "over 0.99" if p >= 0.995 else "under 0.01" if p < 0.005 else f"{p:.2f}"


def describe(explanation: Explanation) -> str:
    """One sentence: the class, its probability, and the regions that made or unmade it."""
    e = explanation
    score = chance(e.prediction.emotions[e.target])
    subject = e.target if e.against is None else f"{e.target} rather than {e.against}"
    parts = sorted(e.regions.items(), key=lambda item: item[1], reverse=e.total >= 0)
    leading = [(n, v) for n, v in parts if v * e.total > 0]
    opposing = [(n, v) for n, v in reversed(parts) if v * e.total < 0]
    if not leading:
        return f"{subject}, {score}: no region carries evidence"
    name, value = leading[0]
    share = f"({value:+.1f} of {e.total:+.1f})"
    if e.total >= 0:
        text = f"{subject}, {score}: mostly the {name} {share}"
        contrary = "against it"
    else:
        verb = "speak" if name in PLURAL else "speaks"
        text = f"{subject}, {score}: the {name} {verb} most against it {share}"
        contrary = "for it"
    if len(leading) > 1 and abs(leading[1][1]) >= 0.1 * abs(e.total):
        text += f", then the {leading[1][0]} ({leading[1][1]:+.1f})"
    if opposing and abs(opposing[0][1]) >= 0.1 * abs(e.total):
        text += f"; {contrary}: the {opposing[0][0]} ({opposing[0][1]:+.1f})"
    return text


PANEL = 264  # pixels, the side of a panel of the sheet


def sheet(explanation: Explanation) -> ImageArray:
    """One explanation as a picture: crop, overlay with its legend, regions, probabilities."""
    e = explanation
    if e.method == "regions":
        shown = np.array(list(e.regions.values()))[e.labels]
        unit = "logits per region"
    else:
        shown = e.values * (e.values.size / e.players)
        unit = "logits per cell"
    limit = max(float(np.abs(shown).max()), 1e-9)
    crop = draw.enlarge(e.crop, PANEL)
    p = e.prediction
    seen = f"face {p.face_id}" + ("" if p.face is None else f", found by {p.face.detector}")
    passes = f"{e.evaluations} forward pass{'es' if e.evaluations > 1 else ''}"
    evidence = f"{e.method}, {passes}, hidden parts: {e.baseline}"
    ordered = dict(sorted(e.regions.items(), key=lambda item: -item[1]))
    panels = [
        ("crop", draw.stack([crop, _note(seen)], 8)),
        (f"evidence for {_subject(e)}",
         draw.stack([draw.overlay(crop, shown, limit), draw.legend(PANEL, limit, unit)], 8)),
        (f"regions, logits (sum {e.total:+.2f})" if e.efficient else "regions, logits",
         draw.bars(ordered, PANEL)),
        ("calibrated score", draw.bars(p.emotions, PANEL, colours=COLOURS, signed=False)),
    ]  # fmt: skip
    row = draw.side_by_side(
        [draw.stack([draw.wrapped(title, PANEL, 13, draw.PALE), panel], 8)
         for title, panel in panels], 28,
    )  # fmt: skip
    parts = [draw.wrapped(e.sentence, row.shape[1], 19), row, _note(evidence, row.shape[1])]
    if e.warning:
        parts.insert(1, draw.wrapped(f"Warning: {e.warning}", row.shape[1], 14, draw.FOR))
    return draw.frame(draw.stack(parts, 14), 24)


def _subject(e: Explanation) -> str:
    return e.target if e.against is None else f"{e.target} against {e.against}"


def _note(text: str, width: int = PANEL) -> ImageArray:
    return draw.wrapped(text, width, 12, draw.PALE)


def write_png(path: Path, picture: ImageArray) -> None:
    """Write a picture; InputError where the folder does not exist or cannot be written."""
    try:
        Image.fromarray(picture).save(path, format="PNG")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error


def _data_url(picture: ImageArray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


class Explanations(Results[Explanation]):
    """Explanations of the faces of one or more images."""

    def to_dict(self) -> list[dict[str, Any]]:
        """JSON-ready records."""
        return [row.to_dict() for row in self.rows]

    def picture(self) -> ImageArray:
        """The sheets of all faces, below one another."""
        return draw.stack([sheet(row) for row in self.rows])

    def save(self, path: str | Path) -> tuple[Path, Path]:
        """Write ``path`` as PNG with all sheets and the records beside it as JSON; both paths."""
        path = Path(path)
        if path.suffix.lower() != ".png":
            raise InputError(f"{path}: expected a name ending in .png")
        if not self.rows:
            raise InputError("expected at least one explanation to save, got none")
        record = path.with_suffix(".json")
        write_png(path, self.picture())
        record.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")
        return path, record

    def _repr_html_(self) -> str:
        return "".join(row._repr_html_() for row in self.rows)
