"""The options that methods share, as whoever chooses them reads of them."""

from __future__ import annotations

from typing import Annotated

from mien.options import About

Levels = Annotated[int, About("Times that the crop is halved")]
Contexts = Annotated[
    str,
    About(
        "What is seen beside two halves",
        {
            "both": "nothing, and all else",
            "absent": "nothing",
            "present": "all else",
            "owen": "each mix of neighbours (Owen values)",
            "printed": "as the paper prints it",
        },
    ),
]
Snap = Annotated[bool, About("Parts end at a transformer's patches")]
Evaluations = Annotated[int, About("Forward passes to spend")]
Samples = Annotated[int, About("Random samples")]
Segment = Annotated[
    str,
    About(
        "Parts",
        {
            "grid": "squares",
            "slic": "superpixels",
            "patches": "a transformer's patches",
            "regions": "facial regions",
        },
    ),
]
Parts = Annotated[int, About("Parts across the crop")]
Window = Annotated[int, About("Window in pixels (0: a quarter of the side)")]
Stride = Annotated[int, About("Step in pixels (0: a quarter of the window)")]
Cells = Annotated[int, About("Cells of a mask, across")]
Shown = Annotated[float, About("Chance that a cell is shown")]
Steps = Annotated[int, About("Steps from the baseline to the crop")]
LayerName = Annotated[str, About("Layer by its name (empty: the model's own)")]
LayerNumber = Annotated[int, About("Layer, from 0 (-1: the last)")]
Head = Annotated[int, About("Attention head, from 0 (-1: their mean)")]
BranchNumber = Annotated[int, About("Branch of the network, from 0 (-1: all)")]
OneBranch = Annotated[int, About("Branch of the network, from 0")]
