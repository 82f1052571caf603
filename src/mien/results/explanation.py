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

from mien.files import check_writable, whole_file
from mien.results.mosaic import Maps
from mien.results.predictions import Results
from mien.results.sheets import sheets
from mien.results.words import describe, paragraph
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
    values: FloatArray = field(
        repr=False
    )  # [h, w], signed; each pixel holds its part of its player's value
    regions: dict[str, float]  # summed over each facial region
    areas: dict[str, float]  # share of the crop that each region covers, sums to 1
    base: float | None  # the explained score on the baseline; None where there is no such
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
    what: str = "evidence"  # what the values are: evidence, attention, relevance or activation
    unit: str = "logits"
    signed: bool = True  # whether a value can speak against the target
    about_target: bool = True  # False where every expression would get the same map
    maps: Maps | None = field(default=None, repr=False)  # layers, heads or features, to look at

    @property
    def total(self) -> float:
        """``value - base``, what the parts should add up to; ``value`` where there is no base."""
        return self.value - (self.base or 0.0)

    def check(self) -> float:
        """Efficiency gap: ``|sum(values) - total|`` relative to ``max(|total|, 1)``.

        Near 0 for every method that promises efficiency; methods that promise none
        (``dncshap`` with the printed update, ``gradcam``) report what they miss.
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
        """A sentence where the result must be read with care, else None.

        Where the background carries clearly more than its share of the area (by a tenth, and more
        than 5 %), and where the method's parts do not add up to a total that it has.
        """
        if not self.efficient and self.base is not None:
            return f"the parts of this method do not add up to its total of {self.total:+.2g}"
        if self.efficient and self.check() > 0.05:
            return (
                f"the parts miss their total of {self.total:+.2g} by {self.check():.0%}; "
                "take more steps"
            )
        share, area = self.background_share, self.areas.get("background", 0.0)
        if share <= max(1.1 * area, 0.05):
            return None
        # a map that is the same for every expression does not say what this answer rests on
        advice = (
            "do not read this answer as being about the face alone"
            if self.about_target
            else "the network looks beside the face, too"
        )
        return (
            f"the background carries {share:.0%} of the {self.what} on {area:.0%} of the crop: "
            f"{advice}"
        )

    @property
    def sentence(self) -> str:
        """The answer and its main parts, in words."""
        return describe(self)

    @property
    def paragraph(self) -> str:
        """The answer, what made it so, and how far to believe that, in a few sentences."""
        return paragraph(self)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready record: everything but the pixels of the crop."""
        return {
            "method": self.method,
            "target": self.target,
            "against": self.against,
            "what": self.what,
            "unit": self.unit,
            "signed": self.signed,
            "about_target": self.about_target,
            "sentence": self.sentence,
            "paragraph": self.paragraph,
            "warning": self.warning,
            "regions": dict(self.regions),
            "areas": dict(self.areas),
            "interactions": {a: dict(row) for a, row in self.interactions.items()},
            "base": self.base,
            "value": self.value,
            "total": None if self.base is None else self.total,
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
        return sheets((self,))

    def save(self, path: str | Path) -> tuple[Path, Path]:
        """Write ``path`` as PNG and the record beside it as JSON; returns both paths."""
        return Explanations((self,)).save(path)

    def _repr_html_(self) -> str:
        return f'<img alt="{escape(self.sentence)}" src="{_data_url(self.picture())}">'


def _data_url(picture: ImageArray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


@dataclass(frozen=True)
class Explanations(Results[Explanation]):
    """Explanations of the faces of one or more images.

    ``errors`` are rows of the images that could not be explained, where those were collected.
    """

    errors: tuple[Prediction, ...] = ()

    def to_dict(self) -> list[dict[str, Any]]:
        """JSON-ready records."""
        return [row.to_dict() for row in self.rows]

    def picture(self) -> ImageArray:
        """A sheet for each face, below one another; InputError where there is none.

        A face that several methods explain has one sheet, with all of them side by side.
        """
        if not self.rows:
            raise InputError("expected at least one explanation to draw, got none")
        return sheets(self.rows)

    def save(self, path: str | Path) -> tuple[Path, Path]:
        """Write ``path`` as PNG with all sheets, and the records beside it; returns both paths.

        The records of ``why.png`` and of ``why.mien.png`` are in ``why.mien.json``. Each file
        appears whole or not at all. Raises InputError for another suffix, or where a file cannot
        be written.
        """
        path, record = Path(path), record_path(path)
        for place in (path, record):
            check_writable(place)
        picture = self.picture()
        with whole_file(path) as part:
            Image.fromarray(picture).save(part, format="PNG")
        with whole_file(record) as part:
            part.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")
        return path, record

    def _repr_html_(self) -> str:
        return "".join(row._repr_html_() for row in self.rows)


def record_path(picture: str | Path) -> Path:
    """Where the records beside a picture go; InputError for a name that is no PNG's.

    >>> record_path("photo.mien.png").name
    'photo.mien.json'
    """
    path = Path(picture)
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: expected a name ending in .png; rename the output")
    return path.with_name(path.stem.removesuffix(".mien") + ".mien.json")
