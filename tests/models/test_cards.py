"""Cards and model files of strangers: refused in one line that says what is wrong, or sound."""

from __future__ import annotations

import copy
import json
import pickle
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from mien.emotions import SEVEN
from mien.models.card import CARD_KEY, LONGEST, Card, Head
from mien.models.onnx import Model, built_in_template
from mien.models.weights import locate
from mien.types import ModelError
from mien.vision.geometry import Preprocess
from tests.models.hostile import mutated, nested

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def card() -> Card:
    return Model(locate("mien")).card


def changed(card: Card, change: Change) -> str:
    """The card's JSON after a change in place, or what the change returns instead."""
    raw = json.loads(card.to_json())
    found = change(raw)
    return json.dumps(raw if found is None else found)


def head(**fields: Any) -> Change:
    return lambda raw: raw["heads"]["ferplus"].update(fields)


def how(**fields: Any) -> Change:
    return lambda raw: raw["preprocess"].update(fields)


def card_with(**fields: Any) -> Change:
    return lambda raw: raw.update(fields)


EIGHT = ["a", "b", "c", "d", "e", "f", "g", "h"]
BAD: dict[str, tuple[Change, str]] = {
    "labels missing": (lambda raw: raw["heads"]["ferplus"].pop("labels") and None, "lacks labels"),
    "labels none": (head(labels=[]), "2 to 1000 labels"),
    "labels as text": (head(labels="happy"), "labels for labels, got 'happy'"),
    "labels as an object": (head(labels={}), "labels"),
    "labels of another type": (head(labels=[*EIGHT[:7], 8]), "a name .* for a label, got 8"),
    "a label in a list": (head(labels=[*EIGHT[:7], ["h"]]), "for a label"),
    "labels double": (head(labels=[*EIGHT[:7], "a"]), "different labels"),
    "a label with markup": (head(labels=[*EIGHT[:7], "<b>h</b>"]), "without markup"),
    "a label for rich": (head(labels=[*EIGHT[:7], "[red]h"]), "without markup"),
    "a label as a formula": (head(labels=[*EIGHT[:7], "=1+1"]), "for a label"),
    "a label with an escape": (head(labels=[*EIGHT[:7], "\x1b[31m"]), "printable"),
    "a label turned round": (head(labels=[*EIGHT[:7], "\u202eh"]), "printable"),
    "a label that is half a character": (head(labels=[*EIGHT[:7], "\ud800"]), "printable"),
    "an empty label": (head(labels=[*EIGHT[:7], ""]), "for a label"),
    "a label of 201": (head(labels=[*EIGHT[:7], "h" * 201]), "1 to 200"),
    "fewer labels than biases": (head(labels=EIGHT[:7]), "7 numbers for bias"),
    "bias not finite": (head(bias=[1e400] * 8), "it holds Infinity"),
    "bias of text": (head(bias=["0"] * 8), "for bias, got '0'"),
    "bias null": (head(bias=None), "8 numbers for bias"),
    "temperature 0": (head(temperature=0), "0.001 to 1000 for temperature"),
    "temperature below": (head(temperature=-1), "temperature"),
    "temperature true": (head(temperature=True), "temperature, got True"),
    "temperature text": (head(temperature="1"), "temperature"),
    "temperature tiny": (head(temperature=1e-300), "temperature"),
    "temperature of many digits": (head(temperature=10**400), "temperature, got 1000"),
    "logits a number": (head(logits=3), "output, .* for logits"),
    "logits empty": (head(logits=""), "logits"),
    "cam a list": (head(cam=[]), "cam"),
    "prior short": (head(prior=[0.5, 0.5]), "prior of 8 positive shares"),
    "prior of 0": (head(prior=[0.0, *[1 / 7] * 7]), "positive shares"),
    "prior beyond 1": (head(prior=[0.2] * 8), "sum to 1"),
    "prior null": (head(prior=None), "8 positive shares"),
    "an unknown field": (head(size=3), "unknown fields 'size'"),
    "a head null": (lambda raw: raw["heads"].update(ferplus=None), "an object for it, got None"),
    "heads a list": (card_with(heads=[]), "label sets by name for heads"),
    "heads none": (card_with(heads={}), "one label set or more"),
    "a head's name": (lambda raw: raw["heads"].update({"<i>": raw["heads"]["ferplus"]}), "a head"),
    "another default": (card_with(default_head="x"), "one of both, ferplus, fer2013"),
    "default a list": (card_with(default_head=["ferplus"]), "default_head"),
    "size a fraction": (how(size=48.0), "whole number .* for size, got 48.0"),
    "size huge": (how(size=10**9), "1 to 2048 for size"),
    "size of many digits": (how(size=10**4000), "for size"),
    "size 0": (how(size=0), "size"),
    "size text": (how(size="48"), "size, got '48'"),
    "size true": (how(size=True), "size, got True"),
    "channels 2": (how(channels=2), "1 .grey. or 3 .RGB."),
    "channels a fraction": (how(channels=1.0), "channels"),
    "mean a number": (how(mean=0.5), "1 numbers for mean"),
    "mean too long": (how(mean=[0.5] * 3), "1 numbers for mean"),
    "std 0": (how(std=[0.0]), "std"),
    "std null": (how(std=None), "std"),
    "margin text": (how(margin="0"), "margin"),
    "preprocess null": (card_with(preprocess=None), "an object for preprocess"),
    "preprocess missing": (lambda raw: raw.pop("preprocess") and None, "lacks preprocess"),
    "template empty": (card_with(template=[]), "24 points"),
    "template null": (card_with(template=None), "24 points"),
    "template of threes": (card_with(template=[[0.1, 0.2, 0.3]] * 24), "2 numbers"),
    "template of text": (card_with(template=["ab"] * 24), "2 numbers"),
    "template in one place": (card_with(template=[[0.5, 0.5]] * 24), "eyes and mouth apart"),
    "template far away": (card_with(template=[[1e9, 0.5]] * 24), "template"),
    "landmarks a number": (card_with(landmarks=1), "landmarks"),
    "name empty": (card_with(name=""), "for name"),
    "name on two lines": (card_with(name="a\nb"), "for name"),
    "name missing": (lambda raw: raw.pop("name") and None, "the card lacks name"),
    "summary a number": (card_with(summary=1), "summary"),
    "summary with an escape": (card_with(summary="\x1b]0;x\x07"), "printable text"),
    "licence endless": (card_with(licence="a" * 20_001), "at most 20,000"),
    "metrics a list": (card_with(metrics=[]), "an object for metrics"),
    "metrics not finite": (card_with(metrics={"a": {"b": 1e400}}), "it holds Infinity"),
    "metrics deep": (card_with(metrics={"a": nested(30)}), "at most 20 levels"),
    "recipe with an escape": (card_with(recipe={"a": ["\x1b"]}), "recipe"),
    "versions numbers": (card_with(versions={"torch": 2}), "a version"),
    "an unknown entry": (card_with(**{"\x1b": 1}), r"unknown fields '\\x1b'"),
    "null": (lambda _: [None], "an object"),
}  # fmt: skip

