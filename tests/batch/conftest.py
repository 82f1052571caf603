"""Photos for jobs, and one small Ray for all tests of a process."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import PORTRAIT


def photo(number: int) -> Image.Image:
    """The portrait at a place of its own, or no face at all in every third."""
    rng = np.random.default_rng(number)
    back = Image.fromarray(rng.integers(60, 200, (4, 5, 3), dtype=np.uint8))
    image = back.resize((320, 256), Image.Resampling.BICUBIC)
    if number % 3:
        with Image.open(PORTRAIT) as portrait:
            face = portrait.convert("RGB").crop((110, 0, 340, 230)).resize((150, 150))
        image.paste(face, (int(rng.integers(0, 170)), int(rng.integers(0, 100))))
    return image


def jpeg(number: int) -> bytes:
    buffer = BytesIO()
    photo(number).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve photos in two folders, one broken, and something that is no image."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "in [b]").mkdir()
    for n in range(12):
        (folder / ("in [b]" if n % 2 else ".") / f"{n:02d}.jpg").write_bytes(jpeg(n))
    (folder / "broken.jpg").write_bytes(jpeg(1)[:300])
    (folder / "notes.doc").write_text("no image")
    return folder


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """A Ray of two cores in this process."""
    import ray

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ["RAY_BACKEND_LOG_LEVEL"] = "fatal"
        context = ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=100 * 2**20,
        )
        yield context.address_info["gcs_address"]
        ray.shutdown()
