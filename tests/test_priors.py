"""Answers under another prior, and by the crop and its mirror image: what must hold of them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import mien
from mien.batch.prior import estimate_prior
from mien.batch.storage import place
from mien.batch.work import part_of
from mien.emotions import EIGHT, SEVEN
from mien.explainers import Query
from mien.explainers.method import read_query
from mien.metrics import probabilities
from mien.models.onnx import Model
from mien.models.weights import locate
from mien.priors import estimated, read_prior, shares_of, shifted
from mien.results.predictions import Predictions
from mien.types import FloatArray, ImageArray, InputError, Prediction, UnknownNameError
from mien.vision.read import Source

RARE = {"angry": 0.05, "disgust": 0.05, "fear": 0.05, "happy": 0.2, "sad": 0.05,
        "surprise": 0.1, "neutral": 0.5}  # fmt: skip
RNG = np.random.default_rng(3)


@pytest.fixture
def pixels(face_crop: ImageArray) -> FloatArray:
    """The portrait's crop, noise, and black."""
    face = Model(locate("mien")).pixels(face_crop)
    return np.stack([face, RNG.uniform(0, 255, face.shape).astype(np.float32), 0 * face])


def test_a_shift_there_and_back_is_none_and_an_equal_prior_changes_nothing() -> None:
    p = RNG.dirichlet(np.ones(7), 50)
    of, to = RNG.dirichlet(np.ones(7) * 5), RNG.dirichlet(np.ones(7) * 5)
    moved = shifted(p, of, to)
    np.testing.assert_allclose(moved.sum(axis=1), 1)
    assert np.abs(moved - p).max() > 0.05
    np.testing.assert_allclose(shifted(moved, to, of), p)
    np.testing.assert_allclose(shifted(p, of, of), p)


def test_the_prior_of_simulated_faces_is_found_again() -> None:
    truth_prior, of = np.array([0.7, 0.2, 0.1]), np.array([0.2, 0.3, 0.5])
    truth = RNG.choice(3, 4000, p=truth_prior)
    seen = RNG.normal(np.eye(3)[truth] * 1.5)  # one unit of noise about the corners of a triangle
    likelihood = np.exp(-0.5 * ((seen[:, None] - 1.5 * np.eye(3)) ** 2).sum(axis=2))
    p = likelihood * of
    p /= p.sum(axis=1, keepdims=True)
    found = estimated(p, of)
    np.testing.assert_allclose(found, truth_prior, atol=0.03)
    right = (shifted(p, of, found).argmax(axis=1) == truth).mean()
    assert right > (p.argmax(axis=1) == truth).mean() + 0.05


def test_an_estimate_needs_rows() -> None:
    with pytest.raises(InputError, match="at least one answer"):
        estimated(np.zeros((0, 3)), np.full(3, 1 / 3))


@pytest.mark.parametrize(
    ("prior", "words"),
    [
        ({**RARE, "sad": -0.05}, "share above 0 and up to 1 for sad"),
        ({**RARE, "sad": 0.0}, "share above 0"),
        ({**RARE, "sad": math.nan}, "share above 0"),
        ({**RARE, "sad": math.inf}, "share above 0"),
        ({**RARE, "sad": True}, "share above 0"),
        ({**RARE, "sad": "much"}, "share above 0"),
        ({k: v for k, v in RARE.items() if k != "sad"}, "sad lack"),
        ({**RARE, "sad": 0.5}, "sum to 1"),
        ({**RARE, "bored": 0.1}, "unknown expression 'bored'"),
        ({**RARE, "sadness": 0.05}, "one share for sad"),
        ("happy=.5,sad", "key=value"),
        ("sometimes", "expected a prior"),
        ("", "expected a prior"),
    ],
)
def test_a_prior_that_cannot_be_meant_is_one_line(
    prior: str | dict[str, float], words: str
) -> None:
    with pytest.raises((InputError, UnknownNameError), match=words) as error:
        mien.load(prior=prior)
    assert "\n" not in str(error.value)


def test_named_priors_are_narrowed_to_the_answers_and_must_cover_them() -> None:
    named = {"crowd": {"happy": 0.5, "sad": 0.3, "contempt": 0.2}}
    assert read_prior("crowd", ("happy", "sad"), named) == pytest.approx([0.625, 0.375])
    with pytest.raises(InputError, match="says nothing of neutral"):
        read_prior("crowd", ("happy", "neutral"), named)
    assert shares_of({}, ("happy",)) is None