TEXTS: dict[str, tuple[str, str]] = {
    "nothing": ("", "expected JSON"),
    "null": ("null", "an object for the card, got None"),
    "a list": ("[]", "an object for the card"),
    "a number": ("7", "an object for the card, got 7"),
    "a text": ('"x"', "an object for the card"),
    "cut short": ('{"name": "x', "expected JSON"),
    "deep": ("[" * 200_000, "too many|expected JSON"),
    "deep objects": ('{"a":' * 100_000, "too many|expected JSON"),
    "long": (" " * (LONGEST + 1), "at most 1,000,000 characters"),
    "many digits": ("9" * 5000, "expected"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_wrong_field_is_named_in_one_line(what: str, card: Card) -> None:
    change, told = BAD[what]
    with pytest.raises(ModelError, match=told) as caught:
        Card.from_json(changed(card, change))
    told_plainly(caught.value)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ["temperature", "mean", "std", "bias", "margin", "template"])
def test_what_is_no_number_is_no_card(field: str, constant: str, card: Card) -> None:
    raw = json.loads(card.to_json())
    place: Any = raw["heads"]["ferplus"] if field in ("temperature", "bias") else raw
    place = raw["preprocess"] if field in ("mean", "std", "margin") else place
    value = place[field]
    if field == "template":
        value[3][0] = "HERE"
    elif isinstance(value, list):
        value[0] = "HERE"
    else:
        place[field] = "HERE"
    with pytest.raises(ModelError) as caught:
        Card.from_json(json.dumps(raw).replace('"HERE"', constant))
    told_plainly(caught.value)


@pytest.mark.parametrize("what", TEXTS)
def test_what_is_no_card_is_refused(what: str) -> None:
    text, told = TEXTS[what]
    with pytest.raises(ModelError, match=told) as caught:
        Card.from_json(text)
    told_plainly(caught.value)


def told_plainly(error: ModelError) -> None:
    assert str(error).startswith("the model's card cannot be read: ")
    assert str(error).isprintable()
    assert len(str(error)) < 500


def test_a_few_hundred_damaged_cards_are_refused_or_sound(card: Card) -> None:
    rng = random.Random(16)
    raw = json.loads(card.to_json())
    refused = 0
    for _ in range(400):
        text = mutated(raw, rng)
        try:
            found = Card.from_json(text)
        except ModelError as error:
            refused += 1
            told_plainly(error)
            continue
        again = found.to_json()
        assert Card.from_json(again) == found
        json.loads(again, parse_constant=lambda constant: pytest.fail(constant))
        assert found.preprocess.pixels(np.zeros((9, 9, 3), np.uint8)).ndim == 3
    assert 200 < refused < 400, "some changes are harmless, most are not"


def test_cards_made_in_python_are_checked_alike(card: Card) -> None:
    for fields, told in (
        ({"temperature": float("nan")}, "temperature, got nan"),
        ({"labels": ("happy",) * 7}, "different labels"),
        ({"cam": "cam"}, "7 numbers for bias"),
        ({"prior": (0.5, 0.5)}, "prior of 7 positive shares"),
    ):
        with pytest.raises(ModelError, match=told):
            Head(**{"labels": SEVEN, "logits": "logits", **fields})  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="finite"):
        replace(card, metrics={"accuracy": float("nan")})
    with pytest.raises(ModelError, match="size"):
        replace(card, preprocess=Preprocess(5000, 1, (0.5,), (0.5,)))
    whole = Head(SEVEN, "logits", prior=(0.4, *(0.1,) * 6))
    assert Card.from_json(
        replace(card, heads={"ferplus": whole}, default_head="ferplus").to_json()
    ).heads == {"ferplus": whole}


