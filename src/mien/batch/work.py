"""One work unit: its images read and scored, its rows written whole, its deaths counted."""

from __future__ import annotations

import io
import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.batch.attempts import Attempts
from mien.batch.plan import Unit, read_unit
from mien.batch.settings import JobSettings
from mien.batch.storage import Place, RemoteFile, place
from mien.batch.tables import image_column
from mien.priors import ESTIMATE
from mien.results.predictions import Predictions
from mien.types import InputError, MienError, Prediction
from mien.vision.read import Source

if TYPE_CHECKING:
    from mien.recognizer import Recognizer

COUNTS = b"mien_counts"  # in the Parquet file's metadata
FOLDER = 1000  # units whose files share a folder
PLAN = "_mien/plan.parquet"
ATTEMPTS = "_mien/attempts"
READERS = {True: 2, False: 8}  # threads that read files: here, from a store


@dataclass(frozen=True)
class Counts:
    """What one unit came to."""

    unit: int
    inputs: int = 0  # images and videos
    images: int = 0  # images and frames of videos that were analysed
    faces: int = 0
    empty: int = 0  # images without a face
    errors: dict[str, int] = field(default_factory=dict)  # by kind
    seconds: float = 0.0
    cpu: float = 0.0  # seconds of processor time
    new: bool = True  # False where it was done before


def part_of(out: Place, unit: int) -> Place:
    """Where a unit's rows are."""
    return out / f"{unit // FOLDER:05d}" / f"part-{unit:09d}.parquet"


def kind_of(error: str, name: str = "") -> str:
    """An error without what is particular to its input, for counting.

    Parameters
    ----------
    error
        The text of an error row.
    name
        The input that it names.

    >>> kind_of("expected an image of at least 8 x 8 pixels, got 3 x 4")
    'expected an image of at least 8 x 8 pixels'
    """
    text = error.removeprefix(f"{name}: ")
    text = re.sub(r"^(\S*[/\\.]\S*|bytes|file): ", "", text)
    return re.split(r" \(|; |, got ", text, maxsplit=1)[0].strip() or "unknown"


class Worker:
    """Does units; loads the model once. Runs in a Ray actor, or anywhere else."""

    def __init__(self, settings: JobSettings, output: str) -> None:
        import cv2

        from mien.loading import load

        cv2.setNumThreads(1)  # each worker has one core
        self.settings = settings
        self.out = place(output)
        self.recognizer: Recognizer = load(
            settings.model,
            head=settings.head,
            contempt=settings.contempt,
            # that of all faces is known when all are answered: mien.batch.prior
            prior=None if settings.prior == ESTIMATE else settings.prior,
            flip=settings.flip,
            detector=settings.detector,
            threads=1,
            measures=settings.measures,
        )

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """What Ray Data calls: units in, their counts out, or why there are none."""
        return {"counts": [self._counts(int(number)) for number in batch["unit"]]}

    def _counts(self, number: int) -> str:
        try:
            return json.dumps(asdict(self.do(number)))
        except MienError as error:  # Ray would wrap it, print it and pass on no more than its text
            return json.dumps({"failed": str(error)})

    def do(self, number: int) -> Counts:
        """Do one unit, unless its file is there already: then read its counts."""
        part = part_of(self.out, number)
        if part.exists():
            return replace(read_counts(part), new=False)
        started, busy = time.perf_counter(), time.process_time()
        unit = read_unit(self.out / PLAN, number)
        attempts = Attempts(self.out / ATTEMPTS / f"{number:09d}.json")
        rows: list[Prediction] = []
        images = 0
        for answers in self._answers(unit, attempts):
            rows += answers
            images += len({row.frame for row in answers})
        spent = (time.perf_counter() - started, time.process_time() - busy)
        counts = _counted(number, unit.count, images, rows, spent)
        known = self.recognizer
        table = Predictions(tuple(rows), known.labels, known.prior, known.measured)
        part.write(_parquet(table, counts))
        attempts.finish()
        return counts

    def _answers(self, unit: Unit, attempts: Attempts) -> Iterator[list[Prediction]]:
        if unit.kind == "video":
            if attempts.given_up(0):
                yield [_given_up(unit.items[0])]
            else:
                attempts.begin(0 if attempts.one_by_one else None)
                yield self._video(unit.items[0])
            return
        items = self._items(unit)
        if not attempts.one_by_one:
            yield from self._many(items)
            return
        for i, (name, source) in enumerate(items):
            if attempts.given_up(i):
                yield [_given_up(name)]
            else:
                attempts.begin(i)
                yield from self._many(iter([(name, source)]))

    def _many(self, items: Iterator[tuple[str, Source]]) -> Iterator[list[Prediction]]:
        return self.recognizer.predict_many(
            items, reduced=not self.settings.full, readers=READERS[self.out.local]
        )

    def _items(self, unit: Unit) -> Iterator[tuple[str, Source]]:
        if unit.kind == "paths":
            for name in unit.items:
                yield name, RemoteFile(name) if "://" in name else Path(name)
            return
        import pyarrow.parquet as pq

        where = place(unit.items[0])
        column, _ = image_column(where, self.settings.column)
        with where.open() as file:
            table = pq.ParquetFile(file)
            before = 0
            for rows in table.iter_batches(
                batch_size=64, row_groups=[unit.group], columns=[column]
            ):
                low, high = max(unit.start - before, 0), unit.start + unit.count - before
                values = rows.column(0).slice(low, max(min(high, len(rows)) - low, 0)).to_pylist()
                for i, value in enumerate(values, start=before + low):
                    name = f"{where}#{unit.group}:{i}"
                    if isinstance(value, dict):
                        name = value.get("path") or name
                        value = value.get("bytes")
                    yield name, value if value is not None else b""
                before += len(rows)
                if before >= unit.start + unit.count:
                    return

    def _video(self, name: str) -> list[Prediction]:
        from mien.video.frames import VideoOptions, stream

        options = VideoOptions(fps=self.settings.fps)
        try:
            if "://" not in name:
                return [row for r in stream(name, self.recognizer, options) for row in r.rows]
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / f"clip{Path(name).suffix}"
                copy.write_bytes(RemoteFile(name).read())
                results = stream(str(copy), self.recognizer, options, name=name)
                return [replace(row, input=name) for r in results for row in r.rows]
        except InputError as error:
            return [Prediction(name, error=str(error))]


def _given_up(name: str) -> Prediction:
    text = f"{name}: the worker process died while it read or scored this; try it by itself"
    return Prediction(name, error=text)


def _counted(
    unit: int, inputs: int, images: int, rows: list[Prediction], spent: tuple[float, float]
) -> Counts:
    errors = Counter(kind_of(row.error, row.input) for row in rows if row.error is not None)
    faces = sum(row.face_id is not None for row in rows)
    return Counts(
        unit,
        inputs,
        images - sum(errors.values()),
        faces,
        len(rows) - faces - sum(errors.values()),
        dict(errors),
        *spent,
    )


def _parquet(predictions: Predictions, counts: Counts) -> bytes:
    import pyarrow.parquet as pq

    table = predictions.to_arrow()
    about = {**(table.schema.metadata or {}), COUNTS: json.dumps(asdict(counts))}
    table = table.replace_schema_metadata(about)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def read_counts(part: Place) -> Counts:
    """What a unit came to, from the file of its rows; InputError where that file is damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with part.open() as file:
            return Counts(**json.loads(pq.read_schema(file).metadata[COUNTS]))
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{part}: expected the rows of a unit, but the file is cut short or not Mien's "
            f"({type(error).__name__}); delete it and run the same command: its images are then "
            "scored again"
        ) from error
