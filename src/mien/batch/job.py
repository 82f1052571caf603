"""A whole job on Ray Data: planned once, done unit by unit, gone on with after any end."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from mien.batch.plan import write_plan
from mien.batch.settings import Settings
from mien.batch.storage import PART, Place, place
from mien.batch.work import FOLDER, Counts, Worker, part_of, read_counts
from mien.results.predictions import require_parquet
from mien.types import InputError, MienError, MissingExtraError

BLOCKS = 2000  # at most so many pieces of work are known to Ray at a time


@dataclass(frozen=True)
class Summary:
    """What a job came to so far; ``seconds`` and ``rate`` are those of this run."""

    output: str
    units: int
    done: int
    inputs: int  # images and videos, of the units that are done
    images: int  # images and frames that were looked at
    faces: int
    empty: int  # images without a face
    errors: dict[str, int] = field(default_factory=dict)  # by kind, the most frequent first
    seconds: float = 0.0
    rate: float = 0.0  # images per second
    cpu: float = 0.0  # processor time of all runs' units, in seconds
    earlier: int = 0  # units that an earlier run did
    workers: int = 0
    stopped: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields."""
        return asdict(self)


def score(
    settings: Settings,
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

    Raises InputError where the output holds something else or the source is empty. After
    KeyboardInterrupt the summary is that of what is done, and ``stopped`` is True.
    """
    ray = _need_ray()
    require_parquet()
    if address is not None:
        _reach(address)
    out = place(output)
    units, inputs = prepare(settings, out)
    done = finished(out, units)
    total = _Total(output, units, workers or 0)
    for number in sorted(done):
        total.add(read_counts(part_of(out, number)))
    left = [n for n in range(units) if n not in done]
    if not left:
        return _closed(out, total, settings, inputs)
    with _running(ray, address):
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


def prepare(settings: Settings, out: Place) -> tuple[int, int]:
    """Write the plan, or check that the one that is there has the same settings."""
    about = out / "_mien" / "job.json"
    if about.exists():
        raw = json.loads(about.read())
        before = Settings.from_json(json.dumps(raw["settings"]))
        if before != settings:
            raise InputError(
                f"{out}: holds a job with other settings ({before.difference(settings)}); "
                "give another --output, or the same settings to go on"
            )
        return int(raw["units"]), int(raw["inputs"])
    if out.exists() and not out.is_folder():
        raise InputError(f"{out}: expected a folder, got a file")
    if set(out.names()) - {"_mien"}:
        raise InputError(f"{out}: expected a new or empty folder, or a job to go on with")
    from mien.recognizer import load

    # a wrong name fails here, in one line, not in every worker
    recognizer = load(
        settings.model,
        head=settings.head,
        contempt=settings.contempt,
        detector=settings.detector,
        threads=1,
    )
    fresh = not out.exists()
    try:
        (out / "_mien" / "tries").make_folder()
    except OSError as error:
        raise InputError(f"{out}: cannot be made ({error.strerror or error})") from error
    try:
        units, inputs = write_plan(settings, out / "_mien" / "plan.parquet")
    except InputError:
        if fresh and out.local:
            _leave_nothing(out)
        raise
    for folder in range(0, units, FOLDER):
        (out / f"{folder // FOLDER:05d}").make_folder()
    # the plan counts once this is there
    about.write(
        json.dumps(
            {
                "settings": settings.to_dict(),
                "units": units,
                "inputs": inputs,
                "model": recognizer.model.identity,
                "detector": recognizer.detector.name,
            },
            indent=1,
        ).encode()
    )
    return units, inputs


def _leave_nothing(out: Place) -> None:
    """Remove the folders of a job that never began, where they are empty."""
    for folder in (out / "_mien" / "tries", out / "_mien", out):
        with contextlib.suppress(OSError):
            os.rmdir(folder.path)  # noqa: PTH106 - fsspec's paths are strings


def finished(out: Place, units: int) -> set[int]:
    """Numbers of the units whose files are there."""
    done: set[int] = set()
    for folder in range(0, units, FOLDER):
        for name in (out / f"{folder // FOLDER:05d}").names():
            if name.startswith("part-") and name.endswith(".parquet"):
                done.add(int(name[5:-8]))
    return done


def _stream(
    ray: Any, settings: Settings, output: str, left: list[int], workers: int
) -> Iterator[Counts]:
    """Counts of units as they are done; Ray Data holds a few pieces per worker and no more."""
    blocks = min(len(left), max(BLOCKS, 4 * workers))
    data = ray.data.from_items([{"unit": n} for n in left], override_num_blocks=blocks)
    # Ray Data starts a worker that dies again and does again what it had in hand; the units
    # that it had written are found and not done twice
    data = data.map_batches(
        Worker,
        fn_constructor_args=(settings, output),
        batch_size=1,
        batch_format="numpy",
        concurrency=workers,
        num_cpus=1,
    )
    seen: set[int] = set()
    try:
        for row in data.iter_rows():
            counts = Counts(**json.loads(row["counts"]))
            if counts.unit not in seen:
                seen.add(counts.unit)
                yield counts
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, MienError):
            raise cause from error
        raise


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
            self.output,
            self.units,
            self.done,
            self.inputs,
            self.images,
            self.faces,
            self.empty,
            dict(self.errors.most_common()),
            seconds,
            self.fresh / max(seconds, 1e-9),
            self.cpu,
            self.earlier,
            self.workers,
            self.stopped,
        )


def _closed(out: Place, total: _Total, settings: Settings, inputs: int) -> Summary:
    """The summary, written beside the rows."""
    summary = total.summary()
    if summary.done == summary.units and summary.inputs != inputs:
        raise MienError(
            f"{out}: expected rows of {inputs} inputs, got {summary.inputs}; a file was changed: "
            "delete the folder and run again"
        )
    if summary.done == summary.units:
        _sweep(out)
    beside = out / "_mien" / "summary.json"
    if summary.earlier == summary.units and beside.exists():
        kept = json.loads(beside.read())
        if kept["done"] == summary.units:
            return summary  # nothing was left to do: the times of the run that did it stand
    record = {**summary.to_dict(), "settings": settings.to_dict()}
    beside.write(json.dumps(record, indent=1).encode())
    return summary


def _sweep(out: Place) -> None:
    """Remove what killed workers left half written."""
    folders = [out / name for name in out.names() if name.isdigit()]
    for folder in [*folders, out / "_mien" / "tries"]:
        for name in folder.names():
            if name.endswith(PART) or folder.path.endswith("tries"):
                (folder / name).remove()


def _need_ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError(
            "batches need Ray, which is not installed; run: pip install 'mien[batch]'"
        ) from error
    return ray


@contextlib.contextmanager
def _running(ray: Any, address: str | None) -> Iterator[None]:
    """Ray, started here unless it runs already; quiet, and shut down again if it was started."""
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # restarts are told by the summary
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    # rows never travel through Ray's object store, only counts do
    local = {"include_dashboard": False, "object_store_memory": 150 * 2**20}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _start(ray, address, {**quiet, **({} if address else local)})
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise InputError where nobody listens at HOST:PORT: Ray would try for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        return  # auto and the like: Ray knows where to look
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{address}: expected a Ray cluster, but none answers there ({reason}); "
            "give HOST:PORT of its head, or auto"
        ) from error


def _start(ray: Any, address: str | None, options: dict[str, Any]) -> None:
    """Start or reach Ray; a busy machine is given a second chance."""
    for chance in range(2):
        try:
            with _silent():
                ray.init(address=address, **options)
            return
        except (ConnectionError, ValueError) as error:
            raise InputError(
                f"{address}: expected a Ray cluster, but none answers there ({error})"
            ) from error
        except Exception as error:  # Ray gives itself 30 seconds and raises a bare Exception
            if "timed out" not in str(error) or chance:
                raise MienError(
                    f"Ray could not be started ({str(error).splitlines()[0]}); where the machine "
                    "is busy, try again later"
                ) from error
            ray.shutdown()


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without what libraries in C++ write to stderr: Ray says how much it will say."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)
