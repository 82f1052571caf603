"""One recognizer and one analysed clip for all tests of videos."""

from __future__ import annotations

from pathlib import Path

import pytest

import mien
from mien import video
from tests.video import clips


@pytest.fixture(scope="session")
def looker() -> mien.Recognizer:
    """The best detector of this machine."""
    return mien.load(threads=1)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of two people, with sound."""
    return clips.write(tmp_path_factory.mktemp("clip") / "two [a].mp4", 24, sound="aac")


@pytest.fixture(scope="session")
def analysed(
    looker: mien.Recognizer, clip: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[video.Analysis, Path]:
    """The clip, analysed, and the folder with what that wrote."""
    folder = tmp_path_factory.mktemp("analysed")
    result = video.analyse(
        clip,
        recognizer=looker,
        output=folder / "out.mp4",
        timeline=folder / "rows.parquet",
        options=video.VideoOptions(overlay="cam"),
    )
    result.save(folder)
    return result, folder
