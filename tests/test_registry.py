from __future__ import annotations

import pytest

from mien.emotions import EIGHT, SEVEN, SIX, label
from mien.registry import Registry
from mien.types import UnknownNameError


def test_a_duplicate_fails_loudly_and_keeps_the_first() -> None:
    things = Registry[int]("thing")
    things.register("a")(1)
    with pytest.raises(ValueError, match="'a' is already registered"):
        things.register("a")(2)
    assert things.get("a") == 1


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    things = Registry[int]("thing")
    things.register("mouth")(1)
    with pytest.raises(UnknownNameError, match="did you mean 'mouth'"):
        things.get("mouht")
    with pytest.raises(UnknownNameError, match="unknown thing 'zzz'; known: mouth"):
        things.get("zzz")


def test_the_order_of_names_is_not_that_of_imports() -> None:
    things = Registry[int]("thing")
    for name in ("nose", "brow", "mouth"):
        things.register(name)(1)
    assert things.names() == ["brow", "mouth", "nose"]


def test_the_label_sets_extend_one_another_in_order() -> None:
    assert EIGHT[:7] == SEVEN
    assert SEVEN[:6] == SIX
    assert EIGHT == (
        "angry",
        "disgust",
        "fear",
        "happy",
        "sad",
        "surprise",
        "neutral",
        "contempt",
    )


@pytest.mark.parametrize(
    ("given", "wanted"),
    [("Anger", "angry"), (" happiness ", "happy"), ("disgusted", "disgust"), ("fear", "fear")],
)
def test_aliases_are_understood(given: str, wanted: str) -> None:
    assert label(given) == wanted


def test_a_label_outside_the_set_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="contempt"):
        label("contempt", SEVEN)
