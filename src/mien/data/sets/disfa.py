"""DISFA (Mavadati et al. 2013): videos of 27 people with the intensity of twelve action units."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from mien.data.base import DataCard, Example, Reading, Row, dataset
from mien.data.example import noise, save_text
from mien.data.sources import find_folder, needs_folder
from mien.registry import choose
from mien.types import InputError, IntArray

UNITS: Final = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
VIDEOS: Final = (".avi", ".mp4", ".mov", ".mkv")
_PERSON: Final = re.compile(r"SN\d{3}", re.IGNORECASE)

CARD: Final = DataCard(
    name="disfa",
    title="DISFA, Denver Intensity of Spontaneous Facial Action",
    summary="Spontaneous faces of people who watch a video; each frame has the intensity 0..5 of "
    "twelve action units. There are no labels of expressions.",
    size="27 people, 4,845 frames each (about 130,000 frames), 1024 x 768",
    labels=(),
    licence="Research after signing the owners' agreement.",
    source="http://mohammadmahoor.com/disfa/",
    layout="Videos_LeftCamera/LeftVideoSN001_comp.avi and "
    "ActionUnit_Labels/SN001/SN001_au1.txt (frame,intensity)",
    citation="Mavadati et al. 2013, DISFA: a spontaneous facial action intensity database, "
    "IEEE Trans. Affective Computing 4(2)",
    flaws=(
        "neighbouring frames are near copies: split by subject (the literature uses three folds)",
        "most frames show no action unit at all",
    ),
    honest={"scheme": "grouped", "folds": "3"},
    used_by=("GiMeFive (its 27 videos, to look at)",),
    columns={f"au{unit}": "int" for unit in UNITS} | {"frame": "int", "camera": "string"},
)


def intensities(folder: Path, person: str) -> IntArray:
    """Intensities ``[frames, 12]`` of one person in the order of :data:`UNITS`.

    Raises InputError for a missing file, another line than ``1,0`` or unequal lengths.
    """
    columns = []
    for unit in UNITS:
        path = folder / f"{person}_au{unit}.txt"
        if not path.is_file():
            raise InputError(f"{person}: expected {path.name}, which is missing")
        lines = [line.split(",") for line in path.read_text(encoding="ascii").split() if line]
        try:
            values = [int(intensity) for _, intensity in lines]
        except ValueError:
            raise InputError(f"{path.name}: expected lines such as '1,0'") from None
        if any(not 0 <= value <= 5 for value in values):
            raise InputError(f"{path.name}: expected intensities 0..5")
        columns.append(values)
    if len({len(values) for values in columns}) != 1:
        raise InputError(f"{person}: the twelve files of intensities are not of one length")
    return np.array(columns).T


def _frames(source: Path, video: Path, labels: Path, camera: str, every: int) -> Iterator[Row]:
    import cv2

    shown = video.relative_to(source).as_posix()
    found = _PERSON.search(video.name)
    if found is None:
        yield Row(shown, error="expected a name with SN001")
        return
    person = found[0].upper()
    try:
        values = intensities(labels / person, person)
    except InputError as error:
        yield Row(shown, error=str(error))
        return
    capture = cv2.VideoCapture(str(video))
    try:
        if not capture.isOpened():
            yield Row(shown, error="expected a video, but it cannot be opened")
            return
        number = 0
        while capture.grab():
            number += 1
            if number > len(values) or (number - 1) % every:
                continue
            ok, frame = capture.retrieve()
            name = f"{shown}#{number}"
            if not ok:
                yield Row(name, error="the frame cannot be decoded")
                continue
            units = {f"au{u}": int(v) for u, v in zip(UNITS, values[number - 1], strict=True)}
            pixels = np.ascontiguousarray(np.asarray(frame, dtype=np.uint8)[:, :, ::-1])
            yield Row(
                name, pixels, subject=person, extra={**units, "frame": number, "camera": camera}
            )
        if number != len(values):
            yield Row(shown, error=f"{number} frames in the video, {len(values)} in the labels")
    finally:
        capture.release()


def _rows(source: Path, videos: list[Path], labels: Path, camera: str, every: int) -> Iterator[Row]:
    for video in videos:
        yield from _frames(source, video, labels, camera, every)


def _example(folder: Path) -> Example:
    import cv2

    for person, frames in (("SN001", 11), ("SN002", 3)):
        path = folder / "Videos_LeftCamera" / f"LeftVideo{person}_comp.avi"
        path.parent.mkdir(parents=True, exist_ok=True)
        video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20, (48, 48))
        for number in range(frames):
            video.write(cv2.cvtColor(noise(number), cv2.COLOR_GRAY2BGR))
        video.release()
        for unit in UNITS:
            lines = [f"{i + 1},{3 if unit == 12 and i == 10 else 0}" for i in range(frames)]
            notes = folder / "ActionUnit_Labels" / person / f"{person}_au{unit}.txt"
            save_text(notes, "\n".join(lines) + "\n")
    return Example(folder, {(None, None): 3}, frozenset({"SN001", "SN002"}))


@dataset(CARD, _example)
def read(source: Path, *, camera: str = "left", every: int = 10) -> Reading:
    """Frames of DISFA's videos with the intensities of their action units, label None.

    ``camera`` is left or right; every tenth frame is taken unless ``every`` says otherwise,
    since neighbours are near copies. Frames are written as PNG.
    """
    choose("camera", camera, ("left", "right"))
    if every < 1:
        raise InputError(f"every: expected at least 1, got {every}")
    needs_folder(source, "DISFA")
    labels = find_folder(source, ("ActionUnit_Labels",), "the labels of DISFA")
    names = (f"Videos_{camera}Camera", f"Video_{camera}Camera", f"{camera}Camera")
    folder = find_folder(source, names, "the videos of DISFA")
    videos = sorted(p for p in folder.rglob("*") if p.suffix.lower() in VIDEOS)
    if not videos:
        raise InputError(f"{folder}: expected videos such as LeftVideoSN001_comp.avi, found none")
    return Reading(_rows(source, videos, labels, camera, every), None, {}, camera)
