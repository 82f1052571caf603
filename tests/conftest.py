"""Shared fixtures: the example portrait, drawn pictures, recognizers, and a plain subprocess."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mien
from mien.types import ImageArray
from mien.vision.read import read_image
from tests import base_only

ROOT = Path(__file__).parent.parent
PORTRAIT = ROOT / "examples" / "astronaut.jpg"


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A file that takes seconds to make, shared by the workers of pytest-xdist."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each worker has a folder of its own in it
    path, part = base / name, base / f"part-{name}"
    try:
        base.joinpath(f"{name}.taken").mkdir()
    except FileExistsError:  # another worker makes it
        ends = time.monotonic() + 120
        while not path.exists():
            assert time.monotonic() < ends, f"nobody made {path}"
            time.sleep(0.1)
    else:
        make(part)
        part.replace(path)
    return path


@pytest.fixture(scope="session")
def portrait() -> ImageArray:
    return read_image(PORTRAIT)


@pytest.fixture(scope="session")
def recognizer() -> mien.Recognizer:
    return mien.load("mien-int8", detector="haar")  # mien's network, in less than half its time


@pytest.fixture(scope="session")
def crops_only() -> mien.Recognizer:
    return mien.load("mien-int8", detector="none")


@pytest.fixture(scope="session")
def face_crop(recognizer: mien.Recognizer, portrait: ImageArray) -> ImageArray:
    """The aligned face of the portrait, 192 x 192."""
    return recognizer.crops(portrait)[0].image


@pytest.fixture
def noise() -> ImageArray:
    """A picture without a face."""
    return np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)


@pytest.fixture
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python code or the command in a process that sees nothing but the base install."""

    def call(
        *args: str,
        stdin: str = "",
        code: str | None = None,
        cwd: Path | None = None,
        seconds: float = 120,
        **env: str,
    ) -> subprocess.CompletedProcess[str]:
        program = code or "from mien.commands.main import main; main()"
        guarded = f"import tests.base_only\ntests.base_only.install()\n{program}"
        return subprocess.run(
            [sys.executable, "-c", guarded, *args],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            cwd=cwd,
            check=False,
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
                "COLUMNS": "160",
                base_only.VARIABLE: base_only.refused(),
                **env,
            },
        )

    return call
