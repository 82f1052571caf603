"""The prior that a clip's faces have, estimated from their answers before the clip is analysed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mien.priors import ESTIMATE
from mien.results.predictions import Predictions
from mien.types import Prediction
from mien.video.frames import VideoOptions, stream

if TYPE_CHECKING:
    from mien.recognizer import Recognizer

PER_SECOND: Final = 2.0  # frames that are looked at


def clip_prior(
    source: str | Path,
    recognizer: Recognizer,
    *,
    on_frame: Callable[[], None] = lambda: None,
) -> dict[str, float] | None:
    """The prior of the faces of a clip, from two frames a second; None where none is found.

    As :meth:`mien.Predictions.under` estimates it. Faces count as often as they are seen. Raises
    InputError where the prior of the recognizer's answers is not known.
    """
    rows: list[Prediction] = []
    options = VideoOptions(fps=PER_SECOND, smoothing=0)
    with closing(stream(source, recognizer, options)) as results:
        for result in results:
            rows += [face.prediction for face in result.faces]
            on_frame()
    found = Predictions(tuple(rows), recognizer.labels, recognizer.prior)
    if not rows:
        return None
    prior = found.under(ESTIMATE).prior
    return None if prior is None else dict(prior)
