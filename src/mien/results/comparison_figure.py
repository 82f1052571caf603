"""The figure of a comparison of groups: a dot and an interval for each mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mien.results.group_numbers import LEVEL, GroupMean, GroupTest
from mien.results.plots import INK, PALE, new_figure, quiet

#: Okabe and Ito's palette, in an order whose neighbours differ in lightness, too.
PALETTE: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
MARKERS: Final = "osD^vPX"
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
    height = 1.0 + 0.16 * sum(sizes) * (1 + len(groups)) + 0.5 * len(kinds)
    drawn, panels = new_figure((6.3, height), rows=len(kinds), height_ratios=sizes)
    for kind, axes in zip(kinds, panels, strict=True):
        _panel(axes, groups, [m for m in means if m.kind == kind], tests)
    units = ", ".join(f"{g} ({counts[g]})" for g in groups)
    stars = "* p < 0.05, ** < 0.01, *** < 0.001 after Holm's correction"
    panels[0].legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=3,
        frameon=False,
        fontsize=8,
        title=f"Means with {LEVEL:.0%} bootstrap intervals: {units}",
        title_fontsize=8,
        alignment="left",
    )
    drawn.supxlabel(stars, fontsize=7, color=PALE)
    return drawn


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
    axes.set_yticks(range(len(columns)), columns)
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
        markersize=4.5,
        linewidth=1.3,
        label=group,
    )
