"""mien.batch without Ray: storage, plans, work units, tries."""

from __future__ import annotations

import json
import math
import os
import socket
import threading
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mien
from mien.batch import JobSettings, cluster, fastest_model, folder, job
from mien.batch.attempts import MOST_ATTEMPTS, MOST_DEATHS, Attempts
from mien.batch.plan import Unit, read_unit, write_plan
from mien.batch.storage import RemoteFile, place
from mien.batch.work import Worker, kind_of, part_of, read_counts
from mien.models.weights import BUILT_IN
from mien.results.predictions import Predictions
from mien.types import InputError
from tests.batch.conftest import jpeg
from tests.video import clips

HAAR: dict[str, Any] = {"detector": "haar"}


def planned(tmp_path: Path, *source: object, **options: Any) -> list[Unit]:
    where = place(str(tmp_path / f"plan-{uuid.uuid4().hex}.parquet"))  # plans are cached by name
    units, inputs = write_plan(JobSettings(tuple(map(str, source)), **options), where)
    found = [read_unit(where, n) for n in range(units)]
    assert sum(u.count for u in found) == inputs
    return found


def done(tmp_path: Path, *source: object, **options: Any) -> tuple[list[dict[str, Any]], Worker]:
    """All rows of a source, by a worker in this process."""
    out = tmp_path / "out"
    settings = JobSettings(tuple(map(str, source)), **{**HAAR, **options})
    units, _ = folder.prepare(settings, place(str(out)))
    worker = Worker(settings, str(out))
    for n in range(units):
        assert worker.do(n).new
    rows: list[dict[str, Any]] = []
    for n in range(units):
        rows += pq.read_table(str(part_of(worker.out, n))).to_pylist()
    return rows, worker


def test_a_folder_is_cut_into_units_in_a_stable_order(tmp_path: Path, photos: Path) -> None:
    units = planned(tmp_path, photos, unit=5)
    assert [u.count for u in units] == [5, 5, 3]
    names = [name for u in units for name in u.items]
    assert len(names) == len(set(names)) == 13
    assert all(Path(name).is_absolute() and name.endswith(".jpg") for name in names)
    assert units == planned(tmp_path, photos, unit=5)