@pytest.mark.parametrize("head", ["both", "ferplus", "fer2013"])
def test_a_model_answers_under_another_prior_as_its_probabilities_say(
    head: str, pixels: FloatArray
) -> None:
    model = Model(locate("mien"), head)
    own = np.array(model.head.prior)
    to = RNG.dirichlet(np.ones(len(own)) * 5)
    other = model.answering(dict(zip(model.labels, map(float, to), strict=True)))
    p = probabilities(model.logits(pixels), model.head.temperature)
    q = probabilities(other.logits(pixels), other.head.temperature)
    np.testing.assert_allclose(q, shifted(p, own, to), atol=1e-5)
    back = other.answering(model.prior)
    np.testing.assert_allclose(back.logits(pixels), model.logits(pixels), atol=1e-4)
    assert model.offset.any() == np.False_, "the model itself is left alone"


def test_the_activation_map_stays_exact_under_a_prior_and_with_mirror_images(
    pixels: FloatArray,
) -> None:
    for head in ("both", "ferplus"):
        model = Model(locate("mien"), head).answering("fer2013", labels=SEVEN, flip=True)
        output = model.run(pixels, cam=True)
        assert output.cam is not None
        rebuilt = output.cam.mean(axis=(2, 3)) + np.array(model.head.bias)
        np.testing.assert_allclose(rebuilt, output.logits, atol=1e-4)


def test_contempt_keeps_its_share_where_it_is_not_answered() -> None:
    model = Model(locate("mien"), "ferplus")
    even = model.answering("even", labels=SEVEN)
    assert even.prior["contempt"] == pytest.approx(model.prior["contempt"])
    assert sum(even.prior.values()) == pytest.approx(1)
    assert shares_of(even.prior, SEVEN) == pytest.approx(dict.fromkeys(SEVEN, 1 / 7))
    with pytest.raises(InputError, match="says nothing of contempt"):
        mien.load(contempt=True, prior="fer2013")
    recognizer = mien.load(contempt=True, prior="even")
    assert recognizer.labels == EIGHT
    assert recognizer.prior == pytest.approx(dict.fromkeys(EIGHT, 1 / 8))


def test_a_model_without_a_known_prior_cannot_be_put_under_another() -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    from tests.golden import fixed_model

    with pytest.raises(InputError, match="states no prior"):
        fixed_model("gimefive-13").answering("even")


def test_an_answer_for_a_face_is_that_for_its_mirror_image(pixels: FloatArray) -> None:
    model = Model(locate("mien")).answering(flip=True)
    turned = np.ascontiguousarray(pixels[..., ::-1])
    one, other = (model.run(p, cam=True, landmarks=True) for p in (pixels, turned))
    np.testing.assert_allclose(one.logits, other.logits, atol=1e-4)
    assert one.cam is not None
    assert other.cam is not None
    np.testing.assert_allclose(one.cam, other.cam[..., ::-1], atol=1e-3)
    single = Model(locate("mien"))
    mean = (single.logits(pixels) + single.logits(turned)) / 2
    np.testing.assert_allclose(one.logits, mean, atol=1e-4)
    assert one.landmarks is not None
    straight = single.run(pixels, landmarks=True).landmarks
    assert straight is not None
    assert np.abs(one.landmarks[0] - straight[0]).max() < 0.05, "left stays left"


@pytest.mark.parametrize("method", ["regions", "cam", "dncshap:levels=3"])
def test_a_prior_moves_base_and_value_of_an_explanation_alike_and_no_part(
    method: str, face_crop: ImageArray
) -> None:
    query = read_query(method, Query(target="sad"))
    plain = mien.explain(face_crop, query, detector="none", head="ferplus")[0]
    moved = mien.explain(face_crop, query, detector="none", head="ferplus", prior=RARE)[0]
    np.testing.assert_allclose(moved.values, plain.values, atol=1e-4)
    temperature = Model(locate("mien"), "ferplus").head.temperature
    assert plain.prior is not None
    step = temperature * math.log(RARE["sad"] / plain.prior["sad"])
    assert plain.base is not None
    assert moved.base is not None
    assert moved.value - plain.value == pytest.approx(step, abs=1e-3)
    assert moved.base - plain.base == pytest.approx(moved.value - plain.value, abs=1e-4)
    assert moved.prior == pytest.approx(RARE)
    again = mien.Explanation.from_dict(moved.to_dict(), crop=face_crop)
    assert (again.prior, again.flip) == (moved.prior, False)


