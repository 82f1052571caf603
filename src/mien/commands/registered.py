"""Help texts that name what is registered: filled in when help is asked for, and only then."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import typer
from typer.core import TyperCommand


def _detectors() -> Sequence[str]:
    from mien.vision import faces

    return faces.names()


def _methods() -> Sequence[str]:
    from mien.explainers import METHODS

    return METHODS.names()


def _baselines() -> Sequence[str]:
    from mien.explainers import BASELINES

    return tuple(BASELINES)


def _models() -> Sequence[str]:
    from mien.models.weights import BUILT_IN

    return tuple(BUILT_IN)


def _heads() -> Sequence[str]:
    from mien.models.onnx import Model
    from mien.models.weights import locate

    return tuple(Model(locate(_models()[0])).card.heads)


def _measures() -> Sequence[str]:
    from mien.vision.measures import MEASURES

    return tuple(MEASURES)


#: What a help text may name in braces.
NAMES: dict[str, Callable[[], Sequence[str]]] = {
    "detectors": _detectors,
    "methods": _methods,
    "baselines": _baselines,
    "models": _models,
    "heads": _heads,
    "measures": _measures,
}


def filled(text: str) -> str:
    """A help text with every ``{name}`` of :data:`NAMES` as the names that are registered.

    >>> filled("{models}, or a path.")
    'mien, mien-int8, or a path.'
    """
    pattern = "{(" + "|".join(NAMES) + ")}"
    return re.sub(pattern, lambda found: ", ".join(NAMES[found[1]]()), text)


class NamingCommand(TyperCommand):
    """A command whose help names what is registered, plugins too."""

    def format_help(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # Typer's context is Click's
        """Write the help, its texts filled in."""
        for parameter in self.params:
            text = getattr(parameter, "help", None)
            if text:
                parameter.help = filled(text)  # type: ignore[attr-defined]  # options and arguments have one
        super().format_help(ctx, formatter)
