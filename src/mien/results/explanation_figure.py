"""An explanation as a figure of matplotlib, for people to restyle."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from mien.results.attribution import Attribution
from mien.results.plots import PALE, new_figure, quiet
from mien.types import ImageArray
from mien.wording import brief

FOR: Final = "#d55e00"  # vermilion and blue of Okabe and Ito, as on the sheets
AGAINST: Final = "#0072b2"
LOOK: Final = "#009e73"


def figure(e: Attribution) -> Any:
    """Three panels: the face, the values over it, and the sum over each region.

    The figure's ``axes`` are these three and the colour bar.
    """
    drawn, (face, heat, bars) = new_figure((9.0, 3.3), columns=3, width_ratios=[1, 1.15, 1.1])
    face.imshow(e.crop)
    face.set_title(f"{e.prediction.dominant_emotion} {brief(e.prediction.score or 0.0)}")
    side = e.crop.shape[0]
    # pixels of the map, centred on those of the crop
    extent = (-0.5, side - 0.5, side - 0.5, -0.5)
    heat.imshow(np.repeat(_grey(e.crop)[:, :, None], 3, axis=2), extent=extent)
    most = float(np.abs(e.values).max()) or 1.0
    low, colours = (-most, _diverging()) if e.signed else (0.0, _rising())
    shown = heat.imshow(
        e.values,
        extent=extent,
        vmin=low,
        vmax=most,
        cmap=colours,
        alpha=0.65,
        interpolation="nearest",
    )
    drawn.colorbar(shown, ax=heat, shrink=0.8, label=f"{e.what} per pixel, {e.unit}")
    against = f" rather than {e.against}" if e.against else ""
    heat.set_title(f"{e.method}: {e.target}{against}")
    for axes in (face, heat):
        axes.set_axis_off()
    _bars(bars, e)
    return drawn


def _bars(axes: Any, e: Attribution) -> None:
    """The sum over each region, the largest on top."""
    ranked = sorted(e.regions.items(), key=lambda item: abs(item[1]))
    colour = [LOOK if not e.signed else FOR if v > 0 else AGAINST for _, v in ranked]
    axes.barh([name for name, _ in ranked], [v for _, v in ranked], color=colour)
    axes.axvline(0, color=PALE, linewidth=0.8)
    axes.set_xlabel(f"{e.what}, {e.unit}")
    quiet(axes)


def _grey(crop: ImageArray) -> ImageArray:
    """The crop in light grey, so that colours show on it."""
    light = crop.astype(float).mean(axis=2)
    return np.asarray((64 + 0.75 * light).clip(0, 255), dtype=np.uint8)


def _diverging() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("evidence", [AGAINST, "#ffffff", FOR])


def _rising() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("look", ["#ffffff", LOOK])
