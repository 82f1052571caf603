"""Label sets, their aliases, and the one place that turns another order into Mien's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mien.registry import choose

SIX: Final = ("angry", "disgust", "fear", "happy", "sad", "surprise")
SEVEN: Final = (*SIX, "neutral")  # the expressions that are answered, in the order of tables
EIGHT: Final = (*SEVEN, "contempt")  # the same and contempt

ALIASES: Final = {
    "anger": "angry",
    "disgusted": "disgust",
    "afraid": "fear",
    "fearful": "fear",
    "scared": "fear",
    "happiness": "happy",
    "joy": "happy",
    "sadness": "sad",
    "surprised": "surprise",
}

COLOURS: Final = {  # Okabe and Ito's palette, told apart by colour-blind readers too
    "angry": (213, 94, 0),
    "disgust": (0, 158, 115),
    "fear": (120, 94, 180),
    "happy": (230, 159, 0),
    "sad": (0, 114, 178),
    "surprise": (86, 180, 233),
    "neutral": (128, 128, 128),
    "contempt": (204, 121, 167),
}


def named_labels(text: str) -> tuple[str, ...]:
    """``six``, ``seven`` or ``eight``, or labels written with commas; UnknownNameError otherwise.

    >>> named_labels("six")[-1], named_labels("happiness,sad"), named_labels("")
    ('surprise', ('happy', 'sad'), ())
    """
    sets = {"six": SIX, "seven": SEVEN, "eight": EIGHT}
    if text in sets:
        return sets[text]
    return tuple(label(name) for name in text.split(",") if name.strip())


def label(name: str, labels: Sequence[str] = EIGHT) -> str:
    """The label that ``name`` means among ``labels``; UnknownNameError otherwise.

    >>> label("Happiness")
    'happy'
    """
    lower = name.strip().lower()
    return choose("expression", ALIASES.get(lower, lower), labels)
