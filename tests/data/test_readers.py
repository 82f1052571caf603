"""Every registered data set through the shared checks, and what is particular to each."""

from __future__ import annotations

import importlib
import io
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mien.data.base import DATASETS, Reading
from mien.data.conformance import CHECKS, example_is_read_whole
from mien.data.example import noise, save_image, save_table
from mien.data.prepare import differences, encode, prepare
from mien.data.sets import fer2013
from mien.data.votes import probability
from mien.types import InputError, UnknownNameError
from tests.data.examples import example


def column(path: Path, name: str) -> list[Any]:
    values: list[Any] = pq.read_table(path).column(name).to_pylist()
    return values


MODULE = """
from pathlib import Path

from mien.data.base import DataCard, Example, Reading, Row, dataset
from mien.data.example import save_image
from mien.data.sources import images_below
from mien.types import InputError

def example(folder: Path) -> Example:
    image = save_image(folder / "p1-joy.png")
    save_image(folder / "p2-fear.png")
    return Example(folder, {(None, "happy"): 1, (None, "fear"): 1}, frozenset({"p1", "p2"}),
                   image=image)

CARD = DataCard("dashes", "Dashes", "A test.", "2 images", ("happy", "fear"), "MIT", "nowhere",
                "PERSON-EXPRESSION.png", "-")

@dataset(CARD, example)
def read(source: Path, *, joy: str = "happy") -> Reading:
    files = images_below(source)
    if not files:
        raise InputError(f"{source}: expected files such as p1-joy.png, found none")
    rows = []
    for file in files:
        person, expression = file.stem.split("-")
        rows.append(Row(file.name, file, {"joy": joy}.get(expression, expression), subject=person))
    return Reading(iter(rows), len(rows))
"""


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", DATASETS.names())
def test_every_data_set_passes(
    name: str, check: Callable[[str, Path], None], tmp_path: Path
) -> None:
    check(name, tmp_path)


