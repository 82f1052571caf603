from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.types import ImageArray, InputError
from mien.vision.find import find_images
from mien.vision.read import read_image


@pytest.fixture
def gradient() -> ImageArray:
    """Red grows to the right, green downwards: every flip and channel swap shows."""
    y, x = np.mgrid[:40, :60]
    return np.stack([x * 4, y * 6, np.full_like(x, 30)], axis=-1).astype(np.uint8)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_the_same_image_comes_from_path_bytes_pillow_and_array(
    gradient: ImageArray, tmp_path: Path
) -> None:
    picture = Image.fromarray(gradient)
    path = tmp_path / "a.png"
    picture.save(path)
    for source in (path, str(path), path.read_bytes(), picture, gradient):
        np.testing.assert_array_equal(read_image(source), gradient)
    np.testing.assert_array_equal(read_image(gradient[:, :, ::-1], bgr=True), gradient)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(gradient: ImageArray, orientation: int) -> None:
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }
    picture = Image.fromarray(gradient)
    exif = picture.getexif()
    exif[0x0112] = orientation
    content = saved(picture, "PNG", exif=exif)
    np.testing.assert_array_equal(read_image(content), undo[orientation](gradient))


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "CMYK", "YCbCr", "HSV", "LAB"])
def test_every_mode_becomes_rgb(gradient: ImageArray, mode: str) -> None:
    picture = Image.fromarray(gradient).convert(mode if mode != "LAB" else "RGB")
    image = read_image(picture)
    assert image.shape == (40, 60, 3)
    assert image.dtype == np.uint8
    if mode in ("RGBA", "YCbCr", "CMYK"):
        assert np.abs(image.astype(int) - gradient).max() <= 4


def test_transparency_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (16, 16), (200, 0, 0, 0))
    assert read_image(saved(clear, "PNG")).min() == 255
    palette = Image.fromarray(np.indices((16, 16))[0].astype(np.uint8) % 2)
    palette.putpalette([9, 9, 9, 80, 80, 80])
    image = read_image(saved(palette, "PNG", transparency=0))
    assert image[0].min() == 255
    assert image[1].max() == 80


def test_sixteen_bits_are_scaled_and_eight_in_sixteen_kept() -> None:
    deep = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    image = read_image(saved(Image.fromarray(deep), "PNG"))
    assert image[0, 0, 0] == 0
    assert image[-1, -1, 0] == 255
    assert abs(int(image[4, 0, 0]) - deep[4, 0] / 257) <= 1
    shallow = np.full((8, 8), 200, dtype=np.uint16)
    assert read_image(saved(Image.fromarray(shallow), "PNG"))[0, 0, 0] == 200


def test_float_tiffs_in_either_range_are_read_and_others_refused() -> None:
    unit = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    np.testing.assert_array_equal(
        read_image(saved(Image.fromarray(unit), "TIFF")),
        read_image(saved(Image.fromarray(unit * 255), "TIFF")),
    )
    with pytest.raises(InputError, match="rescale"):
        read_image(saved(Image.fromarray(unit * 9000), "TIFF"))


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [Image.new("L", (16, 16), v) for v in (10, 200)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read_image(content).max() == 10


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"not an image at all", "unknown or damaged format"),
        (np.zeros((20, 20, 3), int), "uint8"),
        (np.full((20, 20, 3), 7.0), r"floats in 0\.\.1, got values from 7 to 7"),
        (np.zeros((20, 20, 5), np.uint8), r"\[20, 20, 5\]"),
        (np.zeros((2, 20, 20, 3), np.uint8), r"list\(images\) for a batch"),
        (np.zeros((4, 20), np.uint8), "at least 8 x 8"),
        (3, "got int"),
        ("/no/such/file.jpg", "no such file"),
    ],
)
def test_bad_input_says_what_was_expected(bad: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_image(bad)


def test_a_truncated_file_and_a_folder_are_refused(gradient: ImageArray, tmp_path: Path) -> None:
    content = saved(Image.fromarray(gradient), "PNG")
    with pytest.raises(InputError, match="cannot be read"):
        read_image(content[: len(content) // 2])
    with pytest.raises(InputError, match="got a folder"):
        read_image(tmp_path)


def test_folders_globs_and_files_are_found_once_and_in_order(
    gradient: ImageArray, tmp_path: Path
) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.png", "a.JPG", "deep/c.webp"):
        Image.fromarray(gradient).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    names = [p.relative_to(tmp_path).as_posix() for p in find_images([tmp_path])]
    assert names == ["a.JPG", "b.png", "deep/c.webp"]
    assert find_images([f"{tmp_path}/*.png", tmp_path / "b.png"]) == [tmp_path / "b.png"]
    assert find_images(["absent.jpg"]) == [Path("absent.jpg")]


def test_pictures_that_mien_drew_are_no_photos(gradient: ImageArray, tmp_path: Path) -> None:
    for name in ("a.png", "a.mien.png"):
        Image.fromarray(gradient).save(tmp_path / name)
    (tmp_path / "folder.jpg").mkdir()
    assert find_images([tmp_path]) == [tmp_path / "a.png"]
    assert find_images([f"{tmp_path}/*.png"]) == [tmp_path / "a.png"]


def test_a_name_that_no_file_can_have_is_an_input_error() -> None:
    with pytest.raises(InputError, match="cannot be a file"):
        read_image("x" * 300 + ".jpg")


def test_open_files_and_buffers_are_read(gradient: ImageArray) -> None:
    content = saved(Image.fromarray(gradient), "PNG")
    for source in (bytearray(content), memoryview(content), io.BytesIO(content)):
        np.testing.assert_array_equal(read_image(source), gradient)


def test_an_empty_folder_and_a_glob_without_match_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none"):
        find_images([tmp_path])
    with pytest.raises(InputError, match="no file matches"):
        find_images([f"{tmp_path}/*.png"])
