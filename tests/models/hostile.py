"""Cards that are wrong in some way, drawn from a seed: for the tests, and for longer runs."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

#: What a field may be replaced by: other types, ends of ranges, text that no card should hold.
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 7, 48, 48.0, 0.5, -0.0, 1e308, -1e308, 1e-320, 2**31, 2**63,
    10**40, float("nan"), float("inf"), float("-inf"), "", " ", "happy", "nan", "48", "a" * 100_000,
    "<script>alert(1)</script>", "[red]happy[/red]", "\x1b[31mred", "a\nb", "\x00", "\ud800",
    "\u202egnp.x", "=1+1", "../../etc/passwd", "happy ", [], [[]], {}, {"a": {}}, [None], [0.5],
    ["happy", "happy"], [0.5] * 1000, ["a"] * 3000,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths to everything within a JSON value."""
    found = [path] if path else []
    parts: Any = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for key, item in parts:
        found += places(item, (*path, key))
    return found


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def mutated(raw: dict[str, Any], rng: random.Random) -> str:
    """A card's JSON with one to three things wrong, or its text damaged."""
    card = copy.deepcopy(raw)
    for _ in range(rng.randint(1, 3)):
        path = rng.choice(places(card))
        parent: Any = card
        for key in path[:-1]:
            parent = parent[key]
        kind = rng.randrange(5)
        if kind == 0:
            del parent[path[-1]]
        elif kind == 1 and isinstance(parent, dict):
            parent[rng.choice(["x", "", "\x1b", "size", "logits", "<b>"])] = parent.pop(path[-1])
        elif kind == 1:
            parent.insert(0, parent[path[-1]])
        elif kind == 2:
            parent[path[-1]] = nested(rng.choice([5, 50, 250]))
        else:
            parent[path[-1]] = copy.deepcopy(rng.choice(VALUES))
        if not card:
            break
    text = json.dumps(card, ensure_ascii=rng.random() < 0.9)
    if rng.random() < 0.1:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(["", "\x00", "}", "NaN", "[" * 5000, "9" * 5000]) + text[at:]
    return text[: rng.randrange(len(text))] if rng.random() < 0.05 else text
