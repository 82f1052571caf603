"""Checks, splits, merging, contact sheets and the commands, on images made of noise."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.commands.main import app
from mien.data import split as splitting
from mien.data.base import DATASETS
from mien.data.check import check
from mien.data.copies import alike
from mien.data.example import noise, save_image, save_table
from mien.data.hashes import normalised, thumbnail
from mien.data.merge import Member, Pool, load_pool, merge
from mien.data.prepare import prepare
from mien.data.sheet import contact_sheet
from mien.data.table import ImageTable, Writer, schema
from mien.emotions import SEVEN
from mien.types import InputError, MienError, UnknownNameError
from tests.data.examples import example

FER2013 = os.environ.get("MIEN_FER2013", "")
Line = tuple[str, str, str, str, np.ndarray]  # name, label, split, subject, pixels


def listed(folder: Path, lines: Sequence[Line], kind: str = "png") -> Path:
    """A prepared file of images that a CSV lists."""
    rows = []
    for name, label, split, subject, pixels in lines:
        save_image(folder / f"{name}.{kind}", pixels)
        rows.append([f"{name}.{kind}", label, split, subject])
    table = save_table(folder / "list.csv", ["path", "label", "split", "subject"], rows)
    return prepare("csv", table, folder / "set.parquet").path


def people(folder: Path, number: int = 12, each: int = 5) -> Path:
    """A set of ``number`` people with ``each`` images of two expressions."""
    lines = [
        (f"{p}_{i}", ("happy", "sad")[i % 2], "", f"p{p:02d}", noise(100 * p + i, 24))
        for p in range(number)
        for i in range(each)
    ]
    return listed(folder, lines)


@pytest.fixture
def leaky(tmp_path: Path) -> Path:
    same, other = noise(1), noise(2)
    almost = np.clip(other.astype(int) + 6, 0, 255).astype(np.uint8)  # brighter: near duplicate
    return listed(
        tmp_path,
        [
            ("a", "happy", "train", "x", same),
            ("b", "happy", "test", "y", same),
            ("c", "sad", "train", "x", same),
            ("d", "fear", "train", "z", other),
            ("e", "angry", "val", "z", almost),
            ("f", "fear", "test", "w", noise(3)),
            ("g", "neutral", "train", "w", np.full((48, 48), 90, np.uint8)),
        ],
    )


def test_check_finds_each_flaw(leaky: Path) -> None:
    found = check(leaky)
    assert (found.rows, found.unique, found.groups, found.conflicting) == (7, 5, 1, 1)
    assert found.copies == {("train", "train"): 1, ("test", "train"): 1, ("train", "test"): 2}
    assert (found.near_pairs, found.near_conflicting) == (1, 1)
    assert found.near == {("train", "val"): 1, ("val", "train"): 1}
    assert found.shared_subjects == {("train", "val"): ("csv/z",), ("test", "train"): ("csv/w",)}
    assert found.blank == (6,)
    assert found.across == 5
    assert found.leaks
    assert found.examples[0].paths == ("a.png", "b.png", "c.png")
    assert 0.98 <= found.near_examples[0].correlation <= 1
    json.dumps(found.to_dict())


def test_check_reports_rows_that_cannot_be_read(leaky: Path, tmp_path: Path) -> None:
    rows = pq.read_table(leaky).to_pylist()
    rows[3]["image"]["bytes"] = rows[3]["image"]["bytes"][:40]
    path = tmp_path / "bad.parquet"
    with Writer(path, schema({}, {})) as writer:
        for row in rows:
            writer.add(row)
    found = check(path)
    assert found.unreadable_count == 1
    assert found.unreadable[0][0] == 3
    assert found.rows == 7


def test_check_reads_foreign_tables(tmp_path: Path) -> None:
    tree = example("parquet", tmp_path)
    found = check(tree.source)
    assert dict(found.counts) == tree.counts
    assert not found.leaks


@pytest.mark.parametrize("correlation", [0, 1.5])
def test_check_refuses_a_bad_correlation(leaky: Path, correlation: float) -> None:
    with pytest.raises(InputError, match="correlation"):
        check(leaky, correlation=correlation)


def test_near_duplicates_survive_jpeg_and_size(tmp_path: Path) -> None:
    first = noise(5, 96)
    buffer = io.BytesIO()
    Image.fromarray(first).save(buffer, "JPEG", quality=60)
    recoded = np.asarray(Image.open(buffer))
    small = np.asarray(Image.fromarray(first).resize((48, 48), Image.Resampling.BOX))
    lines = [
        ("a", "happy", "train", "", first),
        ("b", "happy", "test", "", recoded),
        ("c", "happy", "test", "", small),
        ("d", "happy", "test", "", noise(6, 96)),
    ]
    assert alike(listed(tmp_path, lines)) == [(0, 1), (0, 2), (1, 2)]


def test_correlation_is_of_thumbnails() -> None:
    pixels = np.repeat(noise(9)[:, :, None], 3, axis=2)
    vector = normalised(thumbnail(pixels))
    assert float(vector @ vector) == pytest.approx(1, abs=1e-5)
    assert float(vector @ normalised(thumbnail(255 - pixels))) == pytest.approx(-1, abs=1e-3)


def test_deduplicated_leaves_no_copy(leaky: Path, tmp_path: Path) -> None:
    made = splitting.make(leaky, "deduplicated")
    assert made.values == ["train", "excluded", "train", "train", "excluded", "test", "train"]
    assert made.excluded == 2
    path = splitting.write(leaky, made, tmp_path / "honest.parquet")
    found = check(path)
    assert found.across == 0
    kept = splitting.make(leaky, "deduplicated", options={"near": "no"})
    assert kept.excluded == 1


def test_grouped_puts_nobody_on_two_sides(tmp_path: Path) -> None:
    path = people(tmp_path)
    for options in ({"folds": "4"}, {"ratios": "60,20,20"}):
        made = splitting.make(path, "grouped", options=options, seed=3)
        written = splitting.write(path, made, tmp_path / "out.parquet")
        found = check(written)
        assert found.subjects == 12
        assert not found.shared_subjects
        assert len(set(made.values)) == (4 if "folds" in options else 3)


def test_random_split_leaks_people_and_check_says_so(tmp_path: Path) -> None:
    path = people(tmp_path)
    made = splitting.make(path, "ratio", options={"ratios": "70,30"})
    assert check(splitting.write(path, made, path)).shared_subjects


def test_people_who_share_an_image_stay_together(tmp_path: Path) -> None:
    lines = [
        (f"{p}{i}", "happy", "", f"p{p}", noise(9 * p + i)) for p in range(6) for i in range(1, 4)
    ]
    lines += [("x", "happy", "", "p0", noise(77)), ("y", "happy", "", "p3", noise(77))]
    path = listed(tmp_path, lines)
    values = splitting.make(path, "grouped", options={"folds": "3"}).values
    subjects = pq.read_table(path).column("subject").to_pylist()
    sides = {v for v, s in zip(values, subjects, strict=True) if s in ("p0", "p3")}
    assert len(sides) == 1


def test_one_out_is_one_fold_per_person(tmp_path: Path) -> None:
    path = people(tmp_path, 5)
    made = splitting.make(path, "one-out")
    assert made.column == "fold"
    assert made.values == [p for p in range(5) for _ in range(5)]


def test_counts_and_ratios(tmp_path: Path) -> None:
    path = people(tmp_path)
    made = splitting.make(path, "counts", options={"counts": "40,20"})
    assert (made.values.count("train"), made.values.count("test")) == (40, 20)
    made = splitting.make(path, "ratio")
    assert [made.values.count(s) for s in ("train", "val", "test")] == [42, 9, 9]
    with pytest.raises(InputError, match="sum to the 60 images"):
        splitting.make(path, "counts", options={"counts": "780,201"})


def test_same_seed_same_fingerprint(tmp_path: Path) -> None:
    path = people(tmp_path)
    prints = [splitting.make(path, "folds", seed=seed).fingerprint for seed in (1, 1, 2)]
    assert prints[0] == prints[1] != prints[2]


def test_fingerprint_does_not_depend_on_order(tmp_path: Path) -> None:
    path = people(tmp_path)
    made = splitting.make(path, "ratio")
    rows = pq.read_table(path).to_pylist()[::-1]
    with Writer(tmp_path / "turned.parquet", ImageTable(path).file.schema_arrow) as writer:
        for row in rows:
            writer.add(row)
    turned = splitting.fingerprint(tmp_path / "turned.parquet", made.values[::-1])
    assert turned == made.fingerprint


def test_folds_empty_the_older_split(tmp_path: Path) -> None:
    lines = [(f"{i}", SEVEN[i % 2], "train", "", noise(i)) for i in range(10)]
    path = listed(tmp_path / "ten", lines)
    made = splitting.make(path, "folds", options={"folds": "5"})
    written = ImageTable(splitting.write(path, made, tmp_path / "folds.parquet"))
    table = pq.read_table(written.path)
    assert set(table.column("split").to_pylist()) == {None}
    assert sorted(table.column("fold").to_pylist()) == sorted([0, 1, 2, 3, 4] * 2)
    assert written.about["split"]["fingerprint"] == made.fingerprint
    back = splitting.write(written.path, splitting.make(written.path, "ratio"), written.path)
    assert "fold" not in pq.read_schema(back).names


@pytest.mark.parametrize(
    ("scheme", "options", "message"),
    [
        ("honset", {}, "honest"),
        ("ratio", {"ratio": "1,1"}, "ratios"),
        ("ratio", {"ratios": "a,b"}, "two or three numbers"),
        ("folds", {"folds": "1"}, "from 2"),
        ("official", {}, "no official|none|official"),
        ("paper", {}, "no paper"),
        ("grouped", {"folds": "99"}, "at most the 12 people"),
    ],
)
def test_split_errors(scheme: str, options: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(MienError, match=message):
        splitting.make(people(tmp_path), scheme, options=options)


def test_split_of_a_foreign_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mien data prepare parquet"):
        splitting.make(example("parquet", tmp_path).source)


@pytest.mark.parametrize(
    ("name", "scheme", "expected"),
    [
        ("kdef", "paper", ("ratio", {"ratios": "70,15,15"})),
        ("ck48", "paper", ("counts", {"counts": "780,201"})),
        ("jaffe", "paper", ("counts", {"counts": "143,70"})),
        ("ckplus", "honest", ("grouped", {"folds": "10"})),
        ("ferg", "honest", ("one-out", {})),
        ("fer2013", "honest", ("deduplicated", {})),
    ],
)
def test_paper_and_honest_follow_the_card(
    name: str, scheme: str, expected: tuple[str, dict[str, str]], tmp_path: Path
) -> None:
    path = prepare(name, example(name, tmp_path / "s").source, tmp_path / "o.parquet").path
    assert splitting.resolve(path, scheme, {}) == expected


def test_merge_keeps_columns_and_splits(tmp_path: Path) -> None:
    one = prepare("kdef", example("kdef", tmp_path / "k").source, tmp_path / "k.parquet")
    two = prepare("rafdb", example("rafdb", tmp_path / "r").source, tmp_path / "r.parquet")
    done = merge([one.path, two.path], tmp_path / "both.parquet", labels=("happy", "angry"))
    table = pq.read_table(done.path)
    assert done.images == table.num_rows == 4
    assert set(table.column("source").to_pylist()) == {"kdef", "rafdb"}
    assert set(table.column("angle").to_pylist()) == {"S", "FL", None}
    assert splitting.load(done.path).subjects[0] == "kdef/F01"


def pool_of(*parts: Member, each: int = 1) -> Pool:
    return Pool("tiny", ("happy", "angry"), parts, each, 0)


def test_pool_maps_splits_and_draws_validation(tmp_path: Path) -> None:
    tree = example("fer2013", tmp_path / "f", 1)
    for i in range(5):
        save_image(tree.source / "train" / "angry" / f"Training_{900 + i}.jpg")
    one = prepare("fer2013", tree.source, tmp_path / "f.parquet")
    two = prepare("kdef", example("kdef", tmp_path / "k").source, tmp_path / "k.parquet")
    parts = (
        Member("fer2013", {"train": "train", "val": "test", "test": "test"}, {}, {"test": 3}),
        Member("kdef", {"none": "train"}),
    )
    done = merge([two.path, one.path], tmp_path / "p.parquet", pool=pool_of(*parts))
    assert dict(done.counts) == {
        ("train", "angry"): 7,
        ("train", "happy"): 1,
        ("test", "happy"): 2,
        ("val", "angry"): 1,
        ("val", "happy"): 1,
    }
    assert [str(d) for _, d in done.differences] == ["test: published 3, found 2"]
    again = merge([two.path, one.path], tmp_path / "q.parquet", pool=pool_of(*parts))
    assert again.fingerprint == done.fingerprint


def test_pool_refuses_what_it_does_not_take(tmp_path: Path) -> None:
    one = prepare("ckplus", example("ckplus", tmp_path / "c").source, tmp_path / "c.parquet")
    with pytest.raises(InputError, match="--option frames=1"):
        merge([one.path], tmp_path / "p.parquet", pool=load_pool("gimefive"))
    pool = pool_of(Member("jaffe", {"none": "train"}))
    with pytest.raises(InputError, match="takes jaffe"):
        merge([one.path], tmp_path / "p.parquet", pool=pool)
    pool = pool_of(Member("ckplus", {"none": "train"}), Member("jaffe", {"none": "train"}))
    with pytest.raises(InputError, match="missing: jaffe"):
        merge([one.path], tmp_path / "p.parquet", pool=pool)
    (tmp_path / "bad.toml").write_text("name = 'x'")
    with pytest.raises(InputError, match="expected a pool"):
        load_pool(tmp_path / "bad.toml")
    with pytest.raises(UnknownNameError, match="gimefive"):
        load_pool("gimefve")


def test_gimefive_pool_is_the_reports(tmp_path: Path) -> None:  # noqa: ARG001
    pool = load_pool("gimefive")
    assert [part.set for part in pool.parts] == ["rafdb", "fer2013", "affectnet", "ckplus", "tfeid"]
    assert pool.validation_per_class * len(pool.labels) == 600


def test_contact_sheet_has_a_row_per_label(leaky: Path) -> None:
    picture = contact_sheet(leaky, each=3, size=40)
    one = contact_sheet(leaky, each=3, size=40, split="val")
    assert picture.shape[0] > 4 * one.shape[0] > 4 * 40
    with pytest.raises(InputError, match="found none"):
        contact_sheet(leaky, split="holdout")


def test_hugging_face_reads_it(tmp_path: Path) -> None:
    """In a process of its own: the library and what it loads warn of their own affairs."""
    pytest.importorskip("datasets", reason="the datasets library is not installed")
    tree = example("ferplus", tmp_path / "set")
    path = prepare("ferplus", tree.source, tmp_path / "o.parquet").path
    code = (
        "import sys, json, datasets\n"
        "d = datasets.load_dataset('parquet', data_files=sys.argv[1], split='train',"
        " cache_dir=sys.argv[2])\n"
        "row = d[0]\n"
        "print(json.dumps([row['image'].size, row['image'].mode, d.features['label'].names,"
        " d.features['label'].int2str(row['label']), row['votes'], row['split'], len(d)]))"
    )
    environment = {
        **os.environ,
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hf"),
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(tmp_path / "cache")],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    size, mode, names, label, votes, split, rows = json.loads(done.stdout.splitlines()[-1])
    assert (size, mode, label, split, rows) == ([48, 48], "L", "happy", "train", 3)
    assert names == ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral", "contempt"]
    assert votes == [0, 0, 0, 9, 0, 1, 0, 0, 0, 0]


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["data", *map(str, arguments)])


def test_commands_from_end_to_end(tmp_path: Path) -> None:
    tree = example("fer2013", tmp_path / "set", 1)
    path, report = tmp_path / "f.parquet", tmp_path / "r.json"
    done = call("prepare", "fer2013", tree.source, "-o", path, "--report", report)
    assert done.exit_code == 0, done.output
    assert "published counts: 21 differ" in done.output
    assert json.loads(report.read_text())["images"] == 4
    assert call("prepare", "fer2013", tree.source, "-o", path, "--strict").exit_code == 1
    done = call("check", path, "--strict", "-o", tmp_path / "c.json")
    assert done.exit_code == 0, done.output
    assert "no leak between splits found" in done.output
    assert json.loads(call("check", path, "--json").stdout)["rows"] == 4
    done = call("split", path, "-o", tmp_path / "s.parquet")
    assert "fingerprint: " in done.output
    assert call("sample", path, "-o", tmp_path / "s.png", "--each", 2).exit_code == 0
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.width > 100
    merged = call("merge", path, path, "-o", tmp_path / "m.parquet", "--labels", "six")
    assert "8 images" in merged.output
    assert call("check", tmp_path / "m.parquet", "--strict").exit_code == 0
    assert "fer2013" in call("show", path).output


def test_commands_list_and_show_every_set() -> None:
    listing = call("list").output
    for name in DATASETS.names():
        assert name in listing
        shown = call("show", name)
        assert shown.exit_code == 0
        assert "licence" in shown.output


def test_bad_images_set_the_exit_code(tmp_path: Path) -> None:
    tree = example("ck48", tmp_path / "set")
    assert tree.image is not None
    tree.image.write_bytes(b"not an image")
    done = call("prepare", "ck48", tree.source, "-o", tmp_path / "o.parquet")
    assert done.exit_code == 1
    assert "anger/S010_004_00000017.png" in done.output


def test_strict_check_fails_on_a_leak(leaky: Path) -> None:
    done = call("check", leaky, "--strict")
    assert done.exit_code == 1
    assert "the splits leak" in done.output


@pytest.mark.data
@pytest.mark.skipif(not FER2013, reason="MIEN_FER2013 does not name the real Parquet")
def test_check_of_the_real_fer2013() -> None:
    found = check(FER2013)
    assert found.rows == 35887
    assert found.copies["val", "train"] + found.copies["test", "train"] >= 567
    assert found.conflicting >= 56
    assert found.blank_count >= 12


@pytest.mark.data
@pytest.mark.skipif(not FER2013, reason="MIEN_FER2013 does not name the real Parquet")
def test_real_fer2013_comes_back_from_its_csv(tmp_path: Path) -> None:
    source = pq.ParquetFile(FER2013)
    numbers = {
        "angry": 0,
        "disgust": 1,
        "fear": 2,
        "happy": 3,
        "sad": 4,
        "surprise": 5,
        "neutral": 6,
    }
    with (tmp_path / "fer2013.csv").open("w") as file:
        file.write("emotion,pixels,Usage\n")
        for batch in source.iter_batches(columns=["image", "label", "usage"]):
            for row in batch.to_pylist():
                pixels = np.asarray(Image.open(io.BytesIO(row["image"])).convert("L"))
                text = " ".join(map(str, pixels.ravel().tolist()))
                file.write(f"{numbers[row['label']]},{text},{row['usage']}\n")
    done = prepare("fer2013", tmp_path, tmp_path / "o.parquet")
    assert (done.images, done.failed, done.differences) == (35887, 0, ())


def test_frames_of_one_video_make_few_pairs(tmp_path: Path) -> None:
    """Pairs must grow with the images, not with their square; leaks are found all the same."""
    frame, rng = noise(4), np.random.default_rng(0)
    lines = [
        (
            f"{i}",
            "happy",
            "test" if i == 150 else "train",
            "",
            np.clip(frame + rng.normal(0, 1, frame.shape), 0, 255).astype(np.uint8),
        )
        for i in range(160)
    ]
    found = check(listed(tmp_path, lines))
    assert found.near_pairs < 160 * 2 * 25 * 2
    assert found.near["test", "train"] == 1
    assert found.near["train", "train"] == 159


def test_grouped_ratios_are_met_by_people(tmp_path: Path) -> None:
    made = splitting.make(people(tmp_path, 20, 2), "grouped", options={"ratios": "70,15,15"})
    assert [made.values.count(side) for side in ("train", "val", "test")] == [28, 6, 6]
    single = [(f"{p}", SEVEN[p % 7], "", f"p{p}", noise(p)) for p in range(30)]
    made = splitting.make(listed(tmp_path / "one", single), "grouped", options={"ratios": "4,1"})
    assert set(made.values) == {"train", "test"}


def test_base_install_says_what_is_missing(
    tmp_path: Path, run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    tree = example("ck48", tmp_path / "set")
    assert run("data", "show", "fer2013").returncode == 0
    for command in (
        ["prepare", "ck48", str(tree.source), "-o", str(tmp_path / "o.parquet")],
        ["check", str(tmp_path / "o.parquet")],
    ):
        done = run("data", *command)
        assert done.returncode == 2
        assert "needs the package 'pyarrow'" in done.stderr
        assert "[data]'" in done.stderr.partition("pip install")[2]
        assert len(done.stderr.strip().splitlines()) == 1