def test_the_value_that_is_explained_is_the_score_that_is_answered(face_crop: ImageArray) -> None:
    recognizer = mien.load(detector="none", prior="fer2013", flip=True)
    found = recognizer.explain(face_crop, method=["regions", "cam"])
    crop = recognizer.crops(face_crop)[0]
    for explanation in found:
        logit = crop.logits[recognizer.model.labels.index(explanation.target)]
        assert explanation.value == pytest.approx(float(logit), abs=1e-3)
        assert explanation.flip
    opened = Model(locate("mien")).answering(flip=True)
    assert mien.load(opened, detector="none", prior="even").model.flip


def test_finished_rows_are_put_under_another_prior(face_crop: ImageArray, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    noise = RNG.integers(0, 255, (48, 48), dtype=np.uint8)
    images: list[Source] = [face_crop, noise, b"damaged"]
    rows = mien.load(detector="none").predict(images)
    direct = mien.load(detector="none", prior=RARE).predict(images)
    moved = mien.Predictions.load(rows.save(tmp_path / "rows.parquet")).under(RARE)
    assert moved.prior == pytest.approx(RARE)
    assert moved[2].error is not None
    for row, expected in zip(moved.faces, direct.faces, strict=True):
        assert row.emotions == pytest.approx(expected.emotions, abs=1e-5)
        assert row.dominant_emotion == expected.dominant_emotion
        assert row.score == pytest.approx(max(row.emotions.values()))
    csv = mien.Predictions.load(rows.save(tmp_path / "rows.csv"))
    with pytest.raises(InputError, match="give it as of="):
        csv.under("even")
    assert csv.under(RARE, of="even").faces[0].score == pytest.approx(moved.faces[0].score)
    (tmp_path / "_mien").mkdir()
    rows[:1].save(tmp_path / "_mien" / "plan.parquet")
    rows[:1].save(tmp_path / "more.parquet")
    assert len(mien.Predictions.load(tmp_path)) == len(rows) + 1, "a folder is all its parts"
    guessed = rows.under("estimate")
    assert sum((guessed.prior or {}).values()) == pytest.approx(1)


def test_an_estimate_before_the_answers_says_when_it_can_be_had() -> None:
    with pytest.raises(InputError, match=r"under\('estimate'\)"):
        mien.load(prior="estimate")


def test_a_finished_batch_is_put_under_the_prior_of_all_its_faces(tmp_path: Path) -> None:
    out = place(str(tmp_path))
    rng = np.random.default_rng(0)
    labels = ("happy", "sad")
    own = {"happy": 0.5, "sad": 0.5}
    p = rng.beta(3, 1, 40)
    rows = [
        Prediction(f"{i}.jpg", 0, emotions={"happy": v, "sad": 1 - v}, dominant_emotion="happy",
                   score=v) for i, v in enumerate(p.tolist())
    ]  # fmt: skip
    whole = Predictions((*rows, Prediction("none.jpg")), labels, own)
    for number, part in enumerate((whole[:15], whole[15:])):
        Path(str(part_of(out, number))).parent.mkdir(exist_ok=True)
        part.save(str(part_of(out, number)))
    (tmp_path / "_mien").mkdir()
    wanted = whole.under("estimate")
    shares = estimate_prior(out, 2)
    assert shares == pytest.approx(wanted.prior, abs=1e-4)
    again = Predictions.load(tmp_path)
    assert again.prior == shares
    assert [r.dominant_emotion for r in again] == [r.dominant_emotion for r in wanted]
    happy = [r.emotions.get("happy") for r in again.faces]
    assert happy == pytest.approx([r.emotions["happy"] for r in wanted.faces], abs=1e-4)
    assert again[-1].face_id is None
    before = Path(str(part_of(out, 0))).read_bytes()
    assert estimate_prior(out, 2) == shares  # what is done stays as it is
    assert Path(str(part_of(out, 0))).read_bytes() == before
