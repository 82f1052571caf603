"""The main journeys give the numbers that they gave before."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch", reason="torch is not installed: the golden numbers need all extras")

from tests.golden import FILE, differences, measure


def test_the_main_journeys_give_their_golden_numbers() -> None:
    """Written by ``python -m tests.golden`` when the shipped model changes, and only then."""
    golden = json.loads(FILE.read_text(encoding="utf-8"))
    found = differences(golden, json.loads(json.dumps(measure())))
    assert not found, "\n".join(found[:20])
