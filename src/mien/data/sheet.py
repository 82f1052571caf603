"""A contact sheet: some images of every class, so that a person sees what a set holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mien.data.table import ImageTable, image_bytes
from mien.emotions import EIGHT
from mien.results.draw import frame, side_by_side, stack, wrapped
from mien.types import ImageArray, InputError
from mien.vision.read import read_image

GAP = 4


def pick(source: ImageTable, each: int, split: str | None, seed: int) -> dict[str, list[int]]:
    """Row numbers of ``each`` images of every label, drawn without reading an image."""
    rng = np.random.default_rng(seed)
    # the smallest of random keys are a fair draw from a stream of unknown length
    drawn: dict[str, list[tuple[float, int]]] = {}
    names = [n for n in ("label", "split") if n in source.names]
    if not names:
        drawn["no label"] = sorted(zip(rng.random(source.rows), range(source.rows), strict=True))
    row = 0
    for batch in source.batches(names, 8192) if names else ():
        labels, splits = source.values(batch, "label"), source.values(batch, "split")
        for key, label, side in zip(rng.random(len(batch)), labels, splits, strict=True):
            if split is None or side == split:
                best = drawn.setdefault(label or "no label", [])
                best.append((float(key), row))
                if len(best) > 20 * each + 100:
                    best[:] = sorted(best)[:each]
            row += 1
    order = [*EIGHT, "no label"]
    return {
        name: sorted(number for _, number in sorted(drawn[name])[:each])
        for name in sorted(drawn, key=order.index)
    }


def contact_sheet(
    path: str | Path, *, each: int = 12, split: str | None = None, seed: int = 0, size: int = 96
) -> ImageArray:
    """Pictures ``[H, W, 3]`` in one row per label, ``each`` to a row, ``size`` pixels a side.

    Images keep their proportions; one that cannot be read is a grey square with a cross. Raises
    InputError where the split has no images.
    """
    if each < 1 or not 16 <= size <= 512:
        raise InputError(f"expected each >= 1 and size in 16..512, got {each} and {size}")
    source = ImageTable(Path(path))
    chosen = pick(source, each, split, seed)
    if not chosen:
        raise InputError(f"{path}: expected images in the split {split!r}, found none")
    pictures = _tiles(source, {row for rows in chosen.values() for row in rows}, size)
    lines = []
    for name, rows in chosen.items():
        tiles = [pictures[row] for row in rows]
        title = wrapped(name, max(len(tiles) * (size + GAP), 80), 14)
        lines.append(stack([title, side_by_side(tiles, GAP)], 2))
    return frame(stack(lines, 10), 10).raster()


def _tiles(source: ImageTable, wanted: set[int], size: int) -> dict[int, ImageArray]:
    found: dict[int, ImageArray] = {}
    start = 0
    for group in range(source.file.metadata.num_row_groups):
        rows = source.file.metadata.row_group(group).num_rows
        here = sorted(row for row in wanted if start <= row < start + rows)
        if here:  # only row groups with a drawn image are read
            column = source.file.read_row_group(group, columns=["image"]).column("image")
            for row in here:
                found[row] = _tile(column[row - start].as_py(), size)
        start += rows
    return found


def _tile(cell: object, size: int) -> ImageArray:
    try:
        image = Image.fromarray(read_image(image_bytes(cell)))
    except InputError:
        broken = np.full((size, size, 3), 200, np.uint8)
        diagonal = np.arange(size)
        broken[diagonal, diagonal] = broken[diagonal, size - 1 - diagonal] = (160, 0, 0)
        return broken
    scale = size / max(image.size)
    small = image.resize(
        (max(round(image.width * scale), 1), max(round(image.height * scale), 1)),
        Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS,
    )
    tile = Image.new("RGB", (size, size), (255, 255, 255))
    tile.paste(small, ((size - small.width) // 2, (size - small.height) // 2))
    return np.array(tile)
