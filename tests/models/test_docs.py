"""docs/models.md: its table says what the registry says."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

torch = pytest.importorskip("torch", reason="torch is not installed: make test does without it")
pytest.importorskip("timm", reason="timm is not installed: make test does without it")

from mien.models.torch import MODELS, describe, names  # noqa: E402 - after the check for torch

ROW = re.compile(r"^\| `([\w-]+)` \| ([\d,]+) \| ([\d,]+) \| (\d+), (\w+) \| ([^|]+) \|", re.M)


def test_the_table_of_models_is_the_registry() -> None:
    rows = ROW.findall((ROOT / "docs" / "models.md").read_text(encoding="utf-8"))
    assert {row[0] for row in rows} == set(names())
    for name, six, seven, size, colour, cells in rows:
        assert MODELS.get(name).counts == {
            6: int(six.replace(",", "")),
            7: int(seven.replace(",", "")),
        }
        spec = describe(name)
        assert (spec.preprocess.size, spec.preprocess.channels) == (
            int(size),
            {"grey": 1, "RGB": 3}[colour],
        )
        grids = " and ".join(
            f"{rows} x {columns}" for rows, columns in (layer.grid for layer in spec.layers)
        )
        assert cells == grids + (", exact" if spec.class_map else ""), name
