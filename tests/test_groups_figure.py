"""The figure of a comparison of groups can be read whatever the groups are called."""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

from mien.emotions import EIGHT
from mien.results.comparison import compare_groups
from mien.vision.measures import MEASURES
from mien.vision.regions import REGIONS

TWELVE = [f"Group number {i}" for i in range(1, 13)]
LONG = [
    f"Group {i} of those who came more than once, and stayed to the end, wave {i}" for i in "123"
]
THREE = ["Control group", "Mindfulness training", "Relaxation training"]
WAIT = [
    "Kontrollgruppe (Wartezeit)",
    "Achtsamkeitstraining (8 Wochen)",
    "Entspannungstraining (Muskeln)",
    "Psychoedukation (in Gruppen)",
]
KINDS = (*EIGHT, *REGIONS, *MEASURES)
FEW = ("happy", "sad")


def drawn(groups: Sequence[str], columns: Sequence[str] = FEW) -> Any:
    rng = np.random.default_rng(0)
    tables = {
        group: [
            {column: rng.uniform(0.1, 0.3) + 0.4 * (i % 2) for column in columns} for _ in range(25)
        ]
        for i, group in enumerate(groups)
    }
    found = compare_groups(tables, columns=columns, draws=4999).plot()
    found.savefig(io.BytesIO(), format="png", dpi=300)  # as the command does
    found.draw_without_rendering()
    return found


def entries(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


@pytest.mark.parametrize(
    ("groups", "columns"),
    [
        (["a", "b"], FEW),
        (["a", "b"], ("happy",)),
        (["before", "after"], KINDS),
        (THREE, FEW),
        (WAIT, FEW),
        (WAIT, KINDS),
        (TWELVE, FEW),
        (["$5 gift", "$10 gift"], FEW),
        (["_x", "y", "_nolegend_"], FEW),
    ],
)
def test_every_group_is_named_and_nothing_overlaps(
    groups: Sequence[str], columns: Sequence[str]
) -> None:
    figure = drawn(groups, columns)
    assert entries(figure) == [f"{group} (25)" for group in groups]
    _check_places(figure)


@pytest.mark.parametrize("groups", [LONG, ["W" * 80, "M" * 60, "i"]])
def test_names_that_are_too_long_keep_both_ends(groups: Sequence[str]) -> None:
    figure = drawn(groups)
    for entry, group in zip(entries(figure), groups, strict=True):
        head, _, tail = entry.removesuffix(" (25)").partition("…")
        assert group.startswith(head)
        assert group.endswith(tail)
        assert len(entry) <= 60 + len(" (25)")
    assert len(set(entries(figure))) == len(groups)
    _check_places(figure)


def test_columns_of_any_name_leave_room_for_the_means() -> None:
    columns = ("How much is it worth to you, in $, and how much in $ to others?", "_x", "W" * 70)
    figure = drawn(THREE, columns)
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert shown[0].startswith("How much is it")
    assert shown[0].endswith("others?")
    assert shown[1] == "_x"
    assert figure.axes[0].bbox.width > 0.25 * figure.bbox.width
    _check_places(figure)


def test_dollars_are_shown_as_they_are() -> None:
    # a formula would lose both its dollars; a digit is as wide as a dollar
    legends = [drawn(groups).axes[0].get_legend() for groups in (["$5$", "b"], ["85$", "b"])]
    one, two = (legend.get_texts()[0].get_window_extent().width for legend in legends)
    assert one == pytest.approx(two, rel=0.02)


def test_twelve_groups_look_different() -> None:
    handles = [line for line, *_ in drawn(TWELVE, ["happy"]).axes[0].containers]
    looks = {
        (to_hex(line.get_color()), line.get_marker(), to_hex(line.get_markerfacecolor()))
        for line in handles
    }
    assert len(looks) == len(handles) == 12
    assert len({look[:2] for look in looks}) == 7


def _check_places(figure: Any) -> None:
    """Fail where something is cut, or lies over something else."""
    legend = figure.axes[0].get_legend()
    key, page = legend.get_window_extent(), figure.bbox
    texts = [legend.get_title(), *legend.get_texts()]
    for box in (key, *(text.get_window_extent() for text in texts)):
        assert page.x0 <= box.x0 < box.x1 <= page.x1
        assert page.y0 <= box.y0 < box.y1 <= page.y1
    assert key.x1 <= figure.axes[0].bbox.x1
    note = next(text for text in figure.texts if "Holm" in text.get_text()).get_window_extent()
    assert note.y0 >= 0
    stars = []
    for axes in figure.axes:
        assert not key.overlaps(axes.bbox)
        assert axes.bbox.width > 0.25 * page.width
        assert axes.bbox.height > 0.3 * figure.dpi
        labels = [axes.xaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()]
        assert not [text for text in labels if note.overlaps(text.get_window_extent())]
        stars += [text.get_window_extent() for text in axes.texts if text.get_text()]
    assert stars
    assert not [box for box in stars if box.overlaps(key) or box.overlaps(note)]
    for above, below in pairwise(figure.axes):
        assert below.bbox.y1 <= above.xaxis.label.get_window_extent().y0
