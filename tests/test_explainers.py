"""Every registered explainer through the same checks, and what is special to each."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy as np
import pytest

import mien
from mien import explainers
from mien.explainers.conformance import CHECKS, Sitting
from mien.explainers.designs import all_coalitions, dncshap_design
from mien.explainers.masks import BASELINES, baseline_pixels, evaluate_coalitions, paint
from mien.explainers.method import METHODS, Case
from mien.explainers.segments import segments
from mien.explainers.surrogates import KERNEL_WIDTH, nearness, partition_values
from mien.judging.rows import rows_for
from mien.models.onnx import Model
from mien.models.weights import locate
from mien.results.sheets import painted
from mien.types import (
    BoolArray,
    FloatArray,
    ImageArray,
    InputError,
    ModelError,
    UnknownNameError,
)
from mien.vision.regions import REGIONS
from tests.plugins import plug

#: Methods that explain the built-in file; those that need torch are tested on small networks.
ALL = explainers.supported(Model(locate("mien")))

#: Smaller work for methods that need hundreds of passes.
LESS: dict[str, dict[str, Any]] = {name: dict(METHODS.get(name).tiny) for name in ALL}
LESS["rise"] = {"samples": 800}  # fewer say little of where a smile is
NOT_LINEAR = {"shap"}  # opens the parts with the largest values first, so it depends on them


@pytest.fixture(scope="module")
def explained(crops_only: mien.Recognizer, face_crop: ImageArray) -> dict[str, mien.Explanation]:
    return {
        name: crops_only.explain(face_crop, method=name, options=LESS.get(name))[0] for name in ALL
    }


@pytest.fixture(scope="module")
def sitting(crops_only: mien.Recognizer, face_crop: ImageArray) -> Sitting:
    """The built-in model with the portrait's face in front of it."""
    crop = crops_only.crops(face_crop)[0]
    return Sitting(crops_only.model, crop, crops_only.answers("portrait", [crop])[0])


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", ALL)
def test_every_method_holds(
    name: str, check: Callable[[str, Sitting], None], sitting: Sitting
) -> None:
    check(name, sitting)


def test_a_result_knows_where_it_comes_from(explained: dict[str, mien.Explanation]) -> None:
    e = explained["regions"]
    assert (e.method, e.target) == ("regions", "happy")
    assert e.seconds > 0
    assert "sha256:" in e.model
    assert {"mien", "onnxruntime", "numpy", "python"} <= set(e.versions)


@pytest.mark.parametrize("name", ALL)
def test_what_promises_efficiency_adds_up_to_rounding(
    name: str, explained: dict[str, mien.Explanation]
) -> None:
    e = explained[name]
    assert e.efficient or name in {"occlusion", "rise", "lime"}
    if e.efficient:
        assert e.check() <= 1e-5
        assert sum(e.regions.values()) == pytest.approx(e.total, abs=1e-4)


