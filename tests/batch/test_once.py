"""Each image exactly once, and nothing lost where files, disks or other jobs are not as hoped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mien.batch import JobSettings, folder, job, lock, plan
from mien.batch.lock import locked
from mien.batch.storage import place
from mien.batch.work import Worker, part_of, read_counts
from mien.extras import present
from mien.types import InputError
from tests.batch.conftest import jpeg
from tests.batch.test_units import HAAR, done, planned


def test_what_is_named_twice_is_scored_once(tmp_path: Path, photos: Path) -> None:
    listed = tmp_path / "list.txt"
    inside = f"{photos}/in [b]/01.jpg"
    spelled = f"{photos}/in [b]/../in [b]/./01.jpg"
    listed.write_text("\n".join([inside, spelled, inside, f"{photos}/00.jpg"]))
    for sources in (
        (photos, photos),
        (photos, photos / "in [b]"),
        (photos / "in [b]", photos),
        (photos, listed),
        (listed, photos),
        (photos, f"{photos}/*.jpg", photos / "00.jpg"),
    ):
        names = [os.path.realpath(n) for u in planned(tmp_path, *sources) for n in u.items]
        assert len(names) == len(set(names)) == 13, sources
    assert [u.items for u in planned(tmp_path, listed)] == [(inside, f"{photos}/00.jpg")]


def test_a_table_named_twice_is_scored_once(tmp_path: Path) -> None:
    path = tmp_path / "images.parquet"
    pq.write_table(pa.table({"image": [jpeg(n) for n in range(3)]}), path)
    assert sum(u.count for u in planned(tmp_path, path, path)) == 3
    paths = tmp_path / "paths.parquet"
    pq.write_table(pa.table({"path": ["a.jpg", "b.jpg", "a.jpg"]}), paths)
    assert [u.items for u in planned(tmp_path, paths)] == [("a.jpg", "b.jpg")]


def test_a_byte_order_mark_is_no_part_of_a_path(tmp_path: Path, photos: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"{photos}/00.jpg\r\n{photos}/02.jpg\r\n", encoding="utf-8-sig")
    rows, _ = done(tmp_path, listed)
    assert [row["error"] for row in rows] == [None] * len(rows)
    assert rows[0]["input"] == f"{photos}/00.jpg"


def test_names_that_are_no_utf8_stay_apart(tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    odd.mkdir()
    for byte in (b"\xe9", b"\xe8"):
        with open(os.fsencode(str(odd)) + b"/caf" + byte + b".jpg", "wb") as file:  # noqa: PTH123 - the name is bytes
            file.write(jpeg(1))
    rows, _ = done(tmp_path, odd)
    assert len({row["input"] for row in rows}) == 2
    assert all(row["error"] is None for row in rows)


def test_pipes_are_rows_and_no_sources(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "good.jpg").write_bytes(jpeg(1))
    for name in ("pipe.jpg", "pipe.mp4", "list.txt", "table.parquet"):
        os.mkfifo(source / name)
    rows, _ = done(tmp_path, source)
    errors = {Path(row["input"]).name: row["error"] for row in rows}
    assert errors["good.jpg"] is None
    assert "a pipe" in errors["pipe.jpg"]
    assert "a pipe" in errors["pipe.mp4"]
    for name in ("list.txt", "table.parquet"):
        with pytest.raises(InputError, match="pipe or a device"):
            planned(tmp_path, source / name)


def test_pictures_of_phones_are_rows(tmp_path: Path) -> None:
    """Read where pillow-heif is installed; else the row says what is missing."""
    head = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"
    (tmp_path / "IMG_1.HEIC").write_bytes(head + b"\x00" * 100)
    rows, worker = done(tmp_path, tmp_path)
    assert [Path(row["input"]).name for row in rows] == ["IMG_1.HEIC"]
    if not present("pillow_heif"):
        assert "pip install pillow-heif" in rows[0]["error"]
    assert sum(read_counts(part_of(worker.out, 0)).errors.values()) == 1


@pytest.fixture
def finished(tmp_path: Path, photos: Path) -> tuple[JobSettings, Path]:
    """A job whose units are all done."""
    settings = JobSettings((str(photos),), unit=5, **HAAR)
    out = tmp_path / "out"
    units, _ = folder.prepare(settings, place(str(out)))
    worker = Worker(settings, str(out))
    for n in range(units):
        worker.do(n)
    job.score(settings, str(out))
    return settings, out


@pytest.mark.parametrize("damage", ["cut", "empty", "foreign", "list"])
@pytest.mark.parametrize("name", ["_mien/job.json", "_mien/plan.parquet", "part"])
def test_damaged_files_of_a_job_are_named_with_the_way_out(
    finished: tuple[JobSettings, Path], damage: str, name: str
) -> None:
    settings, out = finished
    path = Path(str(part_of(place(str(out)), 1))) if name == "part" else out / name
    content = path.read_bytes()
    wrong = {
        "cut": content[: len(content) // 2],
        "empty": b"",
        "foreign": b"\x00\xff no such file",
        "list": b"[]",
    }[damage]
    path.write_bytes(wrong)
    if name == "_mien/plan.parquet":  # it is read when a unit is left to do
        Path(str(part_of(place(str(out)), 1))).unlink()
        plan._plan_group.cache_clear()
        with pytest.raises(InputError) as error:
            Worker(settings, str(out)).do(1)
    else:
        with pytest.raises(InputError) as error:
            job.score(settings, str(out))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert any(word in str(error.value) for word in ("delete", "give another --output"))


def test_a_part_that_is_deleted_as_advised_is_done_again(
    finished: tuple[JobSettings, Path],
) -> None:
    settings, out = finished
    part = Path(str(part_of(place(str(out)), 1)))
    before = pq.read_table(part)
    part.unlink()
    assert folder.finished(place(str(out)), 3) == {0, 2}
    Worker(settings, str(out)).do(1)
    assert pq.read_table(part).equals(before)


@pytest.mark.parametrize("content", [b"", b'{"done"', b"[]", b"\xff"])
def test_a_damaged_summary_is_written_anew(
    finished: tuple[JobSettings, Path], content: bytes
) -> None:
    settings, out = finished
    (out / "_mien" / "summary.json").write_bytes(content)
    job.score(settings, str(out))
    assert json.loads((out / "_mien" / "summary.json").read_text())["done"] == 3


def test_a_full_disk_is_one_line_and_the_job_goes_on_when_there_is_room(
    tmp_path: Path, photos: Path
) -> None:
    """A limit on the size of files stands for the disk: the system refuses in the same way."""
    settings = JobSettings((str(photos),), **HAAR)
    out = tmp_path / "out"
    folder.prepare(settings, place(str(out)))
    program = (
        "import resource, signal, sys\n"
        "from mien.batch import JobSettings\n"
        "from mien.batch.work import Worker\n"
        "from mien.types import InputError\n"
        f"worker = Worker(JobSettings(({str(photos)!r},), detector='haar'), {str(out)!r})\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        "try:\n"
        "    worker.do(0)\n"
        "except InputError as error:\n"
        "    print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    ).stdout.strip()
    part = part_of(place(str(out)), 0)
    assert said.startswith(f"{part}: cannot be written (File too large); make room")
    assert "run the same command to go on" in said
    assert not list(out.rglob("*.part"))
    assert not part.exists()
    assert Worker(settings, str(out)).do(0).images == 12


def holding(out: Path) -> subprocess.Popen[str]:
    """A process that holds the lock of an output until it is killed."""
    program = (
        "import sys, time\n"
        "from mien.batch.lock import locked\n"
        "from mien.batch.storage import place\n"
        f"with locked(place({str(out)!r})):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(60)\n"
    )
    held = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert held.stdout is not None
    assert held.stdout.readline() == "held\n"
    return held


def test_two_jobs_do_not_share_an_output_and_a_dead_one_gives_it_up(
    tmp_path: Path, photos: Path
) -> None:
    out = tmp_path / "out"
    (out / "_mien").mkdir(parents=True)
    held = holding(out)
    try:
        # at once, and before the settings are compared or a worker is started
        for unit in (5, 9):
            with pytest.raises(InputError, match=f"process {held.pid} on ") as error:
                job.score(JobSettings((str(photos),), unit=unit, **HAAR), str(out))
            assert "delete" not in str(error.value)
    finally:
        held.kill()
        held.wait()
        assert held.stdout is not None
        held.stdout.close()
    with locked(place(str(out))):
        pass


def test_in_an_object_store_an_owner_without_news_loses_the_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = place("memory://bucket/locked")
    mine = f"process {os.getpid()} on "
    with locked(out), pytest.raises(InputError, match=mine), locked(out):
        pass
    assert not (out / lock.NOTE).exists()
    with locked(out):
        pass
    old: dict[str, Any] = {"host": "gone", "process": 1, "key": "k"}
    (out / lock.NOTE).write(json.dumps({**old, "renewed": time.time()}).encode())
    with pytest.raises(InputError, match="process 1 on gone"), locked(out):
        pass
    monkeypatch.setattr(lock, "GONE", 0.0)
    with locked(out):
        pass
    (out / lock.NOTE).write(b"[]")  # nobody's
    with locked(out):
        pass


def test_every_row_of_a_done_job_is_there_once(finished: tuple[JobSettings, Path]) -> None:
    _, out = finished
    rows = [row for n in range(3) for row in _rows(out, n)]
    assert max(Counter((row["input"], row["face_id"]) for row in rows).values()) == 1


def _rows(out: Path, unit: int) -> list[dict[str, Any]]:
    return list(pq.read_table(str(part_of(place(str(out)), unit))).to_pylist())
