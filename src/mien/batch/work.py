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

from mien.batch.plan import Unit, image_column, read_unit
from mien.batch.settings import Settings
from mien.batch.storage import Place, Remote, place
from mien.results.predictions import Predictions, arrow_table
from mien.types import InputError, Prediction
from mien.vision.read import Source

if TYPE_CHECKING:
    from mien.recognizer import Recognizer

COUNTS = b"mien_counts"  # in the Parquet file's metadata
FOLDER = 1000  # units whose files share a folder
PATIENCE = 3  # tries of a unit before its images are done one by one
BLAME = 2  # deaths with one image in hand before it is given up
READERS = {True: 2, False: 8}  # threads that read files: here, from a store


@dataclass(frozen=True)
class Counts:
    """What one unit came to."""

    unit: int
    inputs: int = 0  # images and videos
    images: int = 0  # images and frames of videos that were looked at
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

    >>> kind_of("expected an image of at least 8 x 8 pixels, got 3 x 4")
    'expected an image of at least 8 x 8 pixels'
    """
    text = error.removeprefix(f"{name}: ")
    text = re.sub(r"^(\S*[/\\.]\S*|bytes|file): ", "", text)
    return re.split(r" \(|; |, got ", text, maxsplit=1)[0].strip() or "unknown"


class Worker:
    """Does units; loads the model once. Runs in a Ray actor, or anywhere else."""

    def __init__(self, settings: Settings, output: str) -> None:
        import cv2

        from mien.recognizer import load

        cv2.setNumThreads(1)  # each worker has one core
        self.settings = settings
        self.out = place(output)
        self.recognizer: Recognizer = load(
            settings.model,
            head=settings.head,
            contempt=settings.contempt,
            detector=settings.detector,
            threads=1,
        )

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """What Ray Data calls: units in, their counts out."""
        done = [json.dumps(asdict(self.do(int(number)))) for number in batch["unit"]]
        return {"counts": done}

    def do(self, number: int) -> Counts:
        """Do one unit, unless its file is there already: then read its counts."""
        part = part_of(self.out, number)
        if part.exists():
            return read_counts(part)
        started, busy = time.perf_counter(), time.process_time()
        unit = read_unit(self.out / "_mien" / "plan.parquet", number)
        tries = Tries(self.out / "_mien" / "tries" / f"{number:09d}.json")
        rows: list[Prediction] = []
        images = 0
        for answers in self._answers(unit, tries):
            rows += answers
            images += len({row.frame for row in answers})
        spent = (time.perf_counter() - started, time.process_time() - busy)
        counts = _counted(number, unit.count, images, rows, spent)
        part.write(_parquet(Predictions(tuple(rows), self.recognizer.labels), counts))
        tries.forget()
        return counts

    def _answers(self, unit: Unit, tries: Tries) -> Iterator[list[Prediction]]:
        if unit.kind == "video":
            if tries.given_up(0):
                yield [_lost(unit.items[0])]
            else:
                tries.hold(0 if tries.careful else None)
                yield self._video(unit.items[0])
            return
        items = self._items(unit)
        if not tries.careful:
            yield from self._many(items)
            return
        for i, (name, source) in enumerate(items):
            if tries.given_up(i):
                yield [_lost(name)]
            else:
                tries.hold(i)
                yield from self._many(iter([(name, source)]))

    def _many(self, items: Iterator[tuple[str, Source]]) -> Iterator[list[Prediction]]:
        return self.recognizer.predict_many(
            items, reduced=not self.settings.full, readers=READERS[self.out.local]
        )

    def _items(self, unit: Unit) -> Iterator[tuple[str, Source]]:
        if unit.kind == "paths":
            for name in unit.items:
                yield name, Remote(name) if "://" in name else Path(name)
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
        from mien.video.frames import Options, stream

        options = Options(fps=self.settings.fps)
        try:
            if "://" not in name:
                return [row for r in stream(name, self.recognizer, options) for row in r.rows]
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder) / f"clip{Path(name).suffix}"
                copy.write_bytes(Remote(name).read())
                results = stream(str(copy), self.recognizer, options, name=name)
                return [replace(row, input=name) for r in results for row in r.rows]
        except InputError as error:
            return [Prediction(name, error=str(error))]


class Tries:
    """How often a unit was begun and not ended, and which image was in hand then.

    A file that is there when the unit begins says that the last try died, by that image or by
    chance. After :data:`PATIENCE` of them the images are done one by one, each noted before it
    is taken in hand; one that was in hand at :data:`BLAME` deaths is given up.
    """

    def __init__(self, note: Place) -> None:
        self.note = note
        try:
            old = json.loads(note.read())
        except (FileNotFoundError, ValueError):
            old = {"tries": 0, "held": None, "deaths": {}}
        self.tries: int = old["tries"] + 1
        self.deaths: Counter[str] = Counter(old["deaths"])
        if old["held"] is not None:
            self.deaths[str(old["held"])] += 1
        self.careful = self.tries > PATIENCE
        self._write(None)

    def given_up(self, i: int) -> bool:
        """Whether image ``i`` of the unit is not to be tried again."""
        return self.deaths[str(i)] >= BLAME

    def hold(self, i: int | None) -> None:
        """Note the image that is in hand."""
        self._write(i)

    def forget(self) -> None:
        """The unit is done."""
        self.note.remove()

    def _write(self, held: int | None) -> None:
        self.note.write(
            json.dumps({"tries": self.tries, "held": held, "deaths": self.deaths}).encode()
        )


def _lost(name: str) -> Prediction:
    text = f"{name}: the worker ended while it was in hand; look at it by itself"
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

    table = arrow_table(predictions)
    table = table.replace_schema_metadata({COUNTS: json.dumps(asdict(counts))})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def read_counts(part: Place) -> Counts:
    """What a unit that was done before came to."""
    import pyarrow.parquet as pq

    with part.open() as file:
        raw = json.loads(pq.read_schema(file).metadata[COUNTS])
    return replace(Counts(**raw), new=False)
