"""How many altered copies ``mien data check --altered`` finds among real faces, and its cost.

``python -m benchmarks.copies SET.parquet ...`` writes ``results/copies.json`` and ``copies.md``.
Of each set, ``--each`` images that it holds once are saved once more for every alteration, as JPEG,
into a file with its first ``--rows`` images, and it is counted which of them are found to be copies
of their originals. The set is checked by itself with and without ``--altered``, each in a process
of its own, which tells its processor time and memory.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from mien.data.copies import alike
from mien.data.table import ImageTable, Writer, image_bytes, pixel_hash, schema
from mien.results.tables import markdown_table
from mien.types import ImageArray
from mien.vision.read import read_image

RESULTS = Path(__file__).parent / "results"
QUALITY = 90  # of the JPEG
Change = Callable[[Image.Image], Image.Image]
MEASURED = """
import json, resource, sys
from mien.data.check import check
found = check(sys.argv[1], altered=sys.argv[2] == "altered")
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "rows": found.rows, "near": found.near_pairs, "altered": dict(found.altered),
    "across": found.across, "seconds": used.ru_utime + used.ru_stime,
    "megabytes": used.ru_maxrss / 1024,
}))
"""


def turn(by: float) -> Change:
    """Turned about its middle; the corners become black."""
    return lambda image: image.rotate(by, Image.Resampling.BILINEAR)


def cut(left: float, top: float, right: float, bottom: float) -> Change:
    """Parts of a side are cut off, and what is left is enlarged."""

    def change(image: Image.Image) -> Image.Image:
        width, height = image.size
        box = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
        return image.resize(image.size, Image.Resampling.BICUBIC, box)

    return change


CHANGES: Final[dict[str, Change]] = {
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "turned by 10 degrees": turn(10),
    "turned by -10 degrees": turn(-10),
    "turned by 7 degrees": turn(7),
    "turned by 5 degrees": turn(5),
    "cropped by 5 % of a side": cut(0.025, 0.025, 0.025, 0.025),
    "cropped by 5 % at each edge": cut(0.05, 0.05, 0.05, 0.05),
    "cropped by 5 % at one edge": cut(0.05, 0, 0, 0),
    "cropped by 5 % at two edges": cut(0.05, 0.05, 0, 0),
    "mirrored and turned by 10 degrees": lambda image: turn(10)(
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    ),
}


def jpeg(pixels: ImageArray, change: Change) -> bytes:
    """The altered image as a file."""
    buffer = io.BytesIO()
    change(Image.fromarray(pixels)).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def recalled(path: Path, each: int, rows: int, seed: int = 0) -> dict[str, float]:
    """The share of copies that is found, by what was done to them."""
    batches = (b[0].to_pylist() for b in ImageTable(path).batches(["image"]))
    images = [image_bytes(v) for v in islice(chain.from_iterable(batches), rows)]
    times = Counter(map(pixel_hash, map(read_image, images)))
    pixels: dict[int, ImageArray] = {}
    for row in map(int, np.random.default_rng(seed).permutation(len(images))):
        shown = read_image(images[row])
        if times[pixel_hash(shown)] == 1:
            pixels[row] = shown
        if len(pixels) == each:
            break
    meant: list[tuple[str, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        both = Path(folder) / "both.parquet"
        with Writer(both, schema({}, {})) as writer:
            for i, image in enumerate(images):
                writer.add({"image": {"bytes": image, "path": str(i)}, "split": "train"})
            for name, change in CHANGES.items():
                for row, shown in pixels.items():
                    meant.append((name, row))
                    content = {"bytes": jpeg(shown, change), "path": f"{row} {name}"}
                    writer.add({"image": content, "split": "test"})
        found = set(alike(both, changed=True))
    hits = dict.fromkeys(CHANGES, 0)
    for number, (name, row) in enumerate(meant):
        hits[name] += (row, len(images) + number) in found
    return {name: n / len(pixels) for name, n in hits.items()}


def checked(path: Path, how: str) -> dict[str, Any]:
    """What a check finds and costs."""
    words = [sys.executable, "-c", MEASURED, str(path), how]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure each set, write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--each", type=int, default=300)
    parser.add_argument("--rows", type=int, default=5000)
    given = parser.parse_args()
    results = {
        path.stem: {
            "plain": checked(path, "plain"),
            "with altered": checked(path, "altered"),
            "found": recalled(path, given.each, given.rows),
        }
        for path in given.sets
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "copies.json").write_text(json.dumps(results, indent=1) + "\n")
    shares = [[name, *(f"{r['found'][name]:.1%}" for r in results.values())] for name in CHANGES]
    costs = [
        [
            f"{name}, {how}",
            f"{r['rows']:,}",
            f"{r['near']:,}",
            ", ".join(f"{n:,} {what}" for what, n in r["altered"].items()) or "not looked for",
            f"{r['across']:,}",
            f"{r['seconds']:.0f}",
            f"{r['megabytes']:.0f}",
        ]
        for name, both in results.items()
        for how, r in both.items()
        if how != "found"
    ]
    header = ["set", "rows", "near pairs", "altered pairs", "images with a copy on another side"]
    text = (
        "# Altered copies\n\nMade by `python -m benchmarks.copies`. The share of copies that were "
        f"made of {given.each} images each, among {given.rows:,} at most, and are found:\n\n"
        + markdown_table(["copies", *results], shares)
        + "\nWhat the sets themselves hold, processor seconds of one core, peak memory in MB:\n\n"
        + markdown_table([*header, "seconds", "MB"], costs)
    )
    (RESULTS / "copies.md").write_text(text)


if __name__ == "__main__":
    main()