def test_texts_of_many_languages_are_plain(card: Card) -> None:
    labels = ("heureux·se", "счастье", "สุข", "幸せ", "خوش‌حال", "निराश", "neutral (0)", "x/y")
    raw = changed(card, head(labels=list(labels)))
    assert Card.from_json(raw).heads["ferplus"].labels == labels


def test_the_template_is_the_built_in_models(card: Card) -> None:
    assert built_in_template() == card.template


# Files


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """The built-in model's file with another card, or another graph."""

    def make(
        card: str | None = None, graph: Callable[[onnx.ModelProto], None] | None = None
    ) -> Path:
        model = onnx.load(str(locate("mien")))
        if card is not None:
            del model.metadata_props[:]
            onnx.helper.set_model_props(model, {CARD_KEY: card})
        if graph is not None:
            graph(model)
        path = tmp_path / "other.onnx"
        onnx.save(model, str(path))
        return path

    return make


SIX = {"labels": EIGHT[:6], "bias": [0.0] * 6, "prior": []}
GRAPHS: dict[str, tuple[Change, str]] = {
    "an output that is not there": (head(logits="nowhere"), r"names the output 'nowhere'"),
    "a map that is not there": (head(cam="nowhere"), r"names the output 'nowhere'"),
    "landmarks that are not there": (card_with(landmarks="x"), "names the output 'x'"),
    "fewer labels than outputs": (head(**SIX), r"\[N, 6\], as its card says"),
    "the map as logits": (head(logits="cam_ferplus"), r"\[N, 8\]"),
    "another size": (how(size=64), r"\[N, 1, 64, 64\]"),
    "colours": (how(channels=3, mean=[0.5] * 3, std=[0.5] * 3), r"\[N, 3, 48, 48\]"),
}


