"""Tiny trees in the real layouts, made of noise: no face is in them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mien.types import ImageArray

Cell = tuple[str | None, str | None]


@dataclass(frozen=True)
class Tree:
    """A source, and what reading it must give."""

    source: Path
    counts: dict[Cell, int]
    subjects: frozenset[str | None] = frozenset({None})
    skipped: dict[str, int] = field(default_factory=dict)
    victim: Path | None = None  # an image file that a test may damage


Maker = Callable[[Path], Tree]
TREES: dict[str, Maker] = {}


def tree(name: str) -> Callable[[Maker], Maker]:
    def add(maker: Maker) -> Maker:
        TREES[name] = maker
        return maker

    return add


def noise(seed: int, side: int = 48) -> ImageArray:
    """Smooth noise, so that thumbnails and JPEG keep what tells images apart."""
    small = np.random.default_rng(seed).integers(0, 256, (8, 8), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


_next = iter(range(1_000_000))


def save(path: Path, pixels: ImageArray | None = None, **how: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(next(_next)) if pixels is None else pixels).save(path, **how)
    return path


def table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def spelt(seed: int) -> str:
    return " ".join(map(str, noise(seed).ravel().tolist()))


def fer2013_csv(path: Path, header: Sequence[str] = ("emotion", "pixels", "Usage")) -> Path:
    usages = ["Training"] * 4 + ["PublicTest", "PrivateTest"]
    values = [
        {"emotion": (3, 0, 3, 6, 1, 2)[i], "pixels": spelt(i), "usage": usage}
        for i, usage in enumerate(usages)
    ]
    return table(path, header, [[v[name.strip().lower()] for name in header] for v in values])


FER2013: dict[Cell, int] = {
    ("train", "happy"): 2, ("train", "angry"): 1, ("train", "neutral"): 1,
    ("val", "disgust"): 1, ("test", "fear"): 1,
}  # fmt: skip


@tree("fer2013")
def fer2013(folder: Path) -> Tree:
    fer2013_csv(folder / "fer2013.csv")
    return Tree(folder, dict(FER2013))


def fer2013_folders(folder: Path) -> Tree:
    victim = save(folder / "train" / "angry" / "Training_3908.jpg")
    save(folder / "train" / "happy" / "Training_11.jpg")
    save(folder / "test" / "happy" / "PublicTest_98.jpg")
    save(folder / "test" / "happy" / "PrivateTest_99.jpg")
    counts: dict[Cell, int] = {
        ("train", "angry"): 1,
        ("train", "happy"): 1,
        ("val", "happy"): 1,
        ("test", "happy"): 1,
    }
    return Tree(folder, counts, victim=victim)


VOTES = ["neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt",
         "unknown", "NF"]  # fmt: skip


@tree("ferplus")
def ferplus(folder: Path) -> Tree:
    fer2013_csv(folder / "fer2013.csv")
    rows = [
        ["Training", "fer0000000.png", 0, 9, 1, 0, 0, 0, 0, 0, 0, 0],  # happy
        ["Training", "fer0000001.png", 3, 0, 0, 3, 2, 0, 0, 0, 0, 2],  # no majority
        ["Training", "", 0, 0, 0, 0, 0, 0, 0, 0, 0, 10],  # not a face: no name
        ["Training", "fer0000003.png", 0, 0, 0, 0, 0, 0, 0, 1, 9, 0],  # unknown
        ["PublicTest", "fer0000004.png", 6, 0, 0, 4, 0, 0, 0, 0, 0, 0],  # neutral
        ["PrivateTest", "fer0000005.png", 0, 0, 0, 0, 0, 0, 2, 8, 0, 0],  # contempt
    ]
    table(folder / "fer2013new.csv", ["Usage", "Image name", *VOTES], rows)
    counts: dict[Cell, int] = {
        ("train", "happy"): 1,
        ("val", "neutral"): 1,
        ("test", "contempt"): 1,
    }
    return Tree(folder, counts, skipped={"no majority": 1, "not a face": 1, "unknown": 1})


@tree("rafdb")
def rafdb(folder: Path) -> Tree:
    aligned = folder / "basic" / "Image" / "aligned"
    victim = save(aligned / "train_00001_aligned.jpg")
    save(aligned / "train_00002_aligned.jpg")
    save(aligned / "test_0001_aligned.jpg")
    listing = folder / "basic" / "EmoLabel" / "list_patition_label.txt"
    listing.parent.mkdir(parents=True)
    listing.write_text("train_00001.jpg 1\ntrain_00002.jpg 4\ntest_0001.jpg 7\n")
    counts: dict[Cell, int] = {
        ("train", "surprise"): 1,
        ("train", "happy"): 1,
        ("test", "neutral"): 1,
    }
    return Tree(folder, counts, victim=victim)


def rafdb_kaggle(folder: Path) -> Tree:
    save(folder / "DATASET" / "train" / "1" / "train_00001_aligned.jpg")
    save(folder / "DATASET" / "train" / "6" / "train_00002_aligned.jpg")
    save(folder / "DATASET" / "test" / "5" / "test_0001_aligned.jpg")
    labels = [["train_00001_aligned.jpg", 1], ["train_00002_aligned.jpg", 6]]
    table(folder / "train_labels.csv", ["image", "label"], labels)
    table(folder / "test_labels.csv", ["image", "label"], [["test_0001_aligned.jpg", 5]])
    counts: dict[Cell, int] = {
        ("train", "surprise"): 1,
        ("train", "angry"): 1,
        ("test", "sad"): 1,
    }
    return Tree(folder, counts)


@tree("affectnet")
def affectnet(folder: Path) -> Tree:
    numbers = {"train_set": {0: "1", 1: "7", 2: "10"}, "val_set": {0: "6"}}
    for part, entries in numbers.items():
        for number, expression in entries.items():
            save(folder / part / "images" / f"{number}.jpg")
            notes = folder / part / "annotations"
            notes.mkdir(exist_ok=True)
            np.save(notes / f"{number}_exp.npy", np.array(expression))
            np.save(notes / f"{number}_val.npy", np.array("0.5"))
            np.save(notes / f"{number}_aro.npy", np.array("-0.25"))
    counts: dict[Cell, int] = {
        ("train", "happy"): 1,
        ("train", "contempt"): 1,
        ("val", "angry"): 1,
    }
    victim = folder / "train_set" / "images" / "0.jpg"
    return Tree(folder, counts, skipped={"no face": 1}, victim=victim)


def affectnet_kaggle(folder: Path) -> Tree:
    save(folder / "anger" / "image01.jpg")
    save(folder / "happy" / "image02.jpg")
    rows = [[0, "anger/image01.jpg", "surprise", 0.87], [1, "happy/image02.jpg", "happy", 0.6]]
    table(folder / "labels.csv", ["", "pth", "label", "relFCs"], rows)
    return Tree(folder, {(None, "surprise"): 1, (None, "happy"): 1})


@tree("kdef")
def kdef(folder: Path) -> Tree:
    root = folder / "KDEF_and_AKDEF"
    names = ["AF01ANS", "BF01ANS", "AM35HAFL", "AF01SUHR"]
    for name in names:
        victim = save(root / "KDEF" / name[:4] / f"{name}.JPG")
    save(root / "AKDEF" / "Female" / "angry.JPG")  # averaged faces, which are left alone
    counts: dict[Cell, int] = {(None, "angry"): 2, (None, "happy"): 1, (None, "surprise"): 1}
    return Tree(folder, counts, frozenset({"F01", "M35"}), victim=victim)


@tree("jaffe")
def jaffe(folder: Path) -> Tree:
    victim = save(folder / "jaffe" / "KA.AN1.39.tiff")
    save(folder / "jaffe" / "KM.HA2.5.tiff")
    palette = Image.fromarray(255 - noise(7)).convert("P")
    palette.putpalette([255 - i // 3 for i in range(768)])  # numbers that are not grey levels
    palette.save(folder / "jaffe" / "YM.NE3.51.tiff")
    counts: dict[Cell, int] = {(None, "angry"): 1, (None, "happy"): 1, (None, "neutral"): 1}
    return Tree(folder, counts, frozenset({"KA", "KM", "YM"}), victim=victim)


@tree("ckplus")
def ckplus(folder: Path) -> Tree:
    for person, take, frames in (("S005", "001", 5), ("S010", "004", 4), ("S011", "001", 3)):
        for number in range(1, frames + 1):
            name = f"{person}_{take}_{number:08d}.png"
            save(folder / "cohn-kanade-images" / person / take / name)
    for person, take, last, code in (("S005", "001", 5, 3), ("S010", "004", 4, 7)):
        path = folder / "Emotion" / person / take / f"{person}_{take}_{last:08d}_emotion.txt"
        path.parent.mkdir(parents=True)
        path.write_text(f"   {code:.7e}\n")
    (folder / "Emotion" / "S011" / "001").mkdir(parents=True)  # a sequence without a label
    victim = folder / "cohn-kanade-images" / "S005" / "001" / "S005_001_00000005.png"
    counts: dict[Cell, int] = {(None, "disgust"): 3, (None, "surprise"): 3}
    return Tree(folder, counts, frozenset({"S005", "S010"}), victim=victim)


@tree("ck48")
def ck48(folder: Path) -> Tree:
    for frame in (15, 16, 17):
        victim = save(folder / "CK+48" / "anger" / f"S010_004_{frame:08d}.png")
    save(folder / "CK+48" / "contempt" / "S138_008_00000009.png")
    counts: dict[Cell, int] = {(None, "angry"): 3, (None, "contempt"): 1}
    return Tree(folder, counts, frozenset({"S010", "S138"}), victim=victim)


@tree("ferg")
def ferg(folder: Path) -> Tree:
    for character, expression in (("aia", "joy"), ("aia", "anger"), ("ray", "sadness")):
        rgba = np.dstack([noise(next(_next))] * 3 + [np.full((48, 48), 128, np.uint8)])
        path = folder / "FERG_DB_256" / character / f"{character}_{expression}"
        victim = save(path / f"{character}_{expression}_1.png", rgba)
    counts: dict[Cell, int] = {(None, "happy"): 1, (None, "angry"): 1, (None, "sad"): 1}
    return Tree(folder, counts, frozenset({"aia", "ray"}), victim=victim)


@tree("tfeid")
def tfeid(folder: Path) -> Tree:
    victim = save(folder / "anger (high)" / "f01_001_ag.jpg")
    save(folder / "surprise (slight)" / "m03_002_pg.jpg")
    save(folder / "pictures" / "m03_003_hg.jpg")
    counts: dict[Cell, int] = {(None, "angry"): 1, (None, "surprise"): 1, (None, "happy"): 1}
    return Tree(folder, counts, frozenset({"f01", "m03"}), victim=victim)


@tree("disfa")
def disfa(folder: Path) -> Tree:
    for person, frames in (("SN001", 11), ("SN002", 3)):
        path = folder / "Videos_LeftCamera" / f"LeftVideo{person}_comp.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        codec = cv2.VideoWriter.fourcc(*"MJPG")
        video = cv2.VideoWriter(str(path), codec, 20, (64, 48))
        for number in range(frames):
            video.write(cv2.resize(cv2.cvtColor(noise(number), cv2.COLOR_GRAY2BGR), (64, 48)))
        video.release()
        for unit in (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26):
            notes = folder / "ActionUnit_Labels" / person / f"{person}_au{unit}.txt"
            notes.parent.mkdir(parents=True, exist_ok=True)
            lines = [f"{i + 1},{3 if unit == 12 and i == 10 else 0}" for i in range(frames)]
            notes.write_text("\n".join(lines) + "\n")
    return Tree(folder, {(None, None): 3}, frozenset({"SN001", "SN002"}))


@tree("folder")
def classes(folder: Path) -> Tree:
    victim = save(folder / "train" / "Happiness" / "a.png")
    save(folder / "train" / "anger" / "b.jpg")
    save(folder / "validation" / "sad" / "c.webp")
    counts: dict[Cell, int] = {
        ("train", "happy"): 1,
        ("train", "angry"): 1,
        ("val", "sad"): 1,
    }
    return Tree(folder, counts, victim=victim)


@tree("csv")
def listing(folder: Path) -> Tree:
    victim = save(folder / "pictures" / "a.png")
    save(folder / "pictures" / "b.png")
    rows = [["pictures/a.png", "happy", "train", "p1"], ["pictures/b.png", "Fear", "test", "p2"]]
    table(folder / "list.csv", ["path", "label", "split", "subject"], rows)
    counts: dict[Cell, int] = {("train", "happy"): 1, ("test", "fear"): 1}
    return Tree(folder / "list.csv", counts, frozenset({"p1", "p2"}), victim=victim)


@tree("parquet")
def parquet(folder: Path) -> Tree:
    images = [save(folder / f"{i}.png").read_bytes() for i in range(3)]
    labels = ["happy", "neutral", "contempt"]
    content = {"image": images, "label": labels, "split": ["train", "train", "test"]}
    pq.write_table(pa.table(content), folder / "some.parquet")
    counts: dict[Cell, int] = {
        ("train", "happy"): 1,
        ("train", "neutral"): 1,
        ("test", "contempt"): 1,
    }
    return Tree(folder / "some.parquet", counts)
