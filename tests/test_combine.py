"""The head of both label sets: what is in the file is the sum that it claims to be."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed: releases are made with it")

from mien.emotions import EIGHT, SEVEN
from mien.models.onnx import Model
from mien.models.weights import locate
from mien.types import InputError
from training.combine import combine, combined_head


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """Noise with labels and votes: 21 images of PublicTest."""
    rng = np.random.default_rng(0)
    votes = np.zeros((21, 10), dtype=np.float32)
    votes[np.arange(21), np.arange(21) % 7] = 10
    return {
        "images": rng.integers(0, 255, (21, 48, 48), dtype=np.uint8),
        "labels": np.arange(21) % 7,
        "votes": votes,
        "split": np.array(["val"] * 21),
    }


def test_the_head_is_the_sum_of_log_probabilities_less_log_priors(
    tmp_path: Path, arrays: dict[str, np.ndarray]
) -> None:
    path = Path(shutil.copy(locate("mien"), tmp_path / "mien.onnx"))
    digest = combine(path, arrays)
    pixels = arrays["images"][:5, None].astype(np.float32)
    expected = np.zeros((5, 7))
    for name in ("ferplus", "fer2013"):
        part = Model(path, name)
        columns = [part.labels.index(label) for label in SEVEN]
        scaled = part.logits(pixels).astype(np.float64)[:, columns] / part.head.temperature
        expected += scaled - np.log(np.array(part.head.prior)[columns])
    both = Model(path)
    assert (both.head_name, both.labels) == ("both", SEVEN)
    np.testing.assert_allclose(both.logits(pixels), expected, atol=1e-4)
    assert both.head.prior == pytest.approx((1 / 7,) * 7)
    assert 0.2 < both.head.temperature <= 5.01
    assert both.card.metrics["PublicTest"]["both accuracy, plurality"] <= 1
    assert combine(path, arrays) == digest, "once more changes nothing"


def test_a_card_without_priors_cannot_be_combined() -> None:
    card = Model(locate("mien")).card
    heads = {name: replace(head, prior=()) for name, head in card.heads.items()}
    assert heads["ferplus"].labels == EIGHT
    with pytest.raises(InputError, match=r"training\.priors"):
        combined_head(replace(card, heads=heads))
