"""Explanation: the evidence for one answer, in numbers, in words and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from mien.files import check_writable, write_whole
from mien.results.attribution import Attribution
from mien.results.draw import data_url
from mien.results.drawing import Drawing
from mien.results.evidence import Evidence, Query
from mien.results.evidence_rows import COLUMNS, KINDS, error_row, evidence_row
from mien.results.explanation_figure import figure as explanation_figure
from mien.results.frames import arrow_table, data_frame
from mien.results.overview import Overview
from mien.results.predictions import Results, read_prediction
from mien.results.sheets import sheets
from mien.results.vector import picture_file, picture_kind
from mien.results.words import describe, paragraph
from mien.types import FloatArray, ImageArray, InputError, Prediction
from mien.vision.regions import REGIONS, region_labels
from mien.wording import counted

SIDE = 192  # pixels of the crop that a loaded explanation is drawn on where it has no face


class Explanation(Attribution):
    """Why one face got (or did not get) one answer, in signed logits; numbers, words, picture.

    Its fields and numbers are those of :class:`mien.results.attribution.Attribution`.
    """

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
            "query": asdict(self.query),
            "what": self.what,
            "unit": self.unit,
            "signed": self.signed,
            "about_target": self.about_target,
            "regional": self.evidence.regional,
            "sentence": self.sentence,
            "paragraph": self.paragraph,
            "warning": self.warning,
            "footnote": self.footnote,
            "regions": dict(self.regions),
            "areas": dict(self.areas),
            "interactions": self.interactions,
            "base": self.base,
            "value": self.value,
            "total": None if self.base is None else self.total,
            "efficient": self.efficient,
            "efficiency_gap": self.check() if self.efficient else None,
            "baseline": self.baseline,
            "reference": self.evidence.reference,
            "remedy": self.evidence.remedy,
            "seed": self.seed,
            "players": self.players,
            "evaluations": self.evaluations,
            "seconds": self.seconds,
            "options": dict(self.options),
            "model": self.model,
            "prior": None if self.prior is None else dict(self.prior),
            "flip": self.flip,
            "versions": dict(self.versions),
            "prediction": self.prediction.to_dict(),
            # to the last pixel of a region: fewer digits gave one back on the other side of an edge
            "landmarks": np.asarray(self.landmarks, dtype=float).round(6).tolist(),
            "values": _brief(self.values).tolist(),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any], *, crop: ImageArray | None = None) -> Explanation:
        """The explanation that a record tells of, with the numbers as they were rounded there.

        A record holds no pixels of the face: without ``crop`` ``[H, W, 3] uint8`` the pictures
        are drawn on grey; layers, heads and features behind the map are not kept. Raises
        InputError for a record that lacks something.

        Parameters
        ----------
        record
            What :meth:`to_dict` gave.
        """
        try:
            values = np.asarray(record["values"], dtype=np.float64)
            landmarks = np.asarray(record["landmarks"], dtype=np.float64)
            return cls(
                query=Query(**record["query"]),
                evidence=_evidence(record, values),
                about_target=bool(record["about_target"]),
                footnote=str(record["footnote"]),
                prediction=read_prediction(record["prediction"]),
                crop=_grey() if crop is None else crop,
                labels=region_labels(landmarks, len(values)),
                landmarks=landmarks,
                seconds=float(record["seconds"]),
                model=str(record["model"]),
                versions=dict(record["versions"]),
                prior=None if record.get("prior") is None else dict(record["prior"]),
                flip=bool(record.get("flip", False)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"expected the record of an explanation, got one that lacks or breaks {error}"
            ) from error

    def plot(self) -> Any:
        """A matplotlib figure to restyle: the face, the evidence over it, the regions' values.

        MissingExtraError without matplotlib.
        """
        return explanation_figure(self)

    def __repr__(self) -> str:
        return f"<Explanation of {self.prediction.input}: {self.method}: {self.sentence}>"

    def drawing(self, *, landmarks: bool = False) -> Drawing:
        """The sheet, to be drawn at any size: crop, overlay, region bars, probabilities.

        Parameters
        ----------
        landmarks
            Put a dot on each landmark of the aligned face.
        """
        return sheets((self,), landmarks=landmarks)

    def picture(self, scale: float = 1.0, *, landmarks: bool = False) -> ImageArray:
        """The sheet that :meth:`save` writes, as pixels ``[H, W, 3] uint8``.

        Parameters
        ----------
        scale
            Pixels of the picture for one of the usual sheet.
        landmarks
            Put a dot on each landmark of the aligned face.
        """
        return self.drawing(landmarks=landmarks).raster(scale)

    def save(
        self, path: str | Path, *, scale: float = 1.0, landmarks: bool = False
    ) -> tuple[Path, Path]:
        """Write the picture and its record; as :meth:`Explanations.save`.

        Parameters
        ----------
        path
            The file; its suffix is the format.
        scale
            Of PNG: pixels for one of the usual sheet.
        landmarks
            Put a dot on each landmark of the aligned face.
        """
        return Explanations((self,)).save(path, scale=scale, landmarks=landmarks)

    def _repr_html_(self) -> str:
        name = f"{self.prediction.input}: {self.sentence}"
        return f'<p>{escape(name)}</p><img alt="{escape(name)}" src="{data_url(self.picture())}">'


def _brief(values: FloatArray) -> FloatArray:
    """The map with eight digits after its largest value's first, however small that is."""
    largest = float(np.abs(values).max(initial=0.0))
    decimals = 8 - int(np.floor(np.log10(largest))) if largest > 0 else 8
    return np.asarray(values, dtype=float).round(max(decimals, 6))


