"""Images that real cameras, phones and attackers make: read right, or an InputError at once."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import mien
from mien.data.prepare import encode, prepare
from mien.types import ImageArray, InputError
from mien.vision.find import find_images
from mien.vision.formats import FORMATS
from mien.vision.memory import VARIABLE, Room
from mien.vision.read import read_header, read_image, read_reduced
from tests.conftest import PORTRAIT

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def gradient() -> ImageArray:
    """Red grows to the right, green downwards: every flip and channel swap shows."""
    y, x = np.mgrid[:40, :60]
    return np.stack([x * 4, y * 6, np.full_like(x, 255)], axis=-1).astype(np.uint8)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def deep_file(values: Any, kind: str) -> bytes:
    """16-bit values ``[H, W]`` or ``[H, W, 3 or 4]`` (RGB) as a PNG or TIFF, by OpenCV."""
    given = np.asarray(values, np.uint16)
    if given.ndim == 3:
        given = given[:, :, [2, 1, 0, 3][: given.shape[2]]]
    done, data = cv2.imencode(f".{kind}", given)
    assert done
    return data.tobytes()


def with_chunk(png: bytes, made: bytes) -> bytes:
    """A PNG with a chunk after its header."""
    return png[:33] + made + png[33:]


# values in 16 bits


@pytest.mark.parametrize("kind", ["png", "tiff"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("grey", [True, False])
def test_the_depth_of_a_picture_is_found(
    kind: str, bits: int, grey: bool, gradient: ImageArray
) -> None:
    expected = np.repeat(255 - gradient[:, :, :1], 3, axis=2) if grey else gradient
    values = np.round(expected / 255 * (2**bits - 1))
    image = read_image(deep_file(values[:, :, 0] if grey else values, kind))
    assert np.abs(image.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_a_portrait_of_a_camera_is_answered_as_its_8_bits(
    bits: int, kind: str, portrait: ImageArray, recognizer: mien.Recognizer
) -> None:
    data = deep_file(np.round(portrait / 255 * (2**bits - 1)), kind)
    (row,) = recognizer.predict(data)
    assert row.dominant_emotion == "happy"
    assert row.score is not None
    assert row.score > 0.98


def test_the_header_says_what_16_bits_hold(gradient: ImageArray) -> None:
    dark = np.round(gradient / 255 * 4095).astype(np.uint16)
    said = with_chunk(deep_file(dark, "png"), chunk(b"sBIT", bytes([16, 16, 16])))
    np.testing.assert_allclose(read_image(said), gradient / 16, atol=1)  # dark, as its header says
    twelve = with_chunk(deep_file(dark // 2, "png"), chunk(b"sBIT", bytes([12, 12, 12])))
    np.testing.assert_allclose(read_image(twelve), gradient / 2, atol=1)
    spread = deep_file(gradient.astype(int) // 20 * 257, "png")  # dark, and from 8 bits
    np.testing.assert_array_equal(read_image(spread), gradient // 20)


@pytest.mark.parametrize("tag", [281, 341])
def test_the_largest_value_of_a_tiff_is_taken_from_its_header(tag: int) -> None:
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 50  # up to 3150: 12 bits by itself
    data = saved(Image.fromarray(values), "TIFF", tiffinfo={tag: 16383})
    np.testing.assert_allclose(read_image(data)[..., 0], values / 16383 * 255, atol=1)


def test_a_tiff_of_12_bits_and_a_pgm_with_a_maximum_are_what_they_say() -> None:
    grey = np.arange(64).reshape(8, 8) * 16  # up to 1008 of 4095: dark
    wanted = np.round(grey * 255 / 4095).astype(int)
    pgm = b"P5 8 8 4095\n" + grey.astype(">u2").tobytes()
    np.testing.assert_allclose(read_image(pgm)[..., 0], wanted, atol=1)
    plain = b"P2 8 8 4095\n" + b" ".join(b"%d" % v for v in grey.ravel())
    np.testing.assert_allclose(read_image(plain)[..., 0], wanted, atol=1)
    ppm = b"P6 8 8 4095\n" + np.repeat(grey.astype(">u2"), 3).tobytes()
    np.testing.assert_allclose(read_image(ppm)[..., 2], wanted, atol=1)
    with pytest.raises(InputError, match="cut short"):
        read_image(ppm[:-3])
    deep = b"P5 8 8 65535\n" + (grey * 4).astype(">u2").tobytes()  # 12 bits, which it does not say
    np.testing.assert_allclose(read_image(deep)[..., 0], np.round(grey * 4 / 4095 * 255), atol=1)


def test_16_bits_with_transparency_lie_on_white(gradient: ImageArray) -> None:
    alpha = np.full(gradient.shape[:2], 65535)
    alpha[:, 30:] = 0
    data = deep_file(np.dstack([np.round(gradient / 255 * 4095), alpha]), "png")
    image = read_image(data)
    assert image[:, 30:].min() == 255
    assert np.abs(image[:, :30].astype(int) - gradient[:, :30]).max() <= 1


@pytest.mark.parametrize("turn", range(1, 9))
def test_deep_files_are_turned_upright_as_shallow_ones(turn: int, gradient: ImageArray) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    shallow = saved(Image.fromarray(gradient), "PNG", exif=exif)
    body = exif.tobytes().removeprefix(b"Exif\x00\x00")
    deep = with_chunk(deep_file(gradient.astype(int) * 257, "png"), chunk(b"eXIf", body))
    np.testing.assert_array_equal(read_image(deep), read_image(shallow))
    header = read_header(deep)
    assert (header.height, header.width) == read_image(shallow).shape[:2]


# formats


def test_nothing_outside_the_formats_is_decoded(tmp_path: Path, gradient: ImageArray) -> None:
    trace = tmp_path / "ran"
    script = f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 60 40\n({trace}) (w) file closefile\n"
    path = tmp_path / "x.jpg"
    path.write_bytes(script.encode())
    for source in (path, path.read_bytes(), io.BytesIO(path.read_bytes())):
        with pytest.raises(InputError, match="JPEG, PNG"):
            read_image(source)
    with pytest.raises(InputError, match="JPEG, PNG"):
        read_header(path)
    with Image.open(path) as lazy, pytest.raises(InputError, match="EPS"):
        read_image(lazy)
    assert not trace.exists()
    for kind in ("TGA", "PCX", "ICO", "SGI", "DDS"):
        with pytest.raises(InputError, match="cannot be read"):
            read_image(saved(Image.fromarray(gradient), kind))


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_read_and_its_header_is_true(kind: str, gradient: ImageArray) -> None:
    data = saved(Image.fromarray(gradient), kind)
    header = read_header(data)
    image = read_image(data)
    assert (header.kind, header.height, header.width) == (kind, *image.shape[:2])
    assert header.decoding_bytes() >= image.nbytes == header.result_bytes


def test_a_file_is_decoded_as_what_it_was_judged(gradient: ImageArray) -> None:
    small = saved(Image.fromarray(gradient[:16, :16]), "TIFF")
    # bytes 4 and 5 are FLI's magic and the offset of TIFF's directory: both headers are true
    place = 0xAF12
    fli = bytearray(small.ljust(place, b"\0"))
    old = struct.unpack("<I", fli[4:8])[0]
    fli += fli[old : old + 600]
    struct.pack_into("<I", fli, 4, place)
    struct.pack_into("<HH", fli, 8, 9000, 9000)
    header = read_header(bytes(fli))
    image = read_image(bytes(fli))
    assert (header.kind, header.width, header.height) == ("TIFF", 16, 16)
    np.testing.assert_array_equal(image, gradient[:16, :16])


def test_heic_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.vision.formats.present", lambda _: False)
    content = struct.pack(">I", 24) + b"ftypheic" + bytes(4) + b"mif1heic" + bytes(500)
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / "IMG_0001.HEIC"
    path.write_bytes(content)
    assert find_images([tmp_path / "photos"]) == [path]
    with pytest.raises(InputError, match=r"IMG_0001\.HEIC.*pip install pillow-heif"):
        read_image(path)
    (tmp_path / "set" / "happy").mkdir(parents=True)
    Image.new("L", (16, 16)).save(tmp_path / "set" / "happy" / "a.png")
    (tmp_path / "set" / "happy" / "b.heic").write_bytes(content)
    done = prepare("folder", tmp_path / "set", tmp_path / "o.parquet")
    ((name, problem),) = done.errors
    assert name == "happy/b.heic"
    assert "pillow-heif" in problem


def test_heic_is_read_where_it_can_be(gradient: ImageArray) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    data = saved(Image.fromarray(gradient), "HEIF", quality=100)
    assert read_header(data).kind == "HEIF"
    assert np.abs(read_image(data).astype(int) - gradient).mean() < 8


# damage that does not touch a pixel


def test_metadata_that_cannot_be_written_back_costs_nothing(gradient: ImageArray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x8769] = {0x9286: "a comment", 0xA002: 60}
    data = saved(Image.fromarray(gradient), "JPEG", exif=exif, quality=100, subsampling=0)
    at = data.index(b"Exif\0\0")
    for place in range(at + 14, at + 60):  # tags, types and offsets that point anywhere
        broken = bytearray(data)
        broken[place] ^= 0xFF
        image = read_image(bytes(broken))
        assert image.shape in ((60, 40, 3), (40, 60, 3))
    assert read_image(data).shape == (60, 40, 3)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_a_jpeg_may_lack_its_end_marker_and_nothing_else(
    options: dict[str, Any], portrait: ImageArray
) -> None:
    data = saved(Image.fromarray(portrait), "JPEG", **options)
    whole = read_image(data)
    np.testing.assert_array_equal(read_image(data[:-2]), whole)
    np.testing.assert_array_equal(read_image(data[:-1]), whole)
    for share in (0.3, 0.6, 0.9, 0.99):
        with pytest.raises(InputError, match="cannot be read"):
            read_image(data[: int(len(data) * share)])
    assert encode(data[:-2])[0].startswith(b"\x89PNG")  # what every viewer can read
    small, scale = read_reduced(data[:-2], 128)
    assert (small.shape, scale) == ((128, 128, 3), 0.25)


@pytest.mark.parametrize("first", [True, False])
def test_a_png_with_a_damaged_text_is_read(first: bool, gradient: ImageArray) -> None:
    data = saved(Image.fromarray(gradient), "PNG")
    text = bytearray(chunk(b"tEXt", b"Comment\0some words"))
    text[-1] ^= 0xFF
    end = len(data) - 12
    broken = with_chunk(data, bytes(text)) if first else data[:end] + text + data[end:]
    np.testing.assert_array_equal(read_image(broken), gradient)
    assert read_header(broken).width == 60
    stored, pixels = encode(broken)
    np.testing.assert_array_equal(pixels, gradient)
    with Image.open(io.BytesIO(stored)) as image:
        image.load()
    header = bytearray(data)
    header[20] ^= 1
    with pytest.raises(InputError):
        read_image(bytes(header))  # its size is no text


def test_images_that_fail_late_are_input_errors(gradient: ImageArray, tmp_path: Path) -> None:
    data = saved(Image.fromarray(gradient), "PNG")
    cut = Image.open(io.BytesIO(data[: len(data) // 2]))
    closed = Image.open(io.BytesIO(data))
    closed.close()

    class Failing(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:  # noqa: ARG002 - as files have it
            raise OSError(5, "Input/output error")

    text = (tmp_path / "t.txt").open("w+")
    for source in (cut, closed, Failing(), text):
        with pytest.raises(InputError):
            read_image(source)
    text.close()


def test_a_picture_that_pillow_opened_is_read_as_its_file(portrait: ImageArray) -> None:
    deep = deep_file(np.round(portrait / 255 * 4095), "png")
    with Image.open(io.BytesIO(deep)) as lazy:
        assert np.abs(read_image(lazy).astype(int) - portrait).max() <= 1
    jpeg = saved(Image.fromarray(portrait), "JPEG")
    with Image.open(io.BytesIO(jpeg)) as drafted:
        drafted.draft(None, (128, 128))
        assert read_image(drafted).shape == (128, 128, 3)
    frames = [Image.new("L", (16, 16), v) for v in (10, 200)]
    gif = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    with Image.open(io.BytesIO(gif)) as second:
        second.seek(1)
        assert read_image(second).min() == 200


# what never ends, and what takes too much


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_error_rows(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    found = find_images([tmp_path])
    assert [p.name for p in found] == ["broken.jpg", "pipe.jpg", "zero.jpg"]
    for path, reason in zip(found, ("no such file", "a pipe", "a pipe.* or a device"), strict=True):
        with pytest.raises(InputError, match=f"{path.name}: .*{reason}"):
            read_image(path)
        with pytest.raises(InputError, match=reason):
            read_header(path)
    (tmp_path / "set" / "happy").mkdir(parents=True)
    Image.new("L", (16, 16)).save(tmp_path / "set" / "happy" / "a.png")
    os.mkfifo(tmp_path / "set" / "happy" / "b.png")
    assert prepare("folder", tmp_path / "set", tmp_path / "o.parquet").failed == 1


def bomb(width: int, height: int, depth: int, colour: int) -> bytes:
    """A PNG of zeros: a few kilobytes whatever its size."""
    row = 1 + width * depth * {0: 1, 2: 3, 6: 4}[colour] // 8
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(bytes(row)) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_more_than_the_budget_is_refused_before_it_is_taken(
    monkeypatch: pytest.MonkeyPatch, portrait: ImageArray
) -> None:
    data = bomb(1000, 1000, 16, 2)
    assert read_image(data).shape == (1000, 1000, 3)
    monkeypatch.setenv(VARIABLE, "10000000")
    with pytest.raises(InputError, match=r"0\.0 GB are allowed; shrink it first, or raise MIEN_"):
        read_image(data)
    big = np.tile(portrait, (4, 4, 1))
    jpeg = saved(Image.fromarray(big), "JPEG")
    with pytest.raises(InputError, match="too large"):
        read_image(jpeg)
    assert read_reduced(jpeg, 512)[1] == 0.25  # which takes a sixteenth
    with pytest.raises(InputError, match="at most 0"):
        read_image(io.BytesIO(bytes(10_000_001)))
    monkeypatch.setenv(VARIABLE, "much")
    with pytest.raises(InputError, match="expected a number of bytes"):
        read_image(jpeg)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_the_estimate_holds_the_memory_that_decoding_takes(tmp_path: Path, run: Run) -> None:
    y, x = np.mgrid[:2000, :3000]
    big = Image.fromarray(np.dstack([x // 12, y // 8, (x ^ y) // 16]).astype(np.uint8))
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "AVIF"):
        big.save(tmp_path / kind, kind)
    big.save(tmp_path / "progressive", "JPEG", progressive=True)
    (tmp_path / "deep.png").write_bytes(bomb(3000, 2000, 16, 6))
    code = (
        "import os, resource, sys\n"
        "from pathlib import Path\n"
        "from mien.vision.read import read_bytes, read_header, read_image\n"
        "import cv2, numpy\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "for path in Path(sys.argv[1]).iterdir():\n"
        "    if not os.fork():\n"  # a process of its own: a peak never falls
        "        data, _ = read_bytes(path)\n"
        "        before = peak()\n"
        "        read_image(data)\n"
        "        stated = read_header(data).decoding_bytes()\n"
        "        print(path.name, peak() - before, stated, flush=True)\n"
        "        os._exit(0)\n"
        "    assert os.wait()[1] == 0\n"
    )
    done = run(str(tmp_path), code=code)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 10
    for name, taken, stated in lines:
        assert 12e6 < int(taken) < 1.1 * int(stated) + 12e6, name


def test_threads_share_the_room() -> None:
    room = Room()
    most, lock = 0, threading.Lock()

    def work() -> None:
        nonlocal most
        for _ in range(50):
            with room.hold(40, limit=100), lock:
                most = max(most, room.held)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert most <= 80
    assert room.held == 0
    with room.hold(1000, limit=100):  # one that needs more than there is goes alone
        assert room.held == 1000


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_room(run: Run) -> None:
    code = (
        "import os, sys\n"
        "from mien.vision import memory\n"
        "with memory._room.hold(memory.DEFAULT, memory.DEFAULT):\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        from mien.vision.read import read_image\n"
        f"        os._exit(0 if read_image({str(PORTRAIT)!r}).shape == (512, 512, 3) else 1)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    done = run(code=code)
    assert done.stdout.strip() == "0", done.stderr
    assert sys.platform
