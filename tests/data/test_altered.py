"""Copies that were mirrored, turned or cropped, among images that have nothing in common."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.commands.main import app
from mien.data import split as splitting
from mien.data.check import check
from mien.data.copies import alike
from mien.data.example import noise
from mien.types import InputError
from tests.data.test_leaks import Line, listed

SIDE = 64
Change = Callable[[Image.Image], Image.Image]


def turned(by: float) -> Change:
    return lambda image: image.rotate(by, Image.Resampling.BILINEAR)


def cropped(left: float, top: float, right: float, bottom: float) -> Change:
    """Parts of a side that are cut off; what is left fills the picture."""

    def change(image: Image.Image) -> Image.Image:
        box = (left * SIDE, top * SIDE, (1 - right) * SIDE, (1 - bottom) * SIDE)
        return image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box)

    return change


def mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def changed(pixels: np.ndarray, change: Change) -> np.ndarray:
    return np.asarray(change(Image.fromarray(pixels)))


@pytest.mark.parametrize(
    ("how", "change"),
    [
        ("mirrored", mirrored),
        ("turned", turned(10)),
        ("turned", turned(-10)),
        ("turned", turned(8)),
        ("cropped", cropped(0.025, 0.025, 0.025, 0.025)),
        ("cropped", cropped(0.05, 0.05, 0.05, 0.05)),
        ("cropped", cropped(0.05, 0, 0, 0.05)),
    ],
)
def test_an_altered_copy_is_found_and_named(how: str, change: Change, tmp_path: Path) -> None:
    lines: list[Line] = [(f"{i}", "happy", "train", "", noise(i, SIDE)) for i in range(30)]
    lines.append(("copy", "sad", "test", "", changed(noise(7, SIDE), change)))
    path = listed(tmp_path, lines)
    plain, found = check(path), check(path, altered=True)
    assert (plain.near_pairs, plain.across) == (0, 0)
    assert plain.altered == {}
    assert found.altered == {"mirrored": 0, "turned": 0, "cropped": 0, how: 1}
    (pair,) = found.altered_examples
    assert (pair.rows, pair.how) == ((7, 30), how)
    assert found.across == 2
    assert found.leaks
    assert found.to_dict()["altered_groups"][0]["how"] == how
    assert alike(path) == []
    assert alike(path, changed=True) == [(7, 30)]


def test_a_turn_by_more_is_another_picture(tmp_path: Path) -> None:
    first = noise(3, SIDE)
    lines = [("a", "happy", "train", "", first)]
    lines += [(f"b{by}", "happy", "test", "", changed(first, turned(by))) for by in (30, 60)]
    assert sum(check(listed(tmp_path, lines), altered=True).altered.values()) == 0


def test_an_even_core_and_an_image_s_own_mirror_are_no_copies(tmp_path: Path) -> None:
    half = noise(5, SIDE)
    symmetric = np.maximum(half, half[:, ::-1])
    framed = np.full((SIDE, SIDE), 200, np.uint8)
    framed[:3] = 20
    lines = [
        ("symmetric", "happy", "train", "", symmetric),
        ("framed", "happy", "train", "", framed),
        ("under", "happy", "test", "", framed[::-1]),
    ]
    assert sum(check(listed(tmp_path, lines), altered=True).altered.values()) == 0


def test_a_split_leaves_them_out_when_asked(tmp_path: Path) -> None:
    lines = [(f"{i}", "happy", "train", "", noise(i, SIDE)) for i in range(3)]
    lines.append(("copy", "happy", "test", "", changed(noise(1, SIDE), mirrored)))
    lines.append(("own", "happy", "test", "", noise(9, SIDE)))
    path = listed(tmp_path, lines)
    assert splitting.make(path, "deduplicated").excluded == 0
    made = splitting.make(path, "deduplicated", options={"altered": "yes"})
    assert made.values == ["train", "train", "train", "excluded", "test"]


def test_the_command_counts_them_and_wants_near_ones_too(tmp_path: Path) -> None:
    lines = [("a", "happy", "train", "", noise(1, SIDE))]
    lines.append(("b", "happy", "test", "", changed(noise(1, SIDE), mirrored)))
    path = listed(tmp_path, lines)
    done = CliRunner().invoke(app, ["data", "check", str(path), "--altered", "--strict"])
    assert done.exit_code == 1
    assert re.search(r"pairs of which one is mirrored +1\n", done.output)
    wrong = CliRunner().invoke(app, ["data", "check", str(path), "--altered", "--no-near"])
    assert isinstance(wrong.exception, InputError)
