"""Mutated files of every format that is read: nothing but InputError, no hang, little memory.

``make fuzz`` makes a long run; a file that fails is printed as its seed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import cv2
import numpy as np
import pytest
from PIL import Image

from mien.vision.formats import FORMATS

Run = Callable[..., "CompletedProcess[str]"]
COUNT = int(os.environ.get("MIEN_FUZZ", "300"))
SECONDS = 10.0  # for one file
MEMORY = 450e6  # bytes above the start: the budget below, and what the allocator keeps
BUDGET = 300_000_000

CODE = """
import json, resource, sys, time, warnings
from pathlib import Path
import numpy as np
from mien.types import InputError
from mien.vision.read import read_header, read_image, read_reduced

def mutated(data, rng):
    data = bytearray(data)
    kind = rng.integers(6)
    if kind == 0:  # some bytes anywhere
        for _ in range(int(rng.integers(1, 20))):
            data[rng.integers(len(data))] = rng.integers(256)
    elif kind == 1:  # in the header
        for _ in range(int(rng.integers(1, 6))):
            data[rng.integers(min(len(data), 200))] = rng.integers(256)
    elif kind == 2:  # cut short
        del data[int(rng.integers(1, len(data))):]
    elif kind == 3:  # numbers at their limits
        at = int(rng.integers(max(len(data) - 4, 1)))
        word = rng.choice(["ffffffff", "00000000", "7fffffff", "0000ffff", "00002000"])
        data[at:at + 4] = bytes.fromhex(str(word))
    elif kind == 4:  # a piece again, or left out
        first, last = sorted(int(v) for v in rng.integers(0, len(data), 2))
        data[first:last] = data[first:last] * int(rng.integers(0, 3))
    else:  # something behind it
        data += rng.bytes(int(rng.integers(1, 2000)))
    return bytes(data)

folder, count = Path(sys.argv[1]), int(sys.argv[2])
seeds = sorted(folder.iterdir())
contents = [path.read_bytes() for path in seeds]
status = Path("/proc/self/status")

def peak():
    if status.exists():  # of this program alone; what follows may be that of who started it
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

read_image(contents[0])
start, slowest, read, refused, faults = peak(), (0.0, ""), 0, 0, []
formats = {path.name.partition("-")[0]: [0, 0] for path in seeds}
warnings.simplefilter("error")
for number in range(count):
    which = number % len(seeds)
    data = mutated(contents[which], np.random.default_rng([7, number]))
    began = time.perf_counter()
    for call in (read_image, read_header, lambda d: read_reduced(d, 16)):
        try:
            call(data)
            read += 1
            formats[seeds[which].name.partition("-")[0]][0] += call is read_image
        except InputError as error:
            refused += 1
            formats[seeds[which].name.partition("-")[0]][1] += call is read_image
            assert "\\n" not in str(error), str(error)
        except BaseException as error:
            faults.append(f"{seeds[which].name} {number}: {type(error).__name__}: {error}")
    slowest = max(slowest, (time.perf_counter() - began, f"{seeds[which].name} {number}"))
print(json.dumps([read, refused, peak() - start, slowest, faults, formats]))
"""


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    """A small file of every format, and of the forms in which they are decoded differently."""
    y, x = np.mgrid[:48, :64]
    colours = Image.fromarray(np.dstack([x * 4, y * 5, x ^ y]).astype(np.uint8))
    deep = Image.fromarray((x * 60 + y).astype(np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6
    for kind in FORMATS:
        colours.save(tmp_path / kind, kind)
    colours.save(tmp_path / "JPEG-exif", "JPEG", exif=exif, progressive=True)
    colours.convert("CMYK").save(tmp_path / "JPEG-cmyk", "JPEG")
    colours.convert("P").save(tmp_path / "PNG-palette", "PNG", transparency=3)
    colours.convert("RGBA").save(tmp_path / "WEBP-alpha", "WEBP", lossless=True)
    deep.save(tmp_path / "PNG-deep", "PNG")
    deep.save(tmp_path / "TIFF-deep", "TIFF", compression="tiff_lzw")
    colours.save(tmp_path / "TIFF-jpeg", "TIFF", compression="jpeg")
    frames = [colours.convert("P"), colours.rotate(90).convert("P")]
    frames[0].save(tmp_path / "GIF-frames", "GIF", save_all=True, append_images=frames[1:])
    values = np.dstack([x * 60, y * 80, x + y]).astype(np.uint16)
    for kind in ("png", "tiff"):
        cv2.imwrite(str(tmp_path / f"{kind.upper()}-colour.{kind}"), values)
    (tmp_path / "PPM-deep").write_bytes(b"P6 64 48 4095\n" + values.astype(">u2").tobytes())
    (tmp_path / "PPM-plain").write_text("P2 8 8 200\n" + " ".join(map(str, range(64))))
    (tmp_path / "HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    return tmp_path


def test_mutated_files_are_read_or_refused(seeds: Path, run: Run) -> None:
    patience = max(120.0, COUNT / 4)
    done = run(str(seeds), str(COUNT), code=CODE, seconds=patience, MIEN_IMAGE_BYTES=str(BUDGET))
    assert done.returncode == 0, done.stderr[-2000:]
    read, refused, memory, slowest, faults, formats = json.loads(done.stdout.splitlines()[-1])
    print(f"\n{COUNT} files, each read in 3 ways: {read} answers, {refused} refusals, ", end="")
    print(f"{len(faults)} faults, {memory / 1e6:.0f} MB, slowest {slowest[0]:.2f} s ({slowest[1]})")
    for kind, (good, bad) in formats.items():
        print(f"{kind}: {good + bad} files, {good} read, {bad} refused")
    assert not faults, "\n".join(faults[:20])
    assert read + refused == 3 * COUNT
    assert read > COUNT // 4
    assert refused > COUNT // 4
    assert slowest[0] < SECONDS, slowest
    assert memory < MEMORY
