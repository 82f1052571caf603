"""Damaged cards and ONNX files: a model that answers, or one ModelError; nothing raw.

``MIEN_FUZZ`` is how many of each (``make fuzz``).
"""

from __future__ import annotations

import json
import os
import random
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mien.models.card import Card
from mien.models.onnx import Model
from mien.models.weights import locate
from mien.types import ModelError
from tests.models.hostile import mutated

COUNT = int(os.environ.get("MIEN_FUZZ", "40"))
SECONDS = 10.0  # for one of them


def told(work: Callable[[int], object], what: str) -> dict[str, int]:
    """How often it worked and how often it was refused in one line; anything else fails."""
    ends = {"read": 0, "refused": 0}
    slowest, start = (0.0, -1), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(COUNT):
        began = time.perf_counter()
        try:
            work(number)
            ends["read"] += 1
        except ModelError as error:
            ends["refused"] += 1
            plain = str(error).isprintable()
            assert plain, f"{number}: {error}"  # noqa: PT017 - most of them are expected
        slowest = max(slowest, (time.perf_counter() - began, number))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start
    print(f"\n{COUNT} {what}: {ends}, {grown / 1e3:.0f} MB, slowest {slowest[0]:.2f} s")
    assert slowest[0] < SECONDS, slowest
    return ends


def test_mutated_cards_are_read_or_refused() -> None:
    raw = json.loads(Model(locate("mien"), threads=1).card.to_json())

    def read(number: int) -> None:
        card = Card.from_json(mutated(raw, random.Random(number)))
        assert Card.from_json(card.to_json()) == card
        json.loads(card.to_json(), parse_constant=lambda constant: pytest.fail(constant))

    ends = told(read, "cards")
    assert ends["refused"] > COUNT / 2
    assert ends["read"]


def test_mutated_networks_answer_or_are_refused(tmp_path: Path) -> None:
    whole = locate("mien-int8").read_bytes()
    path = tmp_path / "net.onnx"

    def read(number: int) -> None:
        chance = random.Random(number)
        data = bytearray(whole)
        kind = number % 4
        # half of the damage lies at the end, where an ONNX file holds its card and its outputs
        for _ in range(chance.randint(1, 20) if kind < 2 else 0):
            low = len(data) - 8000 if kind else 0
            data[chance.randrange(low, len(data))] = chance.randrange(256)
        if kind == 2:
            del data[chance.randrange(len(data)) :]
        elif kind == 3:
            at, size = chance.randrange(len(data)), chance.randint(1, 200)
            data[at : at + size] = chance.randbytes(size)
        path.write_bytes(data)
        model = Model(path, threads=1)
        answers = model.run(np.full((1, model.card.preprocess.channels, *[48] * 2), 128.0))
        assert np.isfinite(answers.logits).all(), number

    ends = told(read, "networks")
    assert ends["refused"] > COUNT / 4
    assert ends["read"]
