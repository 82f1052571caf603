"""What a data set is to Mien: a card, and a function that turns its own files into rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from mien.options import Option, options_of, read
from mien.registry import Registry
from mien.types import ImageArray

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
    subject: str | None = None  # who is shown, where known
    extra: Mapping[str, Any] = field(default_factory=dict)
    skip: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Reading:
    """An opened source: its rows, how many there will be, and the counts published for its form."""

    rows: Iterator[Row]  # the images, as they are read
    total: int | None = None  # how many there will be, where known
    counts: Counts = field(default_factory=dict)  # published numbers for this form of the set
    form: str = ""  # which of its forms was read, in a word
    notes: tuple[str, ...] = ()  # what was left out, and why


@dataclass(frozen=True)
class DataCard:
    """What somebody should know of a data set before they use it.

    ``splits`` names the splits that its owners made. ``paper`` and ``honest`` are schemes of
    :mod:`mien.data.split` with their options: what the papers used, and what can be believed.
    """

    name: str  # by which mien data prepare calls it
    title: str  # as its owners write it
    summary: str  # what it shows, in a sentence
    size: str  # how many images, in words
    labels: tuple[str, ...]  # the expressions in it
    licence: str  # the terms of its owners
    source: str  # where to ask for it
    layout: str  # the files that are read
    citation: str  # the paper, with its DOI
    flaws: tuple[str, ...] = ()  # what to know before a score on it is believed
    used_by: tuple[str, ...] = ()  # papers whose experiments are recipes
    splits: tuple[str, ...] = ()
    paper: Mapping[str, str] = field(default_factory=dict)
    honest: Mapping[str, str] = field(default_factory=dict)
    counts: Counts = field(default_factory=dict)  # published numbers of images by (split, label)
    #: columns of its own, beside those of every set
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Example:
    """A tiny source in a data set's real layout, made of noise, and what reading it must give.

    ``counts`` are the numbers of images by (split, label), ``subjects`` all subjects that occur,
    ``skipped`` the numbers of images that the set's own rules leave out, by reason. ``image`` is
    one of the image files, which a check may damage; None where the layout has none.
    """

    source: Path  # what is given to mien data prepare
    counts: Counts
    subjects: frozenset[str | None] = frozenset({None})
    skipped: Mapping[str, int] = field(default_factory=dict)
    image: Path | None = None


Read = Callable[..., Reading]
WriteExample = Callable[[Path], Example]


@dataclass(frozen=True)
class DataSet:
    """A card, its reader, and functions that write tiny examples of its layouts.

    ``read(source, **options)`` opens a source; its keyword-only parameters are its options.
    ``examples`` each take an empty folder; :mod:`mien.data.conformance` checks the reader on them.
    """

    card: DataCard
    read: Read
    examples: tuple[WriteExample, ...]

    @cached_property
    def options(self) -> dict[str, Option]:
        """What the reader takes besides the source."""
        return options_of(self.read)


DATASETS: Final = Registry[DataSet]("data set", package="mien.data.sets", group="mien.datasets")


def dataset(card: DataCard, *examples: WriteExample) -> Callable[[Read], Read]:
    """Decorator that registers a reader, with examples of its layouts, under its card's name.

    Parameters
    ----------
    card
        What is known of the set; its name is the registry's key.
    """

    def add(read: Read) -> Read:
        DATASETS.add(card.name, DataSet(card, read, examples))
        return read

    return add


def read_options(
    what: str, known: Mapping[str, Option], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Options of a reader or a scheme as their own kinds, from values or from their texts.

    Recipes, files and the command line hold texts, Python gives values; both mean the same.
    Raises UnknownNameError for an option that is not ``known``, InputError for a bad value.
    """
    return read(what, known, [f"{key}={value}" for key, value in given.items()])
