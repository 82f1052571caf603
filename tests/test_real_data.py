"""The shipped model against the real test set; set MIEN_FER2013 to its Parquet to run these."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mien.data.votes import majority
from mien.models.onnx import Model
from mien.models.weights import BUILT_IN, locate

PARQUET = Path(os.environ.get("MIEN_FER2013", ""))
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not PARQUET.is_file(), reason="MIEN_FER2013 names no Parquet of FER2013"),
]


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    from training.prepare import read_table

    return read_table(PARQUET)


def test_the_data_are_the_published_ones(arrays: dict[str, np.ndarray]) -> None:
    names, counts = np.unique(arrays["split"], return_counts=True)
    assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {
        "train": 28_709,
        "val": 3_589,
        "test": 3_589,
    }
    assert np.bincount(arrays["labels"]).tolist() == [4953, 547, 5121, 8989, 6077, 4002, 6198]
    test = arrays["split"] == "test"
    assert int((arrays["in_training"] & test).sum()) == 288


@pytest.mark.parametrize("name", [n for n in BUILT_IN if locate(n).is_file()])
def test_the_card_states_what_the_file_scores(name: str, arrays: dict[str, np.ndarray]) -> None:
    test = arrays["split"] == "test"
    pixels = arrays["images"][test, None].astype(np.float32)
    stated = Model(locate(name)).card.metrics["PrivateTest"]
    seven = Model(locate(name), head="fer2013").logits(pixels).argmax(axis=1)
    right = float((seven == arrays["labels"][test]).mean())
    assert right == pytest.approx(stated["fer2013 accuracy"]["value"], abs=1e-3)
    eight = Model(locate(name), head="ferplus").logits(pixels).argmax(axis=1)
    label, kept = majority(arrays["votes"][test])
    right = float((eight == label)[kept].mean())
    assert right == pytest.approx(stated["ferplus accuracy, majority"]["value"], abs=1e-3)