@pytest.mark.parametrize("name", sorted(set(ALL) - NOT_LINEAR))
def test_a_contrast_is_the_difference_of_two_targets(
    name: str, crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    """All methods here are linear in the logits."""

    def values(target: str, against: str | None = None) -> FloatArray:
        e = crops_only.explain(
            face_crop, method=name, target=target, against=against, options=METHODS.get(name).tiny
        )
        return e[0].values

    contrast = values(target="happy", against="surprise")
    np.testing.assert_allclose(
        contrast, values(target="happy") - values(target="surprise"), atol=1e-5
    )


@pytest.mark.parametrize("name", ALL)
def test_the_smile_is_in_the_lower_face(name: str, explained: dict[str, mien.Explanation]) -> None:
    e = explained[name]
    lower = e.regions["mouth"] + e.regions["cheeks"] + e.regions["chin"] + e.regions["nose"]
    assert lower > 0.5 * sum(e.regions.values())


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("grey", [128, 255])
def test_noise_is_not_told_as_evidence(name: str, grey: int, crops_only: mien.Recognizer) -> None:
    blank = np.full((48, 48), grey, np.uint8)
    e = crops_only.explain(blank, method=name, options=METHODS.get(name).tiny)[0]
    assert np.isfinite(e.values).all()
    assert "no region carries evidence" in e.sentence
    assert "No region carries evidence" in e.paragraph
    assert np.abs(painted(e)[0]).max() == 0  # nothing is stretched to full colour
    if e.baseline == "mean":
        assert abs(e.total) < 1e-6


def test_regions_is_the_shapley_value_of_the_masked_crops(
    crops_only: mien.Recognizer, face_crop: ImageArray, explained: dict[str, mien.Explanation]
) -> None:
    """Against a direct sum over coalitions, crop by crop, with masks made here."""
    e = explained["regions"]
    model = crops_only.model
    pixels = crops_only.crops(face_crop)[0].pixels
    base = np.full_like(pixels, pixels.mean())
    names = list(REGIONS)
    happy = model.labels.index("happy")
    score = {}
    for row in all_coalitions(8):
        shown = row[e.labels]
        score[tuple(row)] = model.logits(np.where(shown, pixels, base)[None])[0, happy]
    player = names.index("mouth")
    from math import factorial

    total = 0.0
    for row, value in score.items():
        if row[player]:
            size = sum(row)
            without = (*row[:player], False, *row[player + 1 :])
            weight = factorial(size - 1) * factorial(8 - size) / factorial(8)
            total += weight * float(value - score[without])
    assert e.regions["mouth"] == pytest.approx(total, abs=1e-4)
    assert e.evaluations == 256


def test_interactions_of_the_regions_sum_to_their_values(
    explained: dict[str, mien.Explanation],
) -> None:
    e = explained["regions"]
    for name in REGIONS:
        assert sum(e.interactions[name].values()) == pytest.approx(e.regions[name], abs=1e-4)
        assert e.interactions[name]["mouth"] == pytest.approx(e.interactions["mouth"][name])


@pytest.mark.parametrize(
    ("contexts", "evaluations"),
    [("both", 60), ("absent", 32), ("present", 32), ("owen", 172), ("printed", 32)],
)
def test_dncshap_counts_its_passes_and_says_whether_it_adds_up(
    crops_only: mien.Recognizer, face_crop: ImageArray, contexts: str, evaluations: int
) -> None:
    options = {"levels": 4, "contexts": contexts, "snap": False}
    e = crops_only.explain(face_crop, method="dncshap", options=options)[0]
    assert e.evaluations == evaluations
    assert e.options == options
    assert e.efficient is (contexts != "printed")
    if e.efficient:
        assert e.check() <= 1e-5
    else:
        assert e.values.sum() == pytest.approx(4 * e.total, rel=1e-3)  # 2^(4 - 2) times too much


def test_cam_is_the_graphs_own_map_and_takes_one_pass(
    crops_only: mien.Recognizer, face_crop: ImageArray, explained: dict[str, mien.Explanation]
) -> None:
    e = explained["cam"]
    model = crops_only.model
    cam = model.run(crops_only.crops(face_crop)[0].pixels[None], cam=True).cam
    assert cam is not None
    happy = cam[0, model.labels.index("happy")]
    blocks = e.values.reshape(6, 8, 6, 8).sum(axis=(1, 3))
    np.testing.assert_allclose(blocks, happy / 36, atol=1e-5)
    assert e.evaluations == 1


@pytest.mark.parametrize("kind", BASELINES)
def test_baselines_keep_the_shape_and_stay_within_the_pixels(kind: str) -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 24, 24)).astype(np.float32)
    base = baseline_pixels(pixels, kind)
    assert base.shape == pixels.shape
    assert base.std() < pixels.std()
    assert base.min() >= 0
    assert base.max() <= 255
    assert (kind == "black") == (base.max() == 0)


