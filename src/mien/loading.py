"""A recognizer from the names of its parts, and in another process once more."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from mien.models.base import BaseModel
from mien.priors import Prior
from mien.recognizer import Recognizer
from mien.runs.open import open_model
from mien.vision import faces


def load(
    model: str | Path | BaseModel = "mien",
    *,
    head: str | None = None,
    contempt: bool = False,
    prior: Prior | None = None,
    flip: bool = False,
    detector: str = "auto",
    threads: int = 0,
    measures: bool = False,
) -> Recognizer:
    """A recognizer: a model and a face detector.

    Parameters
    ----------
    model
        ``mien``, ``mien-int8`` (smaller and faster), the path of an ONNX file with its card, the
        folder of a finished run (which takes torch), or a model such as
        :class:`mien.models.torch.model.TorchModel`.
    head
        One of the card's label sets: of ``mien``, ``both`` (the default), ``ferplus`` (crowd
        votes) or ``fer2013`` (the original labels).
    contempt
        Of the built-in model: answer with eight classes instead of seven, by the head that knows
        it (``ferplus``) where none is named. Another model answers all that it was trained on.
    prior
        How often each expression is expected before the face is seen: ``even``, the name of a
        head for its training data, or shares, as ``{"happy": .4, ...}`` or ``"happy=.4,..."``.
        Default: the head's own, which is even for ``both``.
    flip
        Answer with the mean over each crop and its mirror image, for twice the model's time.
    detector
        ``blazeface``, ``yunet``, ``haar``, or ``none`` for face crops. ``auto`` takes the one by
        which a run's training images were cut, or the whole picture where they were whole; else
        the best that is here.
    threads
        CPU threads of an ONNX network; 0 takes all cores.
    measures
        Rows also hold the face's geometry: head pose, openings of eyes and mouth, and more, as
        :data:`mien.vision.measures.MEASURES` says.

    >>> load(detector="haar").labels
    ('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral')
    """
    opened = open_model(model, head=head, threads=threads)
    if contempt and head is None and not isinstance(model, BaseModel):
        knowing = [name for name, h in opened.card.heads.items() if "contempt" in h.labels]
        if knowing and opened.head_name not in knowing:
            opened = open_model(model, head=knowing[0], threads=threads)
    how: dict[str, Any] = {
        "contempt": contempt,
        "prior": prior,
        "flip": flip,
        "measures": measures,
    }
    made = Recognizer(faces.create(_detector(opened, detector)), opened, **how)
    if isinstance(model, str | Path):
        made.again = partial(load, model, head=head, detector=detector, threads=threads, **how)
    return made


def _detector(model: BaseModel, asked: str) -> str:
    """The detector by which a model's training images were cut, where ``auto`` leaves the choice.

    Whole pictures are answered by what saw whole pictures.
    """
    framing = model.card.framing
    if asked != "auto" or framing is None:
        return asked
    return framing.detector or "none"
