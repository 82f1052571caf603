"""The built-in models and their files: what every shipped model must hold."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from mien.emotions import EIGHT, SEVEN
from mien.metrics import probabilities
from mien.models.card import CARD_KEY, Card, Head
from mien.models.onnx import Model
from mien.models.weights import BUILT_IN, locate
from mien.types import FloatArray, ImageArray, InputError, ModelError, UnknownNameError

SHIPPED = [name for name in BUILT_IN if locate(name).is_file()]


@pytest.fixture
def pixels(face_crop: ImageArray) -> FloatArray:
    """The portrait's crop, its mirror image, noise, and black."""
    face = Model(locate("mien")).pixels(face_crop)
    noise = np.random.default_rng(0).uniform(0, 255, face.shape).astype(np.float32)
    return np.stack([face, face[:, :, ::-1], noise, np.zeros_like(face)])


def test_the_float_model_is_shipped_and_answers_for_no_crop_as_for_many() -> None:
    assert "mien" in SHIPPED
    assert Model(locate("mien")).logits(np.zeros((0, 1, 48, 48), np.float32)).shape == (0, 7)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_file_is_small_hashed_and_carries_its_card(name: str) -> None:
    path = locate(name)
    assert path.stat().st_size <= 8_000_000
    assert path.with_name(path.name + ".sha256").is_file()
    card = Model(path).card
    assert card.name == name
    for text in (card.summary, card.licence, card.data, card.protocol, card.intended_use):
        assert text
    assert len(card.recipe_hash) == 64
    assert {"PublicTest", "PrivateTest"} <= set(card.metrics)
    score = card.metrics["PrivateTest"]["fer2013 accuracy"]
    assert score["low"] < score["value"] < score["high"]
    assert card.heads["ferplus"].labels == EIGHT
    assert card.heads["fer2013"].labels == SEVEN
    assert Card.from_json(card.to_json()) == card


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("head", ["both", "ferplus", "fer2013"])
def test_the_mean_of_the_activation_map_plus_the_bias_is_the_logit(
    name: str, head: str, pixels: FloatArray
) -> None:
    model = Model(locate(name), head=head)
    output = model.run(pixels, cam=True)
    assert output.cam is not None
    rebuilt = output.cam.mean(axis=(2, 3)) + np.array(model.head.bias)
    np.testing.assert_allclose(rebuilt, output.logits, atol=1e-4)


@pytest.mark.parametrize("name", SHIPPED)
def test_batches_of_any_size_give_the_same_answers(name: str, pixels: FloatArray) -> None:
    model = Model(locate(name))
    one_by_one = np.concatenate([model.logits(p[None]) for p in pixels])
    np.testing.assert_allclose(model.logits(pixels), one_by_one, atol=1e-4)
    many = model.logits(np.repeat(pixels, 70, axis=0))
    np.testing.assert_allclose(many[::70], one_by_one, atol=1e-4)
    assert model.logits(pixels[:0]).size == 0


@pytest.mark.parametrize("name", SHIPPED)
def test_the_portrait_smiles_and_so_does_its_mirror_image(name: str, pixels: FloatArray) -> None:
    model = Model(locate(name))
    p = probabilities(model.logits(pixels[:2]), model.head.temperature)
    assert p[:, EIGHT.index("happy")].min() > 0.9
    points = model.run(pixels[:2], landmarks=True).landmarks
    assert points is not None
    mirrored = (1 - points[1, :, 0]) * 48
    from mien.vision.landmarks import MIRROR

    assert np.abs(mirrored[list(MIRROR)] - points[0, :, 0] * 48).max() < 2.5


def test_probabilities_sum_to_one_and_temperature_softens() -> None:
    logits = np.array([[1000.0, 0.0, -1000.0], [1.0, 2.0, 3.0]])
    np.testing.assert_allclose(probabilities(logits).sum(axis=1), 1)
    assert probabilities(logits, 4.0)[1].max() < probabilities(logits)[1].max()


def test_a_wrong_shape_and_an_unknown_head_are_refused() -> None:
    with pytest.raises(InputError, match=r"\[N, 1, 48, 48\]"):
        Model(locate("mien")).logits(np.zeros((1, 3, 48, 48), np.float32))
    with pytest.raises(UnknownNameError, match="both, ferplus, fer2013"):
        Model(locate("mien"), head="affectnet")
    with pytest.raises(UnknownNameError, match="did you mean 'mien-int8'"):
        locate("mien-int4")


def test_a_damaged_file_an_absent_one_and_one_without_card_are_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "mien.onnx"
    source = locate("mien")
    content = bytearray(source.read_bytes())
    content[len(content) // 2] ^= 255
    damaged.write_bytes(bytes(content))
    shutil.copy(source.with_name("mien.onnx.sha256"), tmp_path)
    with pytest.raises(ModelError, match="damaged"):
        Model(damaged)
    with pytest.raises(ModelError, match="no such model file"):
        Model(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_text("not a network")
    with pytest.raises(ModelError, match="cannot be loaded"):
        Model(tmp_path / "text.onnx")
    bare = onnx.load(str(source))
    del bare.metadata_props[:]
    onnx.save(bare, str(tmp_path / "bare.onnx"))
    with pytest.raises(ModelError, match="no card"):
        Model(tmp_path / "bare.onnx")


def test_behaviour_is_read_from_the_card_not_from_the_name(tmp_path: Path) -> None:
    graph = onnx.load(str(locate("mien")))
    card = Model(locate("mien")).card
    heads = {**card.heads, "ferplus": replace(card.heads["ferplus"], temperature=7.0)}
    changed = replace(card, name="other", heads=heads)
    del graph.metadata_props[:]
    onnx.helper.set_model_props(graph, {CARD_KEY: changed.to_json()})
    onnx.save(graph, str(tmp_path / "renamed.onnx"))
    model = Model(tmp_path / "renamed.onnx", head="ferplus")
    assert model.head.temperature == 7.0
    assert model.identity.startswith("other sha256:")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_card_holds_each_heads_prior_and_one_without_is_read(name: str) -> None:
    card = Model(locate(name)).card
    for head in card.heads.values():
        assert len(head.prior) == len(head.labels)
        assert abs(sum(head.prior) - 1) < 1e-3
    raw = json.loads(card.to_json())
    for head in raw["heads"].values():
        del head["prior"]
    assert Card.from_json(json.dumps(raw)).heads["ferplus"].prior == ()


def test_a_card_that_cannot_be_right_is_refused() -> None:
    with pytest.raises(ModelError, match="temperature"):
        Head(SEVEN, "logits", temperature=0.0)
    with pytest.raises(ModelError, match="prior of 7 positive shares"):
        Head(SEVEN, "logits", prior=(0.5, 0.5))
    with pytest.raises(ModelError, match="card cannot be read"):
        Card.from_json("{}")
