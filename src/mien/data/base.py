"""What a data set is to Mien: a card, and a function that turns its own files into rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mien.registry import Registry, choose
from mien.types import ImageArray, InputError

#: Published numbers of images by (split, label); None stands for "all of them".
Counts = Mapping[tuple[str | None, str | None], int]
SPLITS = ("train", "val", "test")
EXCLUDED = "excluded"  # the split of images that an honest protocol leaves out


@dataclass(frozen=True)
class Row:
    """One image of a data set, or the reason why there is none.

    ``path`` is the image's own name inside the source; ``image`` is a file, its bytes or an array
    ``[H, W]`` or ``[H, W, 3] uint8``. ``label`` is one of Mien's names or None, ``split`` is
    train, val, test or None. ``extra`` holds the columns that the data set declares. ``skip``
    says why the data set's own rules leave the image out, ``error`` what is wrong with it.
    """

    path: str
    image: Path | bytes | ImageArray | None = field(default=None, repr=False)
    label: str | None = None
    split: str | None = None
    subject: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    skip: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Reading:
    """An opened source: its rows, how many there will be, and the counts published for its form."""

    rows: Iterator[Row]
    total: int | None = None
    counts: Counts = field(default_factory=dict)
    form: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Card:
    """What somebody should know of a data set before they use it.

    ``splits`` names the splits that its owners made. ``paper`` and ``honest`` are schemes of
    :mod:`mien.data.split` with their options: what the papers used, and what can be believed.
    """

    name: str
    title: str
    summary: str
    size: str
    labels: tuple[str, ...]
    licence: str
    source: str
    layout: str
    citation: str
    flaws: tuple[str, ...] = ()
    used_by: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    paper: Mapping[str, str] = field(default_factory=dict)
    honest: Mapping[str, str] = field(default_factory=dict)
    counts: Counts = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)


Read = Callable[..., Reading]


@dataclass(frozen=True)
class DataSet:
    """A card and its reader: ``read(source, **options)``."""

    card: Card
    read: Read

    @property
    def options(self) -> dict[str, Any]:
        """What the reader takes besides the source, with its defaults."""
        given = list(inspect.signature(self.read).parameters.values())[1:]
        return {p.name: p.default for p in given}


DATASETS = Registry[DataSet]("data set")


def dataset(card: Card) -> Callable[[Read], Read]:
    """Decorator that registers a reader under its card's name."""

    def add(read: Read) -> Read:
        DATASETS.register(card.name)(DataSet(card, read))
        return read

    return add


def checked_options(name: str, given: Mapping[str, str]) -> dict[str, Any]:
    """Options as text turned into what the reader of ``name`` declares.

    Raises UnknownNameError for one that it does not have, InputError for a bad value.
    """
    known = DATASETS.get(name).options
    options: dict[str, Any] = {}
    for key, text in given.items():
        if not known:
            raise InputError(f"{name}: expected no options, got {key!r}; leave it out")
        default = known[choose(f"option of {name}", key, known)]
        options[key] = _parsed(f"{name}: option {key}", text, default)
    return options


def _parsed(what: str, text: str, default: Any) -> Any:
    if isinstance(default, bool):
        if text.lower() not in ("true", "false", "yes", "no", "1", "0"):
            raise InputError(f"{what}: expected true or false, got {text!r}")
        return text.lower() in ("true", "yes", "1")
    if isinstance(default, int):
        try:
            return int(text)
        except ValueError:
            raise InputError(f"{what}: expected a whole number, got {text!r}") from None
    return text
