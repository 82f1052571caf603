"""What figures of matplotlib share: they belong to whoever asked, and touch no global state."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mien.extras import need

INK: Final = "#1e2228"
PALE: Final = "#70767f"


def new_figure(
    size: tuple[float, float], *, rows: int = 1, columns: int = 1, **ratios: Any
) -> tuple[Any, list[Any]]:
    """A figure of ``size`` in inches and its axes, row by row; MissingExtraError lacks matplotlib.

    The figure is not one of pyplot's: nothing keeps it alive but its user. A notebook that has
    imported pyplot shows it.
    """
    figure = need("matplotlib.figure", "plot", "a figure").Figure(
        figsize=size, dpi=150, layout="constrained"
    )
    axes = figure.subplots(rows, columns, squeeze=False, gridspec_kw=ratios or None)
    return figure, list(np.asarray(axes).ravel())


def quiet(axes: Any) -> None:
    """Leave only the axes that are read."""
    axes.spines[["top", "right"]].set_visible(False)
