"""The figure of a comparison of groups: a dot and an interval for each mean."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from mien.results.group_numbers import LEVEL, GroupMean, GroupTest
from mien.results.plots import INK, PALE, new_figure, quiet

#: Okabe and Ito's palette, in an order whose neighbours differ in lightness, too.
PALETTE: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS: Final = "osD^vPX"  # hollow ones follow, so that each of 12 groups has its own
LONGEST: Final = (60, 50, 40, 30, 20, 10)  # characters of a group's name: the first that fit
LONGEST_COLUMN: Final = 32
UNITS: Final = {
    "expression": "mean probability",
    "region": "mean evidence",
    "measure": "mean length, eye distances",
    "angle": "mean, degrees",
    "other": "mean",
}
SIGN: Final = {0.001: "***", 0.01: "**", 0.05: "*"}


def figure(
    groups: Sequence[str],
    counts: Mapping[str, int],
    means: Sequence[GroupMean],
    tests: Sequence[GroupTest],
) -> Any:
    """One panel for each kind of column; stars stand where a difference holds after correction.

    With more than two groups stars are of the clearest of the pairs.
    """
    kinds = list(dict.fromkeys(m.kind for m in means))
    sizes = [len({m.column for m in means if m.kind == kind}) for kind in kinds]
    height = 0.6 + 0.16 * sum(sizes) * (1 + len(groups)) + 0.5 * len(kinds)
    drawn, panels = new_figure((6.3, height), rows=len(kinds), height_ratios=sizes)
    for kind, axes in zip(kinds, panels, strict=True):
        _panel(axes, groups, [m for m in means if m.kind == kind], tests)
    stars = "* p < 0.05, ** < 0.01, *** < 0.001 after Holm's correction"
    drawn.supxlabel(stars, fontsize=7, color=PALE)
    drawn.draw_without_rendering()  # lays the axes out: the legend has to know their width
    legend = _legend(panels[0], groups, counts)
    drawn.set_figheight(height + legend.get_window_extent().height / drawn.dpi)
    return drawn


def _legend(axes: Any, groups: Sequence[str], counts: Mapping[str, int]) -> Any:
    """The legend in the fewest rows that fit above the axes; one column's names are shortened.

    For a wider one matplotlib would squeeze the axes, or give up laying them out.
    """
    rows = range(1, len(groups) + 1)
    choices = [(r, LONGEST[0]) for r in rows] + [(len(groups), most) for most in LONGEST[1:]]
    for row, most in choices:
        legend = axes.legend(
            axes.containers,
            [str(i) for i in range(len(groups))],
            loc="lower left",
            bbox_to_anchor=(0, 1),
            ncols=math.ceil(len(groups) / row),
            frameon=False,
            fontsize=8,
            title=f"Means with {LEVEL:.0%} bootstrap intervals",
            title_fontsize=8,
            alignment="left",
        )
        # set here, as labels "_x" would be left out and "$5, $10" read as a formula
        for text, group in zip(legend.get_texts(), groups, strict=True):
            text.set(text=f"{shortened(group, most)} ({counts[group]:,})", parse_math=False)
        if legend.get_window_extent().width < 0.95 * axes.bbox.width:  # an SVG's text is wider
            break
    return legend


def shortened(name: str, most: int) -> str:
    """A name on one line of at most so many characters; of a longer one both ends are kept.

    Names of a study often begin alike and differ in their end.

    >>> shortened("Mindfulness training, wave 2", 20)
    'Mindfulness…, wave 2'
    """
    name = " ".join(name.split())
    tail = most * 2 // 5
    return name if len(name) <= most else f"{name[: most - tail - 1]}…{name[-tail:]}"


def _panel(
    axes: Any, groups: Sequence[str], means: Sequence[GroupMean], tests: Sequence[GroupTest]
) -> None:
    kind = means[0].kind
    columns = list(dict.fromkeys(m.column for m in means))
    for i, group in enumerate(groups):
        own = {m.column: m for m in means if m.group == group}
        shift = (i - (len(groups) - 1) / 2) * min(0.6 / len(groups), 0.24)
        _dots(axes, [own[c] for c in columns], shift, i, group)
    edge = max(m.high for m in means)
    for y, column in enumerate(columns):
        p = min(t.p_holm for t in tests if t.column == column)
        sign = next((text for level, text in SIGN.items() if p < level), "")
        axes.annotate(
            sign, (edge, y), xytext=(6, 0), textcoords="offset points", va="center", color=INK
        )
    names = [shortened(column, LONGEST_COLUMN) for column in columns]
    axes.set_yticks(range(len(columns)), names, parse_math=False)
    axes.set_ylim(len(columns) - 0.5, -0.5)
    axes.set_xlabel(UNITS[kind], fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(axis="x", color="#e4e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    if kind != "expression":
        axes.axvline(0, color=PALE, linewidth=0.8)
    quiet(axes)


def _dots(axes: Any, means: list[GroupMean], shift: float, i: int, group: str) -> None:
    values = [m.mean for m in means]
    # of skewed means an interval may end beside its mean by rounding
    below = [max(m.mean - m.low, 0.0) for m in means]
    above = [max(m.high - m.mean, 0.0) for m in means]
    axes.errorbar(
        values,
        [y + shift for y in range(len(means))],
        xerr=[below, above],
        fmt=MARKERS[i % len(MARKERS)],
        color=PALETTE[i % len(PALETTE)],
        markerfacecolor=PALETTE[i] if i < len(PALETTE) else "white",
        markersize=4.5,
        linewidth=1.3,
        label=group,
    )
