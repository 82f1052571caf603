"""The tables of docs/scale.md are the cost model's. The first batch is followed in test_job.py."""

from __future__ import annotations

import json

import pytest

from benchmarks import cost_model

RESULT = json.loads((cost_model.HERE / "scale.json").read_text(encoding="utf-8"))


def test_the_page_has_the_tables_of_the_cost_model() -> None:
    page = cost_model.PAGE.read_text(encoding="utf-8")
    assert cost_model.filled(page, cost_model.tables(RESULT)) == page


def test_the_cost_model_counts_right() -> None:
    """An image takes 10 ms of a core, a third more beside another: a million, 3.7 core hours."""
    ms = {"decode, 640 x 480": 2.0, "detect, blazeface": 7.0, "align and answer, blazeface": 1.0}
    result = {
        "stages": {"ms per image, one core": ms},
        "scaling": {
            "mien-int8, blazeface": {
                "1 worker, ms of processor time per image": 12.0,
                "2 workers, ms of processor time per image": 16.0,
            }
        },
    }
    cost = cost_model.per_image(result, "blazeface", "640 x 480")
    assert sum(cost.values()) == pytest.approx(0.01)
    assert cost_model.efficiency(result, "blazeface") == 0.75
    busy = 1e6 * sum(cost.values()) / 0.75
    assert busy / 3600 == pytest.approx(3.70, abs=0.01)


def test_times_have_the_unit_that_people_use() -> None:
    said = [cost_model._time(s) for s in (1.5, 150, 9000, 400_000)]
    assert said == ["1.5 seconds", "2.5 minutes", "2.5 hours", "4.6 days"]


def test_no_row_was_lost_or_doubled_by_the_measured_kills() -> None:
    kills = RESULT["kills"]
    assert sum(kills["kills"].values()) >= 20
    assert (kills["images lost"], kills["rows lost"], kills["rows twice"]) == (0, 0, 0)
