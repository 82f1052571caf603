"""A whole job on Ray Data: planned once, done unit by unit, resumed after an interruption."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mien.batch import folder
from mien.batch.cluster import check_address, need_ray, running
from mien.batch.lock import locked
from mien.batch.prior import estimate_prior
from mien.batch.settings import JobSettings
from mien.batch.storage import Place, place
from mien.batch.work import Counts, Worker
from mien.priors import ESTIMATE
from mien.results.predictions import require_parquet
from mien.types import InputError

BLOCKS = 2000  # at most so many pieces of work are known to Ray at a time


@dataclass(frozen=True)
class Summary:
    """What a job came to so far; ``seconds`` and ``rate`` are those of this run."""

    output: str  # the folder of the rows
    units: int  # pieces that the work was cut into
    done: int  # of these, finished
    inputs: int  # images and videos, of the units that are done
    images: int  # images and frames that were analysed
    faces: int  # rows with an answer
    empty: int  # images without a face
    errors: dict[str, int] = field(default_factory=dict)  # by kind, the most frequent first
    seconds: float = 0.0
    rate: float = 0.0  # images per second
    cpu: float = 0.0  # processor time of all runs' units, in seconds
    earlier: int = 0  # units that an earlier run did
    workers: int = 0  # processes that scored
    stopped: bool = False  # whether it was ended before all was done
    prior: dict[str, float] | None = None  # estimated from all faces, where it was asked for

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return asdict(self)


def score(
    settings: JobSettings,
    output: str,
    *,
    address: str | None = None,
    workers: int | None = None,
    progress: Callable[[Summary], None] | None = None,
) -> Summary:
    """Score every image of a source; one row per face, per image without one, per error.

    Parameters
    ----------
    settings
        The source and what decides its rows.
    output
        A folder, here or in an object store, for Parquet files of at most ``settings.unit``
        images each. Where an earlier run of the same settings ended, this one goes on.
    address
        Of a Ray cluster; default: this machine. Workers must see the same paths.
    workers
        Processes, of one core each; default: all cores.
    progress
        Called after each unit.

    Raises InputError where the output holds something else, another job works on it, it cannot
    be written, or the source is empty. After KeyboardInterrupt the summary is that of what is
    done, and ``stopped`` is True.
    """
    ray = need_ray()
    require_parquet()
    if address is not None:
        check_address(address)
    out = place(output)
    folder.check_output(out)
    (out / "_mien").make_folder()
    try:
        with locked(out):
            return _score(ray, settings, out, output, address, workers, progress)
    finally:
        folder.leave_nothing(out)


def _score(
    ray: Any,
    settings: JobSettings,
    out: Place,
    output: str,
    address: str | None,
    workers: int | None,
    progress: Callable[[Summary], None] | None,
) -> Summary:
    """The job, by the process that holds the output's lock."""
    units, inputs = folder.prepare(settings, out)
    done = folder.finished(out, units)
    total = _Total(output, units, workers or 0)
    for number in sorted(done):
        total.add(folder.counts_of(out, number))
    left = [n for n in range(units) if n not in done]
    if not left:
        return _closed(out, total, settings, inputs)
    with running(ray, address):
        cores = int(ray.cluster_resources().get("CPU", 1))
        total.workers = min(workers or cores, len(left))
        try:
            for counts in _stream(ray, settings, str(out), left, total.workers):
                total.add(counts)
                if progress is not None:
                    progress(total.summary())
        except KeyboardInterrupt:
            total.stopped = True
    return _closed(out, total, settings, inputs)


def _stream(
    ray: Any, settings: JobSettings, output: str, left: list[int], workers: int
) -> Iterator[Counts]:
    """Counts of units as they are done; Ray Data holds a few pieces per worker and no more."""
    blocks = min(len(left), max(BLOCKS, 4 * workers))
    data = ray.data.from_items([{"unit": n} for n in left], override_num_blocks=blocks)
    # Ray Data replaces a worker that dies and repeats what it was given; units that it had
    # written are found and not done twice
    data = data.map_batches(
        Worker,
        fn_constructor_args=(settings, output),
        batch_size=1,
        batch_format="numpy",
        concurrency=workers,
        num_cpus=1,
    )
    seen: set[int] = set()
    for row in data.iter_rows():
        found = json.loads(row["counts"])
        if "failed" in found:
            raise InputError(found["failed"])
        counts = Counts(**found)
        if counts.unit not in seen:
            seen.add(counts.unit)
            yield counts


class _Total:
    """Sums over units."""

    def __init__(self, output: str, units: int, workers: int) -> None:
        self.output, self.units, self.workers = output, units, workers
        self.started = time.perf_counter()
        self.done = self.inputs = self.images = self.faces = self.empty = 0
        self.earlier = self.fresh = 0
        self.errors: Counter[str] = Counter()
        self.cpu = 0.0
        self.stopped = False

    def add(self, counts: Counts) -> None:
        self.done += 1
        self.inputs += counts.inputs
        self.images += counts.images
        self.faces += counts.faces
        self.empty += counts.empty
        self.errors.update(counts.errors)
        self.cpu += counts.cpu
        self.earlier += not counts.new
        self.fresh += counts.images + sum(counts.errors.values()) if counts.new else 0

    def summary(self) -> Summary:
        seconds = time.perf_counter() - self.started
        return Summary(
            output=self.output,
            units=self.units,
            done=self.done,
            inputs=self.inputs,
            images=self.images,
            faces=self.faces,
            empty=self.empty,
            errors=dict(self.errors.most_common()),
            seconds=seconds,
            rate=self.fresh / max(seconds, 1e-9),
            cpu=self.cpu,
            earlier=self.earlier,
            workers=self.workers,
            stopped=self.stopped,
        )


def _closed(out: Place, total: _Total, settings: JobSettings, inputs: int) -> Summary:
    """The summary, written beside the rows."""
    summary = total.summary()
    whole = summary.done == summary.units
    if whole and summary.inputs != inputs:
        raise InputError(
            f"{out}: expected rows of {inputs} inputs, got {summary.inputs}: a file of rows was "
            "changed; give another --output, or delete the folder to begin anew"
        )
    if whole:
        if settings.prior == ESTIMATE:
            summary = replace(summary, prior=estimate_prior(out, summary.units))
        folder.tidy(out)
    if summary.earlier == summary.units and folder.read_summary(out).get("done") == summary.units:
        return summary  # nothing was left to do: the times of the run that did it stand
    folder.write_summary(out, summary.to_dict(), settings)
    return summary