@pytest.mark.parametrize("what", GRAPHS)
def test_a_card_of_another_graph_is_refused(
    what: str, card: Card, file: Callable[..., Path]
) -> None:
    change, told = GRAPHS[what]
    path = file(changed(card, change))
    with pytest.raises(ModelError, match=told) as caught:
        Model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).isprintable()


def test_bytes_that_are_no_text_are_refused_without_a_word_on_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of the card, of an operator, of a tensor's name: ONNX Runtime would print some of them."""
    content = locate("mien").read_bytes()
    path = tmp_path / "other.onnx"
    for name in (b"Compact residual", b"NOTSET", b"first.0.weight_half"):
        damaged = content.replace(name, b"\x1b\xff" + name[2:], 1)
        assert damaged != content
        path.write_bytes(damaged)
        with pytest.raises(ModelError) as caught:
            Model(path)
        assert str(caught.value).isprintable()
    assert capfd.readouterr() == ("", "")


def test_an_error_in_a_card_names_the_file(file: Callable[..., Path]) -> None:
    path = file("{}")
    with pytest.raises(ModelError, match="card cannot be read: the card lacks") as caught:
        Model(path)
    assert str(caught.value).startswith(f"{path}: ")


def fix_batch(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def second_input(model: onnx.ModelProto) -> None:
    extra = onnx.helper.make_tensor_value_info("more", onnx.TensorProto.FLOAT, [1])
    model.graph.input.append(extra)


def poison(model: onnx.ModelProto) -> None:
    """NaN in the weights that carry the answer."""
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor).copy()
        if values.dtype in (np.float16, np.float32) and values.ndim == 4:
            values[:] = np.nan
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))


def test_graphs_that_cannot_serve_are_refused(file: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match=r"of \[1, 1, 48, 48\]"):
        Model(file(graph=fix_batch))
    with pytest.raises(ModelError, match="a graph of 1 input, got 2"):
        Model(file(graph=second_input))
    model = Model(file(graph=poison))
    with pytest.raises(ModelError, match="not finite"):
        model.logits(np.zeros((1, 1, 48, 48), np.float32))


HASHES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "64 hexadecimal digits"),
    "binary": (bytes(range(256)), "64 hexadecimal digits"),
    "blank": (b" \n\n", "64 hexadecimal digits"),
    "short": (b"abc123  other.onnx", "64 hexadecimal digits"),
    "words": (b"not a hash at all", "64 hexadecimal digits"),
    "endless": (b"a" * 10_000, "64 hexadecimal digits"),
    "another": (b"0" * 64, "the file is damaged"),
}


@pytest.mark.parametrize("what", HASHES)
def test_a_hash_file_that_is_none_is_named(what: str, tmp_path: Path) -> None:
    content, told = HASHES[what]
    path = tmp_path / "other.onnx"
    shutil.copy(locate("mien"), path)
    path.with_name("other.onnx.sha256").write_bytes(content)
    with pytest.raises(ModelError, match=told) as caught:
        Model(path)
    assert "other.onnx" in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_file_is_copied_with_its_session_and_pickled_without(
    tmp_path: Path, face_crop: Any
) -> None:
    path = tmp_path / "other.onnx"
    shutil.copy(locate("mien"), path)
    model = Model(path)
    pixels = model.pixels(face_crop)[None]
    expected = model.logits(pixels)
    for twin in (copy.copy(model), copy.deepcopy(model)):
        assert twin._session is model._session
    parcel = pickle.dumps(model)
    assert len(parcel) < 100_000
    np.testing.assert_array_equal(pickle.loads(parcel).logits(pixels), expected)
    shutil.copy(locate("mien-int8"), path)
    with pytest.raises(ModelError, match="has changed since the model was opened"):
        pickle.loads(parcel)