@pytest.fixture
def dashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A data set of another distribution: one module, and nothing else."""
    (tmp_path / "dashes_set.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    DATASETS.names()
    importlib.import_module("dashes_set")
    yield "dashes"
    DATASETS.remove("dashes")
    del sys.modules["dashes_set"]


def test_a_data_set_is_added_by_one_module(dashes: str, tmp_path: Path) -> None:
    for check in CHECKS:
        folder = tmp_path / check.__name__
        folder.mkdir()
        check(dashes, folder)
    source = example(dashes, tmp_path / "s").source
    done = prepare(dashes, source, tmp_path / "o.parquet", options={"joy": "surprise"})
    assert dict(done.counts) == {(None, "surprise"): 1, (None, "fear"): 1}


def test_the_checks_see_an_example_that_is_not_read_as_stated(dashes: str, tmp_path: Path) -> None:
    entry = DATASETS.get(dashes)
    DATASETS.remove(dashes)
    wrong = replace(entry, read=lambda source: Reading(islice(entry.read(source).rows, 1)))
    DATASETS.add(dashes, wrong)
    with pytest.raises(AssertionError, match="expected counts"):
        example_is_read_whole(dashes, tmp_path / "a")


@pytest.mark.parametrize(
    ("name", "split", "total"),
    [
        ("fer2013", "train", 28709),
        ("fer2013", "val", 3589),
        ("fer2013", "test", 3589),
        ("rafdb", "train", 12271),
        ("rafdb", "test", 3068),
        ("kdef", None, 4900),
        ("jaffe", None, 213),
        ("ck48", None, 981),
        ("ferg", None, 55767),
        ("affectnet", "train", 287651),
        ("affectnet", "val", 3999),
    ],
)
def test_published_counts_sum_to_the_published_total(
    name: str, split: str | None, total: int
) -> None:
    counts = DATASETS.get(name).card.counts
    assert sum(n for (side, _), n in counts.items() if side == split) == total


def test_fer2013_folders_keep_public_and_private_apart(tmp_path: Path) -> None:
    done = prepare(
        "fer2013", example("fer2013", tmp_path / "set", 1).source, tmp_path / "o.parquet"
    )
    usages = ["PrivateTest", "PublicTest", "Training", "Training"]
    assert sorted(column(done.path, "usage")) == usages


def test_fer2013_folders_without_usage_are_refused(tmp_path: Path) -> None:
    save_image(tmp_path / "set" / "test" / "happy" / "im1.png")
    with pytest.raises(InputError, match="cannot be distinguished"):
        prepare("fer2013", tmp_path / "set", tmp_path / "out.parquet")


def test_fer2013_reads_kaggles_headers_with_spaces(tmp_path: Path) -> None:
    path = tmp_path / "icml_face_data.csv"
    counts = fer2013.write_table(path, ("emotion", " Usage", " pixels"))
    for source in (path, tmp_path):
        done = prepare("fer2013", source, tmp_path / "out.parquet")
        assert dict(done.counts) == counts
        assert done.form == "icml_face_data.csv"


def test_fer2013_pixels_survive(tmp_path: Path) -> None:
    tree = example("fer2013", tmp_path / "set")
    done = prepare("fer2013", tree.source, tmp_path / "out.parquet")
    first = column(done.path, "image")[0]["bytes"]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(first))), noise(0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3", "got 3"),
        ("1 " * 2303 + "256", "0..255"),
        ("1 " * 2303 + "x", "other text"),
        ("", "got 0"),
    ],
)
def test_fer2013_bad_pixels(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fer2013.pixels(text)


def spelt(seed: int) -> str:
    return " ".join(map(str, noise(seed).ravel().tolist()))


def test_fer2013_bad_rows_are_reported(tmp_path: Path) -> None:
    rows = [
        [3, spelt(1), "Training"],
        [9, spelt(2), "Training"],
        [3, spelt(3), "Train"],
        [3, "1 2", "Training"],
        [3, spelt(4)],
    ]
    path = save_table(tmp_path / "fer2013.csv", ["emotion", "pixels", "Usage"], rows)
    done = prepare("fer2013", path, tmp_path / "out.parquet")
    assert (done.images, done.failed) == (1, 4)
    assert [name for name, _ in done.errors] == [f"fer000000{i}" for i in (1, 2, 3, 4)]


def test_fer2013_wrong_header(tmp_path: Path) -> None:
    path = save_table(tmp_path / "train.csv", ["emotion", "pixels"], [])
    with pytest.raises(InputError, match="expected the columns emotion, pixels and Usage"):
        prepare("fer2013", path, tmp_path / "out.parquet")


def test_ferplus_modes(tmp_path: Path) -> None:
    tree = example("ferplus", tmp_path / "set")
    kept = {}
    for mode in ("majority", "argmax", "probability"):
        done = prepare("ferplus", tree.source, tmp_path / "o.parquet", options={"mode": mode})
        kept[mode] = done.images
        targets = np.array(column(done.path, "target"))
        np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
        assert all(len(votes) == 10 for votes in column(done.path, "votes"))
    assert kept == {"majority": 3, "argmax": 4, "probability": 4}
    with pytest.raises(UnknownNameError, match="majority"):
        prepare("ferplus", tree.source, tmp_path / "o.parquet", options={"mode": "majorty"})


@pytest.mark.parametrize(
    ("votes", "target"),
    [
        ([9, 0, 0, 0, 0, 0, 1, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]),  # a single vote is dropped
        ([5, 0, 0, 0, 0, 0, 0, 0, 0, 5], None),  # not a face has as many: only half is left
        ([6, 0, 0, 0, 0, 0, 0, 0, 0, 4], [1, 0, 0, 0, 0, 0, 0, 0]),
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 10], None),
        ([2, 0, 2, 2, 2, 2, 0, 0, 0, 0], None),  # five tied: too many
        ([4, 0, 0, 0, 0, 0, 0, 0, 6, 0], None),  # unknown leads
        ([6, 0, 0, 0, 0, 0, 4, 0, 0, 0], [0.6, 0, 0, 0, 0, 0, 0.4, 0]),
    ],
)
def test_ferplus_probability_is_microsofts(votes: list[int], target: list[float] | None) -> None:
    found, kept = probability(np.array([votes], dtype=float))
    assert bool(kept[0]) == (target is not None)
    if target is not None:
        np.testing.assert_allclose(found[0], target)


def test_ferplus_refuses_tables_in_other_orders(tmp_path: Path) -> None:
    tree = example("ferplus", tmp_path / "set")
    votes = tree.source / "fer2013new.csv"
    lines = votes.read_text().splitlines()
    votes.write_text("\n".join([lines[0], *reversed(lines[1:])]))
    with pytest.raises(InputError, match="not in one order"):
        prepare("ferplus", tree.source, tmp_path / "out.parquet")
    votes.write_text("\n".join(lines[:-1]))
    with pytest.raises(InputError, match="one length"):
        prepare("ferplus", tree.source, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


def test_rafdb_kaggle_form(tmp_path: Path) -> None:
    tree = example("rafdb", tmp_path / "set", 1)
    assert dict(prepare("rafdb", tree.source, tmp_path / "o.parquet").counts) == tree.counts
    table = tree.source / "train_labels.csv"
    table.write_text("image,label\ntrain_00001_aligned.jpg,3\ngone.jpg,2\n")
    done = prepare("rafdb", tree.source, tmp_path / "o.parquet")
    assert [problem for _, problem in done.errors] == [
        "the folder says 1, the table says 3",
        "named in the table of labels, but the file is missing",
    ]


def test_rafdb_bad_labels_and_missing_files(tmp_path: Path) -> None:
    tree = example("rafdb", tmp_path / "set")
    listing = tree.source / "basic" / "EmoLabel" / "list_patition_label.txt"
    listing.write_text("train_00001.jpg 8\ntrain_00009.jpg 1\nnonsense\ntest_0001.jpg 7\n")
    done = prepare("rafdb", tree.source, tmp_path / "o.parquet")
    assert (done.images, done.failed) == (1, 3)


def test_kdef_frontal_and_columns(tmp_path: Path) -> None:
    tree = example("kdef", tmp_path / "set")
    save_image(tree.source / "KDEF_and_AKDEF" / "KDEF" / "AF01" / "AF01XXS.JPG")
    done = prepare("kdef", tree.source, tmp_path / "o.parquet", options={"angles": "frontal"})
    assert (done.images, done.failed, dict(done.skipped)) == (2, 1, {"not frontal": 2})
    assert sorted(column(done.path, "session")) == ["A", "B"]
    assert set(column(done.path, "sex")) == {"F"}
    assert {str(d) for d in done.differences} >= {"angry: published 140, found 2"}


def test_jaffe_palette_is_resolved(tmp_path: Path) -> None:
    tree = example("jaffe", tmp_path / "set")
    done = prepare("jaffe", tree.source, tmp_path / "o.parquet")
    images = {i["path"]: i["bytes"] for i in column(done.path, "image")}
    stored = Image.open(io.BytesIO(images["YM.NE3.51.tiff"]))
    assert (stored.format, stored.mode) == ("PNG", "L")
    with Image.open(tree.source / "jaffe" / "YM.NE3.51.tiff") as original:
        np.testing.assert_array_equal(np.asarray(stored), np.asarray(original.convert("L")))


def test_ckplus_frames_and_neutral(tmp_path: Path) -> None:
    tree = example("ckplus", tmp_path / "set")
    options = {"frames": "1", "neutral": "true"}
    done = prepare("ckplus", tree.source, tmp_path / "o.parquet", options=options)
    expected = {(None, "neutral"): 2, (None, "disgust"): 1, (None, "surprise"): 1}
    assert dict(done.counts) == expected
    assert set(column(done.path, "sequence")) == {"S005_001", "S010_004"}
    assert sorted(column(done.path, "frame")) == [1, 1, 4, 5]
    with pytest.raises(InputError, match="frames"):
        prepare("ckplus", tree.source, tmp_path / "o.parquet", options={"frames": "0"})


def test_affectnet_kaggle_takes_the_tables_label(tmp_path: Path) -> None:
    tree = example("affectnet", tmp_path / "set", 1)
    done = prepare("affectnet", tree.source, tmp_path / "o.parquet")
    assert dict(done.counts) == tree.counts
    assert sorted(column(done.path, "folder")) == ["anger", "happy"]


def test_affectnet_seven_classes_and_hostile_tables(tmp_path: Path) -> None:
    tree = example("affectnet", tmp_path / "set")
    done = prepare("affectnet", tree.source, tmp_path / "o.parquet", options={"classes": "7"})
    assert done.images == 2
    assert dict(done.skipped) == {"contempt (classes=7)": 1, "no face": 1}
    other = example("affectnet", tmp_path / "kaggle", 1)
    rows = [
        ["../../secret.jpg", "happy"],
        ["/etc/hostname", "happy"],
        ["happy/image02.jpg", "bored"],
        ["happy/image02.jpg", "happy"],
    ]
    save_table(other.source / "labels.csv", ["pth", "label"], rows)
    done = prepare("affectnet", other.source, tmp_path / "o.parquet")
    assert (done.images, done.failed) == (1, 3)


def test_affectnet_never_unpickles(tmp_path: Path) -> None:
    tree = example("affectnet", tmp_path / "set")
    path = tree.source / "train_set" / "annotations" / "0_exp.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    done = prepare("affectnet", tree.source, tmp_path / "o.parquet")
    assert [(done.images, done.failed)] == [(2, 1)]


def test_disfa_intensities(tmp_path: Path) -> None:
    tree = example("disfa", tmp_path / "set")
    done = prepare("disfa", tree.source, tmp_path / "o.parquet", options={"every": "1"})
    assert done.images == 14
    assert column(done.path, "au12")[10] == 3
    assert column(done.path, "label") == [None] * 14
    short = tree.source / "ActionUnit_Labels" / "SN002" / "SN002_au4.txt"
    short.write_text("1,0\n")
    done = prepare("disfa", tree.source, tmp_path / "o.parquet", options={"every": "1"})
    assert (done.images, done.failed) == (11, 1)


def test_tfeid_disagreement_is_reported(tmp_path: Path) -> None:
    tree = example("tfeid", tmp_path / "set")
    save_image(tree.source / "fear" / "f01_009_hg.jpg")
    save_image(tree.source / "pictures" / "noname.jpg")
    assert prepare("tfeid", tree.source, tmp_path / "o.parquet").failed == 2


def test_folder_maps_names_and_subjects(tmp_path: Path) -> None:
    save_image(tmp_path / "set" / "joy" / "ann" / "a.png")
    save_image(tmp_path / "set" / "1" / "bob" / "b.png")
    save_image(tmp_path / "set" / "boredom" / "bob" / "c.png")
    save_image(tmp_path / "set" / "joy" / "ann" / "._a.png")
    options = {"names": "joy=happy,1=surprise", "subject": "folder"}
    done = prepare("folder", tmp_path / "set", tmp_path / "o.parquet", options=options)
    assert dict(done.counts) == {(None, "happy"): 1, (None, "surprise"): 1}
    assert set(column(done.path, "subject")) == {"ann", "bob"}
    assert done.failed == 1


def test_csv_reports_bad_lines(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png")
    rows = [
        ["a.png", "happy", ""],
        ["gone.png", "happy", ""],
        ["a.png", "bored", ""],
        ["a.png", "sad", "holdout"],
        ["", "sad", ""],
    ]
    path = save_table(tmp_path / "list.csv", ["path", "label", "split"], rows)
    done = prepare("csv", path, tmp_path / "o.parquet")
    assert (done.images, done.failed) == (1, 4)


def test_parquet_numbers_need_names(tmp_path: Path) -> None:
    tree = example("parquet", tmp_path / "set")
    table = pq.read_table(tree.source)
    numbers = table.set_column(1, "label", [[0, 1, 1]])
    pq.write_table(numbers, tmp_path / "numbers.parquet")
    with pytest.raises(InputError, match="no name for the label 0"):
        prepare("parquet", tmp_path / "numbers.parquet", tmp_path / "o.parquet")
    options = {"names": "0=sad,1=fear"}
    done = prepare("parquet", tmp_path / "numbers.parquet", tmp_path / "o.parquet", options=options)
    assert dict(done.counts)["train", "sad"] == 1


def test_parquet_reads_its_own_output_and_refuses_damage(tmp_path: Path) -> None:
    tree = example("rafdb", tmp_path / "set")
    first = prepare("rafdb", tree.source, tmp_path / "a.parquet")
    again = prepare("parquet", first.path, tmp_path / "b.parquet")
    assert dict(again.counts) == dict(first.counts)
    (tmp_path / "bad.parquet").write_bytes(first.path.read_bytes()[:500])
    with pytest.raises(InputError, match="cannot be read"):
        prepare("parquet", tmp_path / "bad.parquet", tmp_path / "c.parquet")


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_archive_is_read_and_leaves_nothing(suffix: str, tmp_path: Path) -> None:
    tree = example("ck48", tmp_path / "set")
    path = tmp_path / f"ck{suffix}"
    files = [p for p in tree.source.rglob("*") if p.is_file()]
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as packed:
            for file in files:
                packed.write(file, file.relative_to(tree.source))
    else:
        with tarfile.open(path, "w:gz") as packed_tar:
            for file in files:
                packed_tar.add(file, str(file.relative_to(tree.source)))
    whole = prepare("ck48", tree.source, tmp_path / "a.parquet")
    assert prepare("ck48", path, tmp_path / "b.parquet").fingerprint == whole.fingerprint


@pytest.mark.parametrize("name", ["../evil.png", "/tmp/evil.png", "a/../../evil.png", "..\\evil"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archive_that_climbs_out_is_refused(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"bad.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("anger/S010_004_00000017.png", b"x")
            packed.writestr(name, b"evil")
    else:
        with tarfile.open(path, "w") as packed_tar:
            member = tarfile.TarInfo(name)
            member.size = 4
            packed_tar.addfile(member, io.BytesIO(b"evil"))
    with pytest.raises(InputError, match="climbs out"):
        prepare("ck48", path, tmp_path / "o.parquet")
    assert list(tmp_path.iterdir()) == [path]


def test_archive_with_a_link_or_damage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.tar"
    with tarfile.open(path, "w") as packed:
        link = tarfile.TarInfo("anger")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        packed.addfile(link)
    with pytest.raises(InputError, match="neither a file nor a folder"):
        prepare("ck48", path, tmp_path / "o.parquet")
    (tmp_path / "bad.zip").write_bytes(b"PK\x03\x04 no zip at all")
    with pytest.raises(InputError, match="cannot be unpacked"):
        prepare("ck48", tmp_path / "bad.zip", tmp_path / "o.parquet")


def test_nothing_half_is_left_when_the_reader_fails(tmp_path: Path) -> None:
    tree = example("ferplus", tmp_path / "set")
    votes = tree.source / "fer2013new.csv"
    votes.write_text("\n".join(votes.read_text().splitlines()[:-1]))
    old = tmp_path / "out.parquet"
    old.write_bytes(b"what was here before")
    with pytest.raises(InputError):
        prepare("ferplus", tree.source, old)
    assert old.read_bytes() == b"what was here before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.parquet", "set"]


def test_labels_are_kept_and_published_counts_follow(tmp_path: Path) -> None:
    tree = example("rafdb", tmp_path / "set")
    done = prepare("rafdb", tree.source, tmp_path / "o.parquet", labels=("happy",))
    assert dict(done.counts) == {("train", "happy"): 1}
    assert {(d.split, d.label) for d in done.differences} == {("train", "happy"), ("test", "happy")}


def test_options_are_checked(tmp_path: Path) -> None:
    tree = example("ckplus", tmp_path / "set")
    for options, message in (
        ({"frame": "1"}, "frames"),
        ({"frames": "x"}, "whole number"),
        ({"neutral": "maybe"}, "true or false"),
    ):
        with pytest.raises((InputError, UnknownNameError), match=message):
            prepare("ckplus", tree.source, tmp_path / "o.parquet", options=options)


def test_plain_files_are_stored_as_they_are(tmp_path: Path) -> None:
    jpeg = save_image(tmp_path / "a.jpg")
    assert encode(jpeg)[0] == jpeg.read_bytes()
    deep = np.full((16, 16), 40000, np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    data, pixels_ = encode(tmp_path / "deep.png")
    assert Image.open(io.BytesIO(data)).mode == "L"
    assert pixels_[0, 0, 0] == round(40000 / 257)


def test_differences_understand_totals() -> None:
    found: dict[tuple[str | None, str | None], int] = {("train", "happy"): 2, ("test", "happy"): 1}
    assert differences(found, {("train", None): 2, (None, "happy"): 3, (None, None): 3}) == ()


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("fer2013", "fer2013.csv"),
        ("csv", "list.csv"),
        ("affectnet", "labels.csv"),
        ("ferplus", "fer2013new.csv"),
        ("rafdb", "list_patition_label.txt"),
    ],
)
def test_binary_rubbish_for_a_table_is_refused(name: str, file: str, tmp_path: Path) -> None:
    folder = tmp_path / "set"
    fer2013.write_table(folder / "fer2013.csv")
    save_image(folder / "aligned" / "a.jpg")
    rubbish = bytes(np.random.default_rng(0).integers(128, 256, 5000, dtype=np.uint8))
    (folder / file).write_bytes(rubbish)
    source = folder / file if name == "csv" else folder
    with pytest.raises(InputError, match="expected"):
        prepare(name, source, tmp_path / "o.parquet")
    assert not (tmp_path / "o.parquet").exists()


def test_csv_reads_imagefolders_metadata(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png")
    path = save_table(tmp_path / "metadata.csv", ["file_name", "label"], [["a.png", "joyful"]])
    done = prepare("csv", path, tmp_path / "o.parquet", options={"names": "joyful=happy"})
    assert dict(done.counts) == {(None, "happy"): 1}
