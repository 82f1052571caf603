"""Where a face's name and its bars go: free space beside it, or the name alone in a crowd."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mien.types import Box

Size = tuple[int, int]  # width and height
Point = tuple[int, int]  # the left upper corner
Area = tuple[float, float, float, float]  # left, top, right, bottom

GAP = 3  # pixels between a box and what belongs to it
HEAD = 0.15  # of a box's sides: hair and ears around it, which nothing should cover either
SIDES = ("right", "left", "below", "above")


@dataclass(frozen=True)
class Place:
    """Where a face's name stands, and its panel of bars where there is room for one."""

    label: Point
    panel: Point | None


@dataclass
class Layout:
    """Places names and panels frame by frame; a panel keeps its side while that is free.

    >>> layout = Layout()
    >>> layout((400, 300), {0: (20, 50, 100, 100)}, [(80, 15)], [(90, 70)])
    [Place(label=(20, 35), panel=(123, 50))]
    >>> crowd = {0: (0, 50, 100, 100), 1: (105, 50, 100, 100)}
    >>> [p.panel for p in layout((205, 160), crowd, [(80, 15)] * 2, [(90, 70)] * 2)]
    [None, None]
    """

    _sides: dict[int, str] = field(default_factory=dict)

    def __call__(
        self,
        picture: Size,
        boxes: Mapping[int, Box],
        labels: Sequence[Size],
        panels: Sequence[Size],
    ) -> list[Place]:
        """A place for each face; ``boxes`` are those of the faces by their number."""
        faces = [_area((x, y), (w, h)) for x, y, w, h in boxes.values()]
        names: list[Area] = []
        for i, size in enumerate(labels):
            others = [*faces[:i], *faces[i + 1 :], *names]
            names.append(_free_label(picture, faces[i], size, others))
        heads = [_wider(face) for face in faces]
        taken: list[Area] = []
        places = []
        for i, (number, size) in enumerate(zip(boxes, panels, strict=True)):
            others = [*heads[:i], *heads[i + 1 :], *names, *taken]
            found = self._panel(number, picture, faces[i], names[i], size, others)
            if found is not None:
                taken.append(found)
            corner = None if found is None else (round(found[0]), round(found[1]))
            places.append(Place((round(names[i][0]), round(names[i][1])), corner))
        self._sides = {n: side for n, side in self._sides.items() if n in boxes}
        return places

    def _panel(
        self, number: int, picture: Size, face: Area, name: Area, size: Size, taken: list[Area]
    ) -> Area | None:
        """A free area beside a face, on the side that it was on if that is free."""
        kept = self._sides.get(number, SIDES[0])
        for side in sorted(SIDES, key=lambda one: (one != kept, SIDES.index(one))):
            area = _beside(picture, face, name, size, side)
            if _inside(area, picture) and not any(_common(area, other) for other in taken):
                self._sides[number] = side
                return area
        return None


def _beside(picture: Size, face: Area, name: Area, size: Size, side: str) -> Area:
    """The area of a panel on one side of a face, moved into the picture along that side."""
    left, top, right, bottom = face
    across = float(np.clip(left, 0, max(picture[0] - size[0], 0)))
    down = float(np.clip(top, 0, max(picture[1] - size[1], 0)))
    corners = {
        "right": (right + GAP, down),
        "left": (left - GAP - size[0], down),
        "below": (across, max(bottom, name[3]) + GAP),
        "above": (across, min(top, name[1]) - GAP - size[1]),
    }
    return _area(corners[side], size)


def _free_label(picture: Size, face: Area, size: Size, others: Sequence[Area]) -> Area:
    """Above the face, below it, or within its box: where it covers least of the others."""
    areas = list(_label_areas(picture, face, size))
    return min(areas, key=lambda area: sum(_common(area, other) for other in others))


def _label_areas(picture: Size, face: Area, size: Size) -> Iterator[Area]:
    left, top, right, bottom = face
    x = float(np.clip(left, 0, max(picture[0] - size[0], 0)))
    for y in (top - size[1], bottom):
        if 0 <= y <= picture[1] - size[1]:
            yield _area((x, y), size)
    for y in (top, bottom - size[1]):
        inside = float(np.clip(y, 0, max(picture[1] - size[1], 0)))
        yield _area((x, inside), size)
    end = float(np.clip(right - size[0], 0, max(picture[0] - size[0], 0)))
    if top >= size[1]:
        yield _area((end, top - size[1]), size)


def _wider(face: Area) -> Area:
    left, top, right, bottom = face
    wide, tall = HEAD * (right - left), HEAD * (bottom - top)
    return left - wide, top - tall, right + wide, bottom + tall


def _area(corner: tuple[float, float], size: tuple[float, float]) -> Area:
    return (corner[0], corner[1], corner[0] + size[0], corner[1] + size[1])


def _inside(area: Area, picture: Size) -> bool:
    return area[0] >= 0 and area[1] >= 0 and area[2] <= picture[0] and area[3] <= picture[1]


def _common(one: Area, other: Area) -> float:
    """The area that two rectangles have in common."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    tall = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(tall, 0.0)