def _evidence(record: Mapping[str, Any], values: FloatArray) -> Evidence:
    pairs = record["interactions"]
    matrix = [[float(pairs[a][b]) for b in REGIONS] for a in REGIONS] if pairs else None
    return Evidence(
        values=values,
        base=record["base"],
        value=float(record["value"]),
        players=int(record["players"]),
        evaluations=int(record["evaluations"]),
        interactions=None if matrix is None else np.array(matrix),
        efficient=bool(record["efficient"]),
        baseline=str(record["baseline"]),
        reference=str(record["reference"]),
        remedy=str(record["remedy"]),
        seed=record["seed"],
        options=dict(record["options"]),
        what=str(record["what"]),
        unit=str(record["unit"]),
        signed=bool(record["signed"]),
        regional=bool(record["regional"]),
    )


def _grey() -> ImageArray:
    """A crop that shows no face, with enough contrast not to pass for an even one."""
    rows = np.linspace(200, 224, SIDE, dtype=np.uint8)
    return np.repeat(np.repeat(rows[:, None], SIDE, axis=1)[:, :, None], 3, axis=2)


@dataclass(frozen=True, repr=False)
class Explanations(Results[Explanation]):
    """Explanations of the faces of one or more images.

    ``errors`` are rows of the images that could not be explained, where those were collected;
    ``overviews`` are photos that show several faces, by their names. ``files`` are what the sheets'
    footers call photos, by their names, where a file's name alone is not what is wanted.
    """

    errors: tuple[Prediction, ...] = ()
    overviews: Mapping[str, Overview] = field(default_factory=dict, repr=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)

    def to_dict(self) -> list[dict[str, Any]]:
        """JSON-ready records."""
        return [row.to_dict() for row in self.rows]

    def table(self) -> list[dict[str, Any]]:
        """Flat rows: one per face and method, a column per facial region, then the errors."""
        return [*map(evidence_row, self.rows), *map(error_row, self.errors)]

    def to_pandas(self) -> Any:
        """:meth:`table` as a pandas data frame; MissingExtraError without pandas."""
        return data_frame(self.table(), COLUMNS, ("face_id",))

    def to_arrow(self) -> Any:
        """:meth:`table` as an Arrow table; MissingExtraError without pyarrow."""
        return arrow_table(self.table(), KINDS)

    def __repr__(self) -> str:
        faces = {(row.prediction.input, row.prediction.face_id) for row in self.rows}
        methods = ", ".join(dict.fromkeys(row.method for row in self.rows))
        failed = f", {counted(len(self.errors), 'error')}" if self.errors else ""
        by = f" by {methods}" if methods else ""
        return f"<Explanations: {counted(len(faces), 'face')}{by}{failed}>"

    def drawing(self, *, landmarks: bool = False) -> Drawing:
        """A sheet for each face, below one another; InputError where there is none.

        A face that several methods explain has one sheet, with all of them side by side. Above
        the faces of a group photo stands the photo, with their numbers. With ``landmarks``, a dot
        stands on each landmark of the aligned faces.
        """
        if not self.rows:
            raise InputError("expected at least one explanation to draw, got none")
        return sheets(self.rows, self.overviews, self.files, landmarks=landmarks)

    def picture(self, scale: float = 1.0, *, landmarks: bool = False) -> ImageArray:
        """The sheets as pixels ``[H, W, 3] uint8``, ``scale`` times as large.

        With ``landmarks`` they are drawn as dots.
        """
        return self.drawing(landmarks=landmarks).raster(scale)

    def save(
        self, path: str | Path, *, scale: float = 1.0, landmarks: bool = False
    ) -> tuple[Path, Path]:
        """Write all sheets as ``path`` and the records beside it; returns both paths.

        ``path`` ends in .png, .svg or .pdf; a PNG has ``scale`` times the pixels, and says that
        so many more of them make an inch. With ``landmarks`` they are drawn as dots. The records of
        ``why.png`` and of ``why.mien.png`` are in ``why.mien.json``. Each file appears whole or
        not at all. Raises InputError for another suffix, or where a file cannot be written.
        """
        path, record = Path(path), record_path(path)
        for place in (path, record):
            check_writable(place)
        drawn = self.drawing(landmarks=landmarks)
        write_whole(path, picture_file(drawn, picture_kind(path), scale))
        write_whole(record, json.dumps(self.to_dict(), indent=1) + "\n")
        return path, record

    @classmethod
    def load(cls, path: str | Path, *, crops: Sequence[ImageArray] = ()) -> Explanations:
        """The explanations of a ``.mien.json`` file that :meth:`save` wrote.

        ``crops`` ``[H, W, 3] uint8``, one for each record, are drawn on; a record holds no pixels
        of the face. Raises InputError for a file that holds no records.

        Parameters
        ----------
        path
            The JSON file beside a picture.
        """
        path = Path(path)
        try:
            records = json.loads(path.read_text(encoding="utf-8"))
            faces: list[ImageArray | None] = [*crops] or [None] * len(records)
            found = [
                Explanation.from_dict(record, crop=crop)
                for record, crop in zip(records, faces, strict=True)
            ]
        except (OSError, ValueError, TypeError) as error:
            raise InputError(f"{path}: expected records of mien explain ({error})") from error
        return cls(tuple(found))

    def _repr_html_(self) -> str:
        failed = "".join(f"<p>{escape(str(row.error))}</p>" for row in self.errors)
        return "".join(row._repr_html_() for row in self.rows) + failed


def record_path(picture: str | Path) -> Path:
    """Where the records beside a picture go; InputError for a name that is no picture's.

    >>> record_path("photo.mien.png").name
    'photo.mien.json'
    """
    path = Path(picture)
    picture_kind(path)
    return path.with_name(path.stem.removesuffix(".mien") + ".mien.json")
