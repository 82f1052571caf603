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
from mien.mosaic import Maps, mosaic
from mien.results import Results, brief, check_writable, whole_file
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

        Where the background carries more than its share of the area (and more than 5 %), and
        where the method's parts do not add up to a total that it has.
        """
        if not self.efficient and self.base is not None:
            return f"the parts of this method do not add up to its total of {self.total:+.1f}"
        if self.efficient and self.check() > 0.05:
            return (
                f"the parts miss their total of {self.total:+.1f} by {self.check():.0%}; "
                "take more steps"
            )
        share, area = self.background_share, self.areas.get("background", 0.0)
        if share <= max(area, 0.05) or f"{share:.0%}" == f"{area:.0%}":
            return None
        return (
            f"the background carries {share:.0%} of the {self.what} on {area:.0%} of the crop: "
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
            "what": self.what,
            "unit": self.unit,
            "signed": self.signed,
            "about_target": self.about_target,
            "sentence": self.sentence,
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
        return sheet(self)

    def save(self, path: str | Path) -> tuple[Path, Path]:
        """Write ``path`` as PNG and the record beside it as JSON; returns both paths."""
        return Explanations((self,)).save(path)

    def _repr_html_(self) -> str:
        return f'<img alt="{escape(self.sentence)}" src="{_data_url(self.picture())}">'


PLURAL = {"brows", "eyes", "cheeks"}


def chance(p: float) -> str:
    """A probability in words and two digits that never claims certainty.

    >>> chance(0.873), chance(0.9991), chance(0.0004)
    ('0.87', 'over 0.99', 'under 0.01')
    """
    return brief(p).replace(">", "over ").replace("<", "under ")


#: What the numbers are, for people who have not read the documentation.
FOOTNOTE = (
    "Evidence is in logits, the model's scores before they become probabilities: how much a part "
    "raises (+) or lowers (-) the score, compared with hiding it. It is what the model used, not "
    "a cause, and not what the person feels."
)


#: The same for methods whose values are not signed logits, by what their values are.
FOOTNOTES = {
    "attention": (
        "Attention says where the network looked, not what it made of it: it is the same for every "
        "expression, and has no parts that speak against."
    ),
    "relevance": (
        "Relevance follows attention and its gradients to the answer. It has no unit and no parts "
        "that speak against: compare places, not sizes."
    ),
    "activation": (
        "Activation says where a layer answers strongly, whatever for: it is the same for every "
        "expression."
    ),
}
FOOTNOTE_GRADIENTS = (
    "Evidence comes from gradients: what a small change at a place would do to the model's score, "
    "times what is there; nothing is hidden. It is what the model used, not a cause, and not what "
    "the person feels."
)


def footnote(explanation: Explanation) -> str:
    """What the numbers of this method are, for people who have not read the documentation."""
    known = FOOTNOTES.get(explanation.what)
    return known or (FOOTNOTE if explanation.base is not None else FOOTNOTE_GRADIENTS)


SMALL = 0.005  # of the crop: a region that is smaller says nothing by its density


def _looked(e: Explanation) -> str:
    """The sentence for values that are shares of a whole, none of them negative."""
    p = e.prediction
    subject = f"{e.target}, {chance(p.emotions[e.target])}"
    if e.against is not None:
        subject = f"{e.target} rather than {e.against}"
    whole = sum(e.regions.values())
    if whole <= 0:
        return f"{subject}: no region carries {e.what}"
    density = {n: v / whole / e.areas[n] for n, v in e.regions.items() if e.areas[n] >= SMALL}
    first, second, *_ = sorted(density, key=lambda name: -density[name])
    text = (
        f"{subject}: for its size the {first} has most {e.what} ({e.regions[first] / whole:.0%} on "
        f"{e.areas[first]:.0%} of the crop, {density[first]:.1f} times its share), then the "
        f"{second} ({density[second]:.1f} times)"
    )
    return text + ("" if e.about_target else "; the same for any expression")


def describe(explanation: Explanation) -> str:
    """One sentence: the class, its probability, and the regions that made or unmade it."""
    e = explanation
    if not e.signed:
        return _looked(e)
    p = e.prediction
    subject = f"{e.target}, {chance(p.emotions[e.target])}"
    if e.against is not None:
        pair = f"{chance(p.emotions[e.target])} to {chance(p.emotions[e.against])}"
        subject = f"{e.target} rather than {e.against}, {pair}"
    elif e.target != p.dominant_emotion and p.score is not None:
        subject += f" (the answer is {p.dominant_emotion}, {chance(p.score)})"
    # what does not add up to a total has no shares of it
    whole = e.total if e.efficient else sum(e.regions.values())
    digits = "+.1f" if abs(whole) >= 0.5 else "+.2g"
    of = f" of {e.total:{digits}}" if e.efficient else ""
    parts = sorted(e.regions.items(), key=lambda item: item[1], reverse=whole >= 0)
    leading = [(n, v) for n, v in parts if v * whole > 0]
    opposing = [(n, v) for n, v in reversed(parts) if v * whole < 0]
    if not leading:
        return f"{subject}: no region carries evidence; the crop is like one that is hidden"
    name, value = leading[0]
    if whole < 0:
        verb = "speak" if name in PLURAL else "speaks"
        text = f"{subject}: the {name} {verb} most against it ({value:{digits}}{of})"
    else:
        most = "mostly" if value >= 0.5 * whole else "first"
        text = f"{subject}: {most} the {name} ({value:{digits}}{of})"
    contrary = "against it" if whole >= 0 else "for it"
    if len(leading) > 1 and abs(leading[1][1]) >= 0.1 * abs(whole):
        text += f", then the {leading[1][0]} ({leading[1][1]:{digits}})"
    if opposing and abs(opposing[0][1]) >= 0.1 * abs(whole):
        text += f"; {contrary}: the {opposing[0][0]} ({opposing[0][1]:{digits}})"
    return text


PANEL = 264  # pixels, the side of a panel of the sheet


def painted(explanation: Explanation) -> tuple[FloatArray, float, str]:
    """What is laid over the crop ``[h, w]``, the value that has full colour, and the unit."""
    e = explanation
    if e.method == "regions":
        shown = np.array(list(e.regions.values()))[e.labels]
        unit = f"{e.unit} per region"
    else:
        shown = e.values * (e.values.size / e.players)
        unit = f"{e.unit} per {'pixel' if e.players == e.values.size else 'cell'}"
    return shown, max(float(np.abs(shown).max()), 1e-9), unit


def sheet(explanation: Explanation) -> ImageArray:
    """One explanation as a picture: crop, overlay with its legend, regions, probabilities."""
    e = explanation
    shown, limit, unit = painted(e)
    crop = draw.enlarge(e.crop, PANEL)
    p = e.prediction
    seen = f"face {p.face_id}" + ("" if p.face is None else f", found by {p.face.detector}")
    passes = f"{e.evaluations} forward pass{'es' if e.evaluations > 1 else ''}"
    hidden = "nothing hidden" if e.base is None else f"hidden parts: {e.baseline}"
    evidence = ", ".join([e.method, passes, hidden, *_options(e)])
    texts = {name: brief(v) for name, v in p.emotions.items()}
    ordered = dict(sorted(e.regions.items(), key=lambda item: -item[1]))
    colours = None if e.signed else dict.fromkeys(ordered, draw.LOOK)
    panels = [
        ("aligned face", draw.stack([crop, _note(seen)], 8)),
        (f"{e.what} for {_subject(e)}" if e.about_target else f"{e.what} of the network",
         draw.stack([draw.overlay(crop, shown, limit, signed=e.signed),
                     draw.legend(PANEL, limit, unit, signed=e.signed)], 8)),
        (f"regions, {e.unit}" + (f" (sum {e.total:+.2f})" if e.efficient else ""),
         draw.bars(ordered, PANEL, colours=colours, numbers="+.2f" if e.signed else ".2g")),
        ("probability of each expression",
         draw.bars(p.emotions, PANEL, colours=COLOURS, texts=texts)),
    ]  # fmt: skip
    row = draw.side_by_side(
        [draw.stack([draw.wrapped(title, PANEL, 13, draw.PALE), panel], 8)
         for title, panel in panels], 28,
    )  # fmt: skip
    width = row.shape[1]
    notes = [_note(evidence, width), _note(footnote(e), width)]
    parts = [draw.wrapped(e.sentence, width, 19), row]
    if e.maps is not None:
        parts.append(mosaic(e.maps, e.crop, width))
    parts.append(draw.stack(notes, 4))
    if e.warning:
        parts.insert(1, draw.wrapped(f"Warning: {e.warning}", row.shape[1], 14, draw.FOR))
    return draw.frame(draw.stack(parts, 14), 24)


def _options(e: Explanation) -> list[str]:
    """What the method was told or found, where it fits into a line."""
    return [f"{key} {value}" for key, value in e.options.items() if not isinstance(value, list)]


def _subject(e: Explanation) -> str:
    return e.target if e.against is None else f"{e.target} against {e.against}"


def _note(text: str, width: int = PANEL) -> ImageArray:
    return draw.wrapped(text, width, 12, draw.PALE)


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
        """The sheets of all faces, below one another; InputError where there is none."""
        if not self.rows:
            raise InputError("expected at least one explanation to draw, got none")
        return draw.stack([sheet(row) for row in self.rows])

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
