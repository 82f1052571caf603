"""mien.batch on Ray: whole jobs, and what is left when they are killed.

All tests that take Ray stand here: files are shared out to processes, and each would start its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pyarrow.dataset as ds
import pytest

from mien.batch import JobSettings, Summary, folder, score
from mien.batch.storage import place
from mien.extras import install
from mien.types import InputError
from tests.batch.conftest import jpeg
from tests.batch.test_units import HAAR
from tests.conftest import ROOT
from tests.pages import follow, same
from tests.test_cli import one_line

Run = Callable[..., "CompletedProcess[str]"]


def rows_of(out: Path) -> list[dict[str, Any]]:
    return list(ds.dataset(str(out), format="parquet").to_table().to_pylist())


def workers() -> list[int]:
    """Process ids of Ray's actors that do units."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().startswith(b"ray::MapWorker"):
                found.append(int(path.parent.name))
        except OSError:
            continue  # it has just ended
    return found


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty photos, two of them broken."""
    folder = tmp_path_factory.mktemp("many")
    pictures = [jpeg(n) for n in range(12)]
    for n in range(58):
        (folder / f"{n:03d}.jpg").write_bytes(pictures[n % 12])
    for n in range(2):
        (folder / f"broken{n}.jpg").write_bytes(b"no image")
    return folder


def test_a_job_is_interrupted_goes_on_and_is_summed_up(
    photos: Path, tmp_path: Path, ray_address: str
) -> None:
    assert ray_address
    settings = JobSettings((str(photos),), detector="haar", unit=3)
    out = tmp_path / "scores"

    def stop(summary: Summary) -> None:
        if summary.done == 2:
            raise KeyboardInterrupt

    first = score(settings, str(out), workers=1, progress=stop)
    assert (first.stopped, first.done, first.units) == (True, 2, 5)
    for last in out.glob("*/part-*4.parquet"):  # a quick worker ends what it has in hand
        last.unlink()
    seen: list[Summary] = []
    summary = score(settings, str(out), workers=2, progress=seen.append)
    assert (summary.done, summary.units, summary.inputs, summary.images) == (5, 5, 13, 12)
    assert summary.errors == {"expected an image, but it cannot be read": 1}
    assert summary.earlier >= 2
    assert summary.rate > 0
    assert [s.done for s in seen] == list(range(summary.earlier + 1, 6))
    rows = rows_of(out)
    assert len(rows) == summary.faces + summary.empty + 1
    assert len({(r["input"], r["face_id"]) for r in rows}) == len(rows)
    saved = json.loads((out / "_mien" / "summary.json").read_text())
    assert saved["faces"] == summary.faces
    again = score(settings, str(out))  # nothing is left: no worker starts
    assert (again.earlier, again.done, again.faces) == (5, 5, summary.faces)
    assert json.loads((out / "_mien" / "summary.json").read_text()) == saved  # its times stand


def test_killed_workers_and_a_killed_job_lose_nothing_and_double_nothing(
    many: Path, tmp_path: Path, ray_address: str
) -> None:
    """``kill -9`` of a worker, and of the whole job; benchmarks/scale.py kills twenty times."""
    out = tmp_path / "scores"
    command = [
        sys.executable,
        "-c",
        "from mien.commands.main import main; main()",
        "batch",
        str(many),
        "-o",
        str(out),
        "--unit",
        "4",
        "--detector",
        "haar",
        "--workers",
        "2",
        "--address",
        ray_address,
    ]

    def parts() -> int:
        return len(list(out.glob("*/part-*.parquet")))

    def wait(ready: Callable[[], bool]) -> None:
        end = time.monotonic() + 180
        while not ready():
            assert time.monotonic() < end
            time.sleep(0.02)

    before = set(workers())

    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait(lambda: parts() >= 2)
    os.kill((set(workers()) - before).pop(), signal.SIGKILL)
    at = parts()
    wait(lambda: parts() >= at + 1)
    first.kill()
    first.wait()
    done = parts()
    assert done < 15
    second = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert second.returncode == 1, second.stderr  # two images are broken
    assert "done before" in second.stdout
    rows = rows_of(out)
    assert {Path(r["input"]).name for r in rows} == {p.name for p in many.iterdir()}  # none lost
    assert max(Counter((r["input"], r["face_id"]) for r in rows).values()) == 1  # none twice
    assert sum(r["error"] is not None for r in rows) == 2
    assert not list(out.rglob("*.part"))
    assert not list((out / "_mien" / "attempts").iterdir())


def test_a_worker_s_error_reaches_the_command_as_it_is(
    tmp_path: Path, photos: Path, ray_address: str
) -> None:
    assert ray_address
    settings = JobSettings((str(photos),), **HAAR)
    out = tmp_path / "out"
    folder.prepare(settings, place(str(out)))
    (out / "00000").rmdir()
    (out / "00000").write_text("a file where the rows should go")
    with pytest.raises(InputError, match=r"cannot be written .*; make room there"):
        score(settings, str(out), workers=1)


def test_the_first_batch_goes_as_its_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ray_address: str
) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    page = ROOT / "docs" / "tutorials" / "first-batch.md"
    printed = follow(page, also=["--address", ray_address], codes=(1,))  # one photo is broken
    assert len(printed) == 2
    for block, said in printed:
        assert same(block.code, said), (block.line, said)


def test_a_wrong_model_fails_before_any_worker_starts(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown model"):
        score(JobSettings((str(photos),), model="large"), str(tmp_path / "out"))
    with pytest.raises(InputError, match="no such file"):
        score(JobSettings(("absent",)), str(tmp_path / "out"))


def test_the_base_install_says_what_to_install(run: Run, photos: Path, tmp_path: Path) -> None:
    done = run("batch", str(photos), "-o", str(tmp_path / "out"))
    assert done.returncode == 2
    assert install("batch") in one_line(done)
    assert not (tmp_path / "out").exists()
