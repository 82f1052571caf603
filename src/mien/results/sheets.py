"""Explanations as pictures: one method, or several side by side on one face."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from types import MappingProxyType

import numpy as np

from mien.emotions import COLOURS
from mien.results import draw
from mien.results.attribution import Attribution
from mien.results.drawing import Drawing, Lines, resized
from mien.results.mosaic import mosaic
from mien.results.overview import Overview, overview_drawing
from mien.results.predictions import brief
from mien.results.words import density, describe, paragraph
from mien.types import FloatArray, ImageArray
from mien.vision.regions import region_map

PANEL = 264  # pixels, the side of a panel of the sheet
OUTLINE = 0.6  # opacity of the regions' outlines
NONE: Mapping[str, Overview] = MappingProxyType({})
NO_FILES: Mapping[str, str] = MappingProxyType({})


def painted(explanation: Attribution) -> tuple[FloatArray, float, str]:
    """What is laid over the crop ``[h, w]``, the value that has full colour, and the unit."""
    e = explanation
    if e.evidence.regional:
        shown = np.array(list(e.regions.values()))[e.labels]
        unit = f"{e.unit} per region"
    else:
        shown = e.values * (e.values.size / e.players)
        unit = f"{e.unit} per {'pixel' if e.players == e.values.size else 'cell'}"
    if e.empty:  # rounding must not be stretched to full colour
        shown = np.zeros_like(shown)
    return shown, max(float(np.abs(shown).max()), 1e-9), unit


def sheets(
    explanations: Sequence[Attribution],
    overviews: Mapping[str, Overview] = NONE,
    files: Mapping[str, str] = NO_FILES,
    *,
    landmarks: bool = False,
) -> Drawing:
    """A sheet for each face, below one another: of its one method, or of all of them.

    Above those of a photo in ``overviews``, by its name, stands the photo with its faces numbered.
    ``files`` are what the footers call the photos, by their names; where one lacks, its file's
    name, told apart from those of the other sheets. With ``landmarks`` each aligned face shows its
    own.
    """
    faces: dict[tuple[str, int | None], list[Attribution]] = {}
    for e in explanations:
        faces.setdefault((e.prediction.input, e.prediction.face_id), []).append(e)
    called = told_apart(name for name, _ in faces) | dict(files)
    parts: list[Drawing] = []
    begun: set[str] = set()
    for (name, _), found in faces.items():
        draw_all = sheet if len(found) == 1 else comparison
        drawn = draw_all(found, called[name], landmarks=landmarks)
        if name in overviews and name not in begun:
            begun.add(name)
            above = overview_drawing(overviews[name], drawn.width - 2 * MARGIN)
            parts.append(draw.frame(above, MARGIN))
        parts.append(drawn)
    return draw.stack(parts)


def told_apart(photos: Iterable[str]) -> dict[str, str]:
    """What to call each photo: its file's name, and where names repeat, folders that differ.

    >>> list(told_apart(["a/1/x.jpg", "a/2/x.jpg", "a/2/y.jpg"]).values())
    ['1/x.jpg', '2/x.jpg', 'y.jpg']
    >>> list(told_apart(["a/1/x.jpg", "b/1/x.jpg"]).values())
    ['a/1/x.jpg', 'b/1/x.jpg']
    """
    alike: dict[str, dict[str, tuple[str, ...]]] = {}
    for photo in photos:
        name, whole = Path(photo).name, Path(os.path.abspath(photo))  # noqa: PTH100 - without ..
        alike.setdefault(name, {})[photo] = (*whole.parts[1:-1], name)
    called: dict[str, str] = {}
    for found in alike.values():
        paths = set(found.values())  # one may be written in two ways
        depth = next(n for n in count(1) if len({path[-n:] for path in paths}) == len(paths))
        called |= {photo: "/".join(parts[-depth:]) for photo, parts in found.items()}
    return called


def sheet(explanations: Sequence[Attribution], file: str, *, landmarks: bool = False) -> Drawing:
    """One explanation as a picture: crop, overlay with its legend, regions, probabilities."""
    (e,) = explanations
    p = e.prediction
    crop = face_drawing(e, PANEL, landmarks=landmarks)
    seen = f"face {p.face_id}" + ("" if p.face is None else f", found by {p.face.detector}")
    passes = f"{e.evaluations} forward pass{'es' if e.evaluations > 1 else ''}"
    hidden = "nothing hidden" if e.base is None else f"hidden parts: {e.baseline}"
    evidence = ", ".join([e.method, passes, hidden, *_options(e)])
    ordered = dict(sorted(e.regions.items(), key=lambda item: -item[1]))
    colours = None if e.signed else dict.fromkeys(ordered, draw.LOOK)
    form = draw.signed_form(ordered.values())
    panels = [
        ("aligned face", draw.stack([crop, _note(seen)], 8)),
        (
            f"{e.what} for {_subject(e)}" if e.about_target else f"{e.what} of the network",
            draw.stack([overlaid(e, PANEL), _legend(e)], 8),
        ),
        (
            f"regions, {e.unit}" + (f" (sum {e.total:{form}})" if e.efficient else ""),
            draw.bars(ordered, PANEL, colours=colours, numbers=form if e.signed else ".2g"),
        ),
        ("probability of each expression", _chances(e, PANEL)),
    ]
    row = _row(panels)
    width = row.width
    notes = [_note(text, width) for text in (evidence, e.footnote, provenance(e, file))]
    parts = [draw.wrapped(describe(e), width, 19), row]
    if e.maps is not None:
        parts.append(mosaic(e.maps, e.crop, width))
    parts += [draw.wrapped(paragraph(e), width, 13), draw.stack(notes, 4)]
    if e.warning:
        parts.insert(1, draw.wrapped(f"Warning: {e.warning}", width, 14, draw.FOR))
    return draw.frame(draw.stack(parts, 14), MARGIN)


def face_drawing(e: Attribution, side: int, *, landmarks: bool = False) -> Drawing:
    """The aligned face, with a dot on each of its landmarks where they are asked for."""
    face = draw.painted_by(partial(resized, e.crop), side, side)
    if not landmarks:
        return face
    return face.over(draw.dots((e.landmarks + 0.5) * side / len(e.labels), side))


def provenance(e: Attribution, file: str) -> str:
    """The file as it is called, the model and the version of Mien of a sheet, in a line."""
    name, _, weights = e.model.partition(" sha256:")
    model = f"{name} (sha256 {weights[:12]})" if weights else name
    flip = ", crop and mirror image" if e.flip else ""
    return f"{file}: model {model}{flip}, Mien {e.versions.get('mien', 'of unknown version')}"


COLUMNS = 5  # maps in a row of a comparison
TILE = 200  # pixels, the side of each


def comparison(
    explanations: Sequence[Attribution], file: str, *, landmarks: bool = False
) -> Drawing:
    """One face by several methods: their maps side by side, each at its own scale.

    Under each map stand the regions that it puts first. Two maps differ in colour because their
    methods ask different things, so the scale is each one's own and the numbers are written.
    """
    first = explanations[0]
    p = first.prediction
    width = COLUMNS * TILE + (COLUMNS - 1) * GAP
    crop = face_drawing(first, TILE, landmarks=landmarks).over(outlines(first, TILE))
    face = f"face {p.face_id}, in its regions"
    tiles = [draw.stack([_title("aligned face"), crop, _note(face, TILE)], 6)]
    tiles += [
        draw.stack([_title(e.method), overlaid(e, TILE), _note(_brief(e), TILE)], 6)
        for e in explanations
    ]
    tiles.append(draw.stack([_title("probability of each expression"), _chances(first, TILE)], 6))
    rows = [draw.side_by_side(tiles[i : i + COLUMNS], GAP) for i in range(0, len(tiles), COLUMNS)]
    answer = f"{_subject(first)}: {len(explanations)} methods on one face"
    colours = "Vermilion speaks for it, blue against; each map has its own scale."
    if not all(e.signed for e in explanations):
        colours += " Green says where the network looked, for no side."
    key = draw.side_by_side(
        [
            _note(colours, width - PANEL - GAP),
            draw.legend(PANEL, 1.0, "of each map's largest value", ends=_ends(first)),
        ],
        GAP,
    )
    parts = [draw.wrapped(answer, width, 19), *rows, key, _note(provenance(first, file), width)]
    return draw.frame(draw.stack(parts, 18), MARGIN)


GAP = 16  # pixels between the maps of a comparison
MARGIN = 24  # pixels around a sheet


def _title(text: str) -> Drawing:
    return draw.wrapped(text, TILE, 14)


def _brief(e: Attribution) -> str:
    """The two regions that a map puts first, by weight or, unsigned, by density; and its cost."""
    if e.signed:
        parts = sorted(e.regions.items(), key=lambda item: -abs(item[1]))
        text = ", ".join(f"{name} {value:+.2g}" for name, value in parts[:2])
    else:
        parts = sorted(density(e).items(), key=lambda item: -item[1])
        text = ", ".join(f"{name} {value:.1f} x" for name, value in parts[:2])
    passes = f"{e.evaluations:,} pass{'es' if e.evaluations > 1 else ''}"
    return f"{text or 'nothing'}; {passes}, {e.seconds:.2f} s"


def overlaid(e: Attribution, side: int) -> Drawing:
    """The map over the face, with the outlines of the regions."""
    shown, limit, _ = painted(e)

    def paint(width: int, height: int) -> ImageArray:
        over = shown
        if e.evidence.regional and not e.empty:  # a region's colour ends where the region does
            over = np.array(list(e.regions.values()))[
                region_map(e.landmarks, len(e.labels), max(width, height))
            ]
        crop = resized(e.crop, width, height)
        return draw.overlay(crop, over, limit, signed=e.signed)

    return draw.painted_by(paint, side, side).over(outlines(e, side))


def outlines(e: Attribution, side: int) -> Drawing:
    """The outlines of the regions, smooth at any size."""
    # the background ends where the face does, or with the crop
    shown = (lines for name, lines in e.outlines.items() if name != "background")
    parts = tuple(line * side for lines in shown for line in lines)
    return Drawing(side, side, (Lines(parts, draw.INK, 1, OUTLINE),))


def _legend(e: Attribution) -> Drawing:
    _, limit, unit = painted(e)
    return draw.legend(PANEL, limit, unit, signed=e.signed, ends=_ends(e))


def _ends(e: Attribution) -> tuple[str, str]:
    """What blue and vermilion stand for: two expressions, where one is set against another."""
    return ("against", "for") if e.against is None else (e.against, e.target)


def _chances(e: Attribution, width: int) -> Drawing:
    texts = {name: brief(v) for name, v in e.prediction.emotions.items()}
    return draw.bars(e.prediction.emotions, width, colours=COLOURS, texts=texts)


def _row(panels: Sequence[tuple[str, Drawing]]) -> Drawing:
    return draw.side_by_side(
        [
            draw.stack([draw.wrapped(title, PANEL, 13, draw.PALE), panel], 8)
            for title, panel in panels
        ],
        28,
    )


def _options(e: Attribution) -> list[str]:
    """The options as they took effect, where it fits into a line."""
    return [f"{key} {value}" for key, value in e.options.items() if not isinstance(value, list)]


def _subject(e: Attribution) -> str:
    return e.target if e.against is None else f"{e.target} against {e.against}"


def _note(text: str, width: float = PANEL) -> Drawing:
    return draw.wrapped(text, width, 12, draw.PALE)