def test_every_baseline_gives_an_efficient_explanation(
    crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    for kind in BASELINES:
        e = crops_only.explain(face_crop, baseline=kind)[0]
        assert e.baseline == kind
        assert e.check() <= 1e-5


def test_the_engine_shows_exactly_the_coalition(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mien.explainers.masks.CHUNK", 3)
    players = np.array([[0, 0, 1], [2, 2, 1]])
    pixels, base = np.full((1, 2, 3), 5.0), np.zeros((1, 2, 3))
    seen: list[int] = []

    def score(batch: FloatArray) -> FloatArray:
        seen.append(len(batch))
        return np.asarray(batch.sum(axis=(1, 2, 3))[:, None])

    coalitions = all_coalitions(3)
    scores = evaluate_coalitions(score, pixels, base, players, coalitions)
    np.testing.assert_allclose(scores[:, 0], coalitions @ [10, 10, 10])
    assert seen == [3, 3, 2]


def test_painting_keeps_the_sum() -> None:
    players = np.array([[0, 0, 1], [2, 2, 1]])
    painted = paint(np.array([1.0, -4.0, 6.0]), players)
    assert painted.sum() == pytest.approx(3)
    assert painted[1, 0] == 3


def test_wrong_questions_are_refused(crops_only: mien.Recognizer, face_crop: ImageArray) -> None:
    def ask(**how: Any) -> None:
        crops_only.explain(face_crop, **how)

    with pytest.raises(UnknownNameError, match="did you mean 'dncshap'"):
        ask(method="dncshp")
    with pytest.raises(UnknownNameError, match="did you mean 'happy'"):
        ask(target="hapy")
    with pytest.raises(InputError, match="contempt=True"):
        ask(target="contempt")
    with pytest.raises(InputError, match="takes no baseline"):
        ask(method="cam", baseline="blur")
    with pytest.raises(InputError, match="use fewer levels"):
        ask(method="dncshap", options={"levels": 12})
    with pytest.raises(UnknownNameError, match="baseline"):
        ask(baseline="grey")
    with pytest.raises(InputError, match="against itself"):
        ask(target="happy", against="happiness")
    with pytest.raises(InputError, match="expected a whole number for the option 'levels'"):
        ask(method="dncshap", options={"levels": "six"})
    with pytest.raises(InputError, match="10 samples or more, got 0"):
        ask(method="lime", options={"samples": 0})
    with pytest.raises(InputError, match="a seed of 0 to"):
        ask(method="rise", seed=-1)


PLUGIN = """
    import numpy as np

    from mien.explainers import Case, Evidence, method


    @method("quadrants", rank=45, baseline=False, tiny={"across": 2})
    def quadrants(case: Case, *, across: int = 3) -> Evidence:
        \"\"\"The score shared out by brightness over a few squares.\"\"\"
        value = float(case.score(case.pixels[None])[0, 0])
        size = case.pixels.shape[1]
        places = np.arange(size) * across // size
        cells = places[:, None] * across + places
        light = np.bincount(cells.ravel(), weights=case.pixels.mean(axis=0).ravel()) + 1
        share = light / light.sum() / np.bincount(cells.ravel())
        return Evidence(
            values=value * share[cells], base=0.0, value=value, players=across**2, evaluations=1,
            baseline="none",
        )
"""


@pytest.fixture
def plugged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A method that another distribution registers."""
    plug(tmp_path, monkeypatch, METHODS, PLUGIN)
    return "quadrants"


def test_a_method_of_another_distribution_takes_one_file(
    plugged: str, sitting: Sitting, crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    for check in CHECKS:
        check(plugged, sitting)
    names = explainers.names()
    assert names.index("lime") < names.index(plugged) < names.index("occlusion")  # by its rank
    e = crops_only.explain(face_crop, method=["quadrants:across=4", "regions"])[0]
    assert (e.players, e.query.options) == (16, {"across": 4})
    assert plugged in rows_for(crops_only.model)


@pytest.mark.parametrize("name", ["rise", "lime", "kernelshap"])
def test_a_method_that_draws_at_random_records_its_seed_and_obeys_it(
    name: str, sitting: Sitting
) -> None:
    one, other = sitting.usual(name), sitting.ask(name, seed=1)
    assert (one.seed, other.seed) == (0, 1)
    assert not np.allclose(other.values, one.values, atol=1e-9)


@pytest.mark.parametrize("name", ["lime", "kernelshap"])
def test_surrogates_draw_apart_from_other_threads_and_from_torch(
    name: str, sitting: Sitting
) -> None:
    import torch

    before = torch.random.get_rng_state()
    alone = sitting.ask(name, seed=2).values
    assert torch.equal(before, torch.random.get_rng_state())
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(lambda _: sitting.ask(name, seed=2), range(8)):
            np.testing.assert_array_equal(found.values, alone)


def test_the_kernel_of_lime_is_its_authors() -> None:
    import torch

    shown = torch.tensor([[1, 1, 1, 1], [1, 0, 0, 1], [0, 0, 0, 1]])
    distance = 1 - np.sqrt(np.array([1, 0.5, 0.25]))
    theirs = np.sqrt(np.exp(-(distance**2) / KERNEL_WIDTH**2))  # as their code writes it
    np.testing.assert_allclose(nearness(None, None, shown).numpy(), theirs)


def test_shap_draws_no_bar_and_leaves_those_of_others(
    sitting: Sitting, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    sitting.ask("shap")
    assert "TQDM_DISABLE" not in os.environ
    assert capfd.readouterr().err == ""


class Toy(Model):
    """A model whose score is known: the mean of the pixels of one square, in grey levels."""

    def __init__(self) -> None:
        super().__init__(locate("mien"))

    def logits(self, pixels: FloatArray) -> FloatArray:
        found = np.zeros((len(pixels), len(self.labels)))
        found[:, 0] = pixels[:, 0, 12:24, 24:36].mean(axis=(1, 2))
        return found


@pytest.mark.parametrize("name", ["occlusion", "rise", "lime", "kernelshap", "shap", "dncshap"])
def test_what_does_not_matter_gets_nothing(name: str) -> None:
    """Only one square of the crop enters the score; nearly all evidence must lie on it."""
    rng = np.random.default_rng(0)
    direction = np.eye(len(Toy().labels))[0]
    regions = np.zeros((48, 48), dtype=np.int64)
    case = Case(Toy(), rng.uniform(100, 255, (1, 48, 48)), regions, direction, "black")
    options = {
        "occlusion": {"window": 6},
        "rise": {"samples": 3000},
        "lime": {"samples": 400},
        "kernelshap": {"samples": 400},
    }.get(name, {})
    values = METHODS.get(name).run(case, **options).values
    inside = np.zeros((48, 48), dtype=bool)
    inside[12:24, 24:36] = True
    assert values[inside].mean() > 6 * np.abs(values[~inside]).mean()
    assert inside.ravel()[values.argmax()]


def test_segments_cover_the_crop_without_gaps(
    crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    crop = crops_only.crops(face_crop)[0]
    regions = np.zeros((48, 48), dtype=np.int64)
    regions[:20] = 5
    case = Case(
        crops_only.model, crop.pixels, regions, np.eye(len(crops_only.model.labels))[3], "mean"
    )
    for kind, parts, least in (("grid", 5, 25), ("slic", 6, 12), ("regions", 2, 2)):
        found = segments(case, kind, parts)
        assert found.shape == (48, 48)
        assert set(np.unique(found)) == set(range(found.max() + 1))
        assert found.max() + 1 >= least
    with pytest.raises(InputError, match="has no patches"):
        segments(case, "patches", 6)
    with pytest.raises(InputError, match="parts across"):
        segments(case, "grid", 1)


@pytest.mark.parametrize(("contexts", "fixed"), [("owen", None), ("absent", 0), ("present", 1)])
@pytest.mark.parametrize("levels", [3, 4])
def test_dncshap_equals_shaps_partition_values_on_balanced_trees(
    contexts: str, fixed: int | None, levels: int
) -> None:
    """Random games over 2^levels players, against shap's own implementation."""
    n = 2**levels
    scores = np.random.default_rng(levels).normal(size=2**n)
    design = dncshap_design(levels, contexts)

    def game(shown: BoolArray) -> FloatArray:
        return np.asarray(scores[np.asarray(shown, bool) @ (1 << np.arange(n))])

    game.count = n  # type: ignore[attr-defined]  # what partition_values asks of a game
    found = partition_values(game, 10**6, fixed_context=fixed)
    np.testing.assert_allclose(design.solve(game(design.coalitions)), found, atol=1e-9)


def test_what_was_asked_is_never_dropped(
    crops_only: mien.Recognizer, face_crop: ImageArray
) -> None:
    query = explainers.Query("dncshap", target="sad", options={"levels": 3})
    e = crops_only.explain(face_crop, query)[0]
    assert (e.target, e.players) == ("sad", 8)
    for more in ({"target": "happy"}, {"method": "regions"}, {"options": {"levels": 4}}):
        with pytest.raises(InputError, match="got both"):
            crops_only.explain(face_crop, query, **more)
    for method in ("cam", ["cam"]):  # a list of one is that one
        with pytest.raises(InputError, match="takes no baseline"):
            crops_only.explain(face_crop, method=method, baseline="blur")
    one = crops_only.explain(face_crop, method=["dncshap"], options={"levels": 3}, target="sad")[0]
    np.testing.assert_array_equal(one.values, e.values)


def test_a_method_that_fails_is_named(
    crops_only: mien.Recognizer, face_crop: ImageArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))

    @explainers.method("broken")
    def broken(_: Case) -> explainers.Evidence:
        raise IndexError("list index out of range")

    with pytest.raises(
        ModelError, match=r"the method 'broken' failed on mien-int8 \(IndexError: list"
    ):
        crops_only.explain(face_crop, method="broken")
    found = crops_only.explain(face_crop, method=["broken", "cam"], on_error="collect")
    assert [e.method for e in found] == ["cam"]
    assert "broken" in str(found.errors[0].error)


def test_a_plugin_that_cannot_be_loaded_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = dedent(PLUGIN) + "\nraise RuntimeError('half way')\n"
    plug(tmp_path, monkeypatch, METHODS, half)
    with pytest.warns(UserWarning, match="half way"):
        assert "quadrants" not in METHODS.names()
