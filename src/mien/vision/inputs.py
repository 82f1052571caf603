"""What callers give: one image or many, with names, and what becomes of a bad one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mien.registry import choose
from mien.types import Face, ImageArray, InputError, InputTypeError, MienError
from mien.vision.read import Source, is_image


@dataclass(frozen=True, eq=False)
class ReadImage:
    """One image of many: its pixels, or why there are none."""

    name: str
    source: Source
    image: ImageArray | None = None
    scale: float = 1.0
    error: str | None = None
    faces: list[Face] | None = None  # None: not searched yet

    @property
    def pixels(self) -> int:
        """How many there are."""
        return 0 if self.image is None else self.image.shape[0] * self.image.shape[1]


def failure(name: str, error: Exception) -> str:
    """What to say of an image with which something went wrong."""
    if isinstance(error, MienError):
        return str(error)
    reason = str(error).strip().splitlines()[-1][:200] if str(error).strip() else ""
    return f"{name}: failed unexpectedly ({type(error).__name__}: {reason})"


def several(images: Source | Sequence[Source]) -> bool:
    """Whether these are many images; InputTypeError for what holds none in an order."""
    if isinstance(images, Mapping | Set):
        raise InputTypeError(
            f"expected an image or a list of them, got a {type(images).__name__}; "
            "give list(images.values()), and the keys as names"
        )
    return isinstance(images, Iterable) and not is_image(images)


def raises(on_error: str, images: Source | Sequence[Source]) -> bool:
    """Whether the first bad image ends the call."""
    how = choose("on_error", on_error, ("auto", "raise", "collect"))
    return how == "raise" or (how == "auto" and not several(images))


def named_images(
    images: Source | Sequence[Source], names: Sequence[str]
) -> Iterator[tuple[str, Source]]:
    """Each image with its name: the given one, its path, or its place in the list."""
    items: list[Any] = list(images) if several(images) else [images]  # type: ignore[arg-type]  # mypy forgets the check
    if names and len(names) != len(items):
        raise InputError(f"expected {len(items)} names, got {len(names)}")
    for i, item in enumerate(items):
        is_path = isinstance(item, str | Path)
        yield names[i] if names else str(item) if is_path else f"image {i}", item
