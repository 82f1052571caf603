"""A job's output folder: begun once, read back when the job goes on, tidied when it is done.

``_mien/`` holds ``job.json`` (the settings), ``plan.parquet`` (the units), ``attempts/`` and
``summary.json``; the rows of a unit are ``00000/part-000000000.parquet``.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import replace
from typing import Any

from mien.batch.plan import write_plan
from mien.batch.settings import JobSettings
from mien.batch.storage import Place
from mien.batch.work import ATTEMPTS, FOLDER, PLAN, Counts, part_of, read_counts
from mien.files import PART
from mien.types import InputError

ABOUT = "_mien/job.json"
SUMMARY = "_mien/summary.json"


def check_output(out: Place) -> None:
    """Raise InputError where the output is a file, or a folder that holds something else."""
    if out.exists() and not out.is_folder():
        raise InputError(f"{out}: expected a folder, got a file")
    if set(out.names()) - {"_mien"} and not (out / ABOUT).exists():
        raise InputError(f"{out}: expected a new or empty folder, or a job to go on with")


def prepare(settings: JobSettings, out: Place) -> tuple[int, int]:
    """Write the plan, or check that the one that is there has the same settings.

    Returns the numbers of units and of inputs.
    """
    check_output(out)
    if (out / ABOUT).exists():
        return _read_about(settings, out)
    from mien.loading import load

    # a wrong name fails here, in one line, not in every worker
    recognizer = load(
        settings.model,
        head=settings.head,
        contempt=settings.contempt,
        prior=settings.prior,
        flip=settings.flip,
        detector=settings.detector,
        threads=1,
    )
    (out / ATTEMPTS).make_folder()
    units, inputs = write_plan(settings, out / PLAN)
    for folder in range(0, units, FOLDER):
        (out / f"{folder // FOLDER:05d}").make_folder()
    about = {
        "settings": settings.to_dict(),
        "units": units,
        "inputs": inputs,
        "model": recognizer.model.identity,
        "detector": recognizer.detector.name,
        "prior": recognizer.prior,
    }
    # the plan counts once this is there
    (out / ABOUT).write(json.dumps(about, indent=1).encode())
    return units, inputs


def _read_about(settings: JobSettings, out: Place) -> tuple[int, int]:
    about = out / ABOUT
    try:
        raw = json.loads(about.read())
        before = JobSettings.from_json(json.dumps(raw["settings"]))
        units, inputs = int(raw["units"]), int(raw["inputs"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{about}: expected the settings of a job, but the file is cut short or not Mien's "
            f"({type(error).__name__}); give another --output, or delete {out} to begin anew"
        ) from error
    if before != settings:
        raise InputError(
            f"{out}: holds a job with other settings ({before.difference(settings)}); "
            "give another --output, or the same settings to go on"
        )
    if not (out / PLAN).exists():
        raise InputError(
            f"{out / PLAN}: the plan of the job is gone; give another --output, or delete {out} "
            "to begin anew"
        )
    return units, inputs


def leave_nothing(out: Place) -> None:
    """Remove the folders of a job that never began, where they are empty."""
    if out.local and not (out / ABOUT).exists():
        for folder in (out / ATTEMPTS, out / "_mien", out):
            with contextlib.suppress(OSError):
                os.rmdir(folder.path)  # noqa: PTH106 - fsspec's paths are strings


def finished(out: Place, units: int) -> set[int]:
    """Numbers of the units whose files are there."""
    done: set[int] = set()
    for folder in range(0, units, FOLDER):
        for name in (out / f"{folder // FOLDER:05d}").names():
            number = name.removeprefix("part-").removesuffix(".parquet")
            if name == f"part-{number}.parquet" and number.isdigit() and int(number) < units:
                done.add(int(number))
    return done


def counts_of(out: Place, unit: int) -> Counts:
    """What a unit that an earlier run did came to."""
    return replace(read_counts(part_of(out, unit)), new=False)


def read_summary(out: Place) -> dict[str, Any]:
    """The summary that is there; empty where there is none that can be read."""
    try:
        found = json.loads((out / SUMMARY).read())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_summary(out: Place, summary: dict[str, Any], settings: JobSettings) -> None:
    """Write the summary beside the rows."""
    record = {**summary, "settings": settings.to_dict()}
    (out / SUMMARY).write(json.dumps(record, indent=1).encode())


def tidy(out: Place) -> None:
    """Remove what killed workers left half written."""
    for note in (out / ATTEMPTS).names():
        (out / ATTEMPTS / note).remove()
    for folder in [out / name for name in out.names() if name.isdigit()]:
        for name in folder.names():
            if name.endswith(PART):
                (folder / name).remove()