def test_globs_lists_and_several_sources(tmp_path: Path, photos: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(f"{photos}/00.jpg\n\nhttps://example.org/a.jpg\n{photos}/clip.mp4\n")
    units = planned(tmp_path, f"{photos}/*.jpg", listed)
    assert Counter(u.kind for u in units) == {"paths": 1, "video": 1}
    paths = next(u for u in units if u.kind == "paths").items
    assert len(paths) == 7 + 1  # one of the list was there already
    assert "https://example.org/a.jpg" in paths


def test_names_that_are_no_utf8_survive(tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    odd.mkdir()
    name = os.fsencode(str(odd)) + b"/caf\xe9.jpg"
    with open(name, "wb") as file:  # noqa: PTH123 - the name is bytes
        file.write(jpeg(1))
    rows, _ = done(tmp_path, odd)
    assert rows[0]["face_id"] == 0
    assert rows[0]["error"] is None


@pytest.mark.parametrize("kind", ["struct", "binary"])
def test_images_inside_parquet_are_units_of_rows(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "images.parquet"
    images = [jpeg(n) for n in range(7)]
    values = [{"bytes": b, "path": f"p/{n}"} for n, b in enumerate(images)]
    column = pa.array(values) if kind == "struct" else pa.array(images)
    pq.write_table(pa.table({"label": range(7), "image": column}), path, row_group_size=4)
    assert [(u.group, u.start, u.count) for u in planned(tmp_path, path, unit=3)] == [
        (0, 0, 3),
        (0, 3, 1),
        (1, 0, 3),
    ]
    rows, _ = done(tmp_path, path, unit=3)
    names = [row["input"] for row in rows]
    want = (
        [v["path"] for v in values]
        if kind == "struct"
        else [f"{path}#{n // 4}:{n % 4}" for n in range(7)]
    )
    assert names == want
    assert [row["face_id"] is None for row in rows] == [n % 3 == 0 for n in range(7)]


def test_paths_inside_parquet_are_read_from_where_they_point(tmp_path: Path, photos: Path) -> None:
    path = tmp_path / "paths.parquet"
    pq.write_table(pa.table({"where": [f"{photos}/00.jpg", "absent.jpg"]}), path)
    with pytest.raises(InputError, match="--column"):
        planned(tmp_path, path)
    rows, _ = done(tmp_path, path, column="where")
    assert [row["error"] is None for row in rows] == [True, False]


def test_a_job_s_rows_are_those_of_predict(tmp_path: Path, photos: Path) -> None:
    rows, worker = done(tmp_path, photos, unit=4)
    paths = [
        name for n in range(4) for name in read_unit(worker.out / "_mien/plan.parquet", n).items
    ]
    same = mien.load("mien", detector="haar", threads=1).predict(paths)
    assert [(r["input"], r["face_id"]) for r in rows] == [(r.input, r.face_id) for r in same]
    assert list(rows[0]) == Predictions(()).columns
    for row, other in zip(rows, same, strict=True):
        assert row["score"] == pytest.approx(other.score, abs=1e-5)
        assert (row["error"] is None) == (other.error is None)
    counts = [read_counts(part_of(worker.out, n)) for n in range(4)]
    assert sum(c.inputs for c in counts) == 13
    assert sum(c.images for c in counts) == 12
    assert sum(c.faces for c in counts) == sum(r["face_id"] is not None for r in rows)
    assert sum(c.empty for c in counts) == sum(
        r["face_id"] is None and r["error"] is None for r in rows
    )
    errors: Counter[str] = Counter()
    for c in counts:
        errors.update(c.errors)
    assert dict(errors) == {"expected an image, but it cannot be read": 1}


def test_videos_are_rows_per_frame(tmp_path: Path) -> None:
    clip = clips.write(tmp_path / "a.mp4", 24)
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    rows, worker = done(
        tmp_path, tmp_path / "a.mp4", tmp_path / "broken.mp4", fps=3.0, detector="auto"
    )
    good = [row for row in rows if row["input"] == str(clip)]
    assert {row["frame"] for row in good} == {0, 4, 8, 12, 16, 20}
    assert len([row for row in rows if row["error"]]) == 1
    assert read_counts(part_of(worker.out, 0)).images == 6


def test_a_unit_that_is_done_is_not_done_again(tmp_path: Path, photos: Path) -> None:
    _, worker = done(tmp_path, photos, unit=8)
    part = Path(str(part_of(worker.out, 0)))
    before = part.stat().st_mtime_ns
    assert not worker.do(0).new
    assert part.stat().st_mtime_ns == before


def test_files_appear_whole_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = place(str(tmp_path)) / "rows.parquet"
    where.write(b"first")

    def dies(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", dies)
    with pytest.raises(KeyboardInterrupt):
        where.write(b"second")
    assert where.read() == b"first"
    assert [p.name for p in tmp_path.iterdir()] == ["rows.parquet"]


def test_object_stores_are_read_and_written(photos: Path) -> None:
    """By fsspec's own store in memory, as ``s3://`` and ``gs://`` are with their libraries."""
    store = place("memory://bucket/photos")
    store.make_folder()
    for n in range(3):
        (store / f"{n}.jpg").write((photos / f"{2 * n:02d}.jpg").read_bytes())
    (store / "broken.jpg").write(b"no image")
    settings = JobSettings(("memory://bucket/photos",), **HAAR)
    out = place("memory://bucket/scores")
    assert folder.prepare(settings, out) == (1, 4)
    worker = Worker(settings, "memory://bucket/scores")
    counts = worker.do(0)
    assert (counts.images, sum(counts.errors.values())) == (3, 1)
    with part_of(out, 0).open() as file:
        rows = pq.read_table(file).to_pylist()
    assert all(row["input"].startswith("memory://") for row in rows)
    assert folder.finished(out, 1) == {0}
    assert not worker.do(0).new
    with pytest.raises(InputError, match=r"memory://bucket/none\.jpg: no such file"):
        RemoteFile("memory://bucket/none.jpg").read()


def test_a_library_that_is_absent_is_named() -> None:
    with pytest.raises(mien.MienError, match="nosuch"):
        place("nosuch://bucket/photos")


def test_an_image_that_kills_its_worker_becomes_a_row(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker dies whenever it has the third image in hand; each try is a new worker."""
    settings = JobSettings((str(photos),), **HAAR)
    out = place(str(tmp_path / "out"))
    folder.prepare(settings, out)
    victim = read_unit(out / "_mien/plan.parquet", 0).items[2]
    worker = Worker(settings, str(out))
    many = worker.recognizer.predict_many

    def deadly(items: Any, **options: Any) -> Any:
        for item in items:
            if item[0] == victim:
                raise SystemExit  # the end of a process, as far as the unit can tell
            yield from many([item], **options)

    monkeypatch.setattr(worker.recognizer, "predict_many", deadly)
    deaths = 0
    while True:
        try:
            counts = worker.do(0)
            break
        except SystemExit:
            deaths += 1
    assert deaths == MOST_ATTEMPTS + MOST_DEATHS
    assert counts.errors["the worker process died while it read or scored this"] == 1
    rows = pq.read_table(str(part_of(out, 0))).to_pylist()
    assert {row["input"] for row in rows} == set(read_unit(out / "_mien/plan.parquet", 0).items)
    assert not (out / "_mien/attempts").names()


def test_attempts_are_counted_and_forgotten(tmp_path: Path) -> None:
    note = place(str(tmp_path)) / "0.json"
    for n in range(1, MOST_ATTEMPTS + 3):
        assert Attempts(note).one_by_one == (n > MOST_ATTEMPTS)
    last = Attempts(note)
    assert not last.given_up(0)  # nothing was in hand at those ends
    last.finish()
    assert not Attempts(note).one_by_one
    note.write(b"half a no")  # a note that cannot be read is a new one
    assert Attempts(note).count == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [({"contempt": True}, "contempt: False there, True here"), ({"unit": 9}, "unit: 256 there")],
)
def test_a_job_goes_on_with_the_same_settings_only(
    tmp_path: Path, photos: Path, change: dict[str, Any], words: str
) -> None:
    out = place(str(tmp_path / "out"))
    folder.prepare(JobSettings((str(photos),), **HAAR), out)
    assert folder.prepare(JobSettings((str(photos),), **HAAR), out) == (1, 13)
    with pytest.raises(InputError, match=words):
        folder.prepare(JobSettings((str(photos),), **HAAR, **change), out)


def test_a_plan_stays_when_the_folder_changes(tmp_path: Path) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    (source / "0.jpg").write_bytes(jpeg(1))
    out = place(str(tmp_path / "out"))
    settings = JobSettings((str(source),), **HAAR)
    assert folder.prepare(settings, out) == (1, 1)
    (source / "1.jpg").write_bytes(jpeg(2))
    assert folder.prepare(settings, out) == (1, 1)


def test_wrong_sources_and_outputs_are_one_line(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.parquet").write_text("no table")
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("mine")
    (tmp_path / "none.txt").write_text("\n")
    for source, words in {
        "absent": "no such file",
        str(tmp_path / "empty"): "found none",
        f"{photos}/*.png": "no file matches",
        str(tmp_path / "text.parquet"): "cannot be read",
        str(tmp_path / "none.txt"): "found none",
    }.items():
        with pytest.raises(InputError, match=words):
            job.score(JobSettings((source,), **HAAR), str(tmp_path / "out"))
        assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="empty folder"):
        folder.prepare(JobSettings((str(photos),), **HAAR), place(str(tmp_path / "used")))
    with pytest.raises(InputError, match="expected a folder, got a file"):
        folder.prepare(JobSettings((str(photos),), **HAAR), place(str(tmp_path / "none.txt")))
    with pytest.raises(InputError, match="cannot be made"):
        folder.prepare(
            JobSettings((str(photos),), **HAAR), place(str(tmp_path / "none.txt" / "out"))
        )
    wrong: list[dict[str, Any]] = [{"unit": 0}, {"fps": 0.0}, {"fps": math.inf}]
    for options in wrong:
        with pytest.raises(InputError, match="above 0"):
            JobSettings(("a",), **options)


def test_a_cluster_where_nobody_listens_is_one_line_at_once(tmp_path: Path, photos: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", "127.0.0.1:99999"):
        with pytest.raises(InputError, match="expected a Ray cluster"):
            job.score(JobSettings((str(photos),), **HAAR), str(tmp_path / "out"), address=address)
    assert not (tmp_path / "out").exists()


def test_an_address_that_ray_cannot_read_is_told_as_one() -> None:
    class Ray:
        def init(self, **options: Any) -> None:
            raise ValueError(f"Invalid address format: {options['address']}")

    with pytest.raises(InputError, match="nonsense: expected a Ray cluster"):
        cluster.start(Ray(), "nonsense", {})


def test_settings_survive_their_file() -> None:
    settings = JobSettings(("a", "s3://b"), contempt=True, fps=2.0)
    assert JobSettings.from_json(json.dumps(settings.to_dict())) == settings


def test_kinds_of_errors_leave_out_names_and_numbers() -> None:
    a = kind_of("/x/a b.jpg: expected an image, but it cannot be read (truncated)", "/x/a b.jpg")
    assert a == kind_of("bytes: expected an image, but it cannot be read (unknown)")
    assert kind_of("s3://b/c.jpg: cannot be fetched (timeout)") == "cannot be fetched"
    assert kind_of("c.jpg: no such file; give the path of an image") == "no such file"


def test_the_fast_model_is_one_of_ours() -> None:
    assert fastest_model() in BUILT_IN


def test_workers_of_one_process_do_not_disturb_each_other(tmp_path: Path, photos: Path) -> None:
    settings = JobSettings((str(photos),), unit=4, **HAAR)
    out = str(tmp_path / "out")
    units, _ = folder.prepare(settings, place(out))
    workers = [Worker(settings, out) for _ in range(2)]
    threads = [  # both do every unit: the second finds it done, or writes the same rows again
        threading.Thread(target=lambda w=w: [w.do(n) for n in range(units)]) for w in workers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = [r for n in range(units) for r in pq.read_table(str(part_of(place(out), n))).to_pylist()]
    assert len({(r["input"], r["face_id"]) for r in rows}) == len(rows)
    assert len({r["input"] for r in rows}) == 13
