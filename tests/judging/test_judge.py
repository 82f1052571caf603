"""mien judge on drawn faces: tables, determinism, what is left alone, what is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from typer.testing import CliRunner

import mien
from mien.commands.main import app
from mien.judging import judge as j
from mien.judging import report
from mien.judging.randomised import randomised
from mien.judging.rows import rows_for
from mien.judging.sampling import Sampled, sample_faces
from mien.models.onnx import Model
from mien.models.weights import locate
from mien.types import InputError, ModelError, UnknownNameError

ROWS = ["regions", "cam", "dncshap:levels=4", "dncshap, printed"]


@pytest.fixture(scope="module")
def faces(drawn: Path, crops_only: mien.Recognizer) -> list[Sampled]:
    return sample_faces(drawn, crops_only, n=2, split="train")


@pytest.fixture(scope="module")
def verdict(faces: list[Sampled], crops_only: mien.Recognizer) -> j.Verdict:
    return j.judge(crops_only, faces, methods=ROWS, shaken=1)


def test_a_sample_has_as_many_of_each_expression_and_follows_its_seed(
    drawn: Path, crops_only: mien.Recognizer
) -> None:
    def names(seed: int) -> list[str]:
        return [f.name for f in sample_faces(drawn, crops_only, n=7, seed=seed, split="train")]

    found = sample_faces(drawn, crops_only, n=7, split="train")
    assert sorted(f.truth for f in found) == sorted(crops_only.labels)
    assert all(f.mask is not None for f in found)
    assert names(0) == names(0) != names(1)
    happy = sample_faces(drawn, crops_only, n=3, split="train", labels=["happy"])
    assert {f.truth for f in happy} == {"happy"}
    with pytest.raises(InputError, match="its splits are"):
        sample_faces(drawn, crops_only, split="exam")
    with pytest.raises(InputError, match="faces of bored, which the model does not know"):
        sample_faces(drawn, crops_only, labels=["bored"])
    with pytest.raises(InputError, match="1 face or more"):
        sample_faces(drawn, crops_only, n=0)


def test_every_row_is_measured_on_every_face(verdict: j.Verdict) -> None:
    assert list(verdict.rows) == [
        "regions",
        "dncshap, printed",
        "dncshap:levels=4",
        "cam",
    ]
    for name, row in verdict.table.items():
        assert row["gap"].faces == row["pointing"].faces == 2
        assert row["sensitivity"].faces == row["randomised"].faces == 1
        assert row["seconds"].value > 0
        assert 0 <= row["insertion, black"].value <= 1, name
        assert row["gap"].low <= row["gap"].value <= row["gap"].high
    assert verdict.table["regions"]["exact Shapley"].value == pytest.approx(1)
    assert verdict.table["regions"]["efficiency gap"].value <= 1e-5
    assert "efficiency gap" not in verdict.table["dncshap, printed"]
    assert verdict.table["dncshap:levels=4"]["passes"].value == 60


def test_weights_are_shuffled_anew_for_each_face(
    faces: list[Sampled], crops_only: mien.Recognizer
) -> None:
    """One shuffled network may prefer the mouth of every face; the mean over shuffles does not."""
    same = j.judge(crops_only, [faces[0], faces[0]], methods=["cam"], shaken=2)
    found = same.table["cam"]["randomised"]
    assert found.faces == 2
    assert found.low < found.high


def test_the_same_seed_gives_the_same_numbers(
    faces: list[Sampled], crops_only: mien.Recognizer
) -> None:
    found = [
        j.judge(crops_only, faces[:1], methods=["cam", "dncshap:levels=2"], shaken=1)
        for _ in range(2)
    ]
    one, other = (json.loads(json.dumps(j.to_dict(v))) for v in found)
    for record in (one, other):
        for table in (record["all"], *record["per expression"].values()):
            for row in table.values():
                row.pop("seconds")
    assert one == other


def test_shap_overlaps_itself_wholly(faces: list[Sampled], crops_only: mien.Recognizer) -> None:
    found = j.judge(crops_only, faces[:1], methods=["shap:levels=2", "cam"], shaken=0)
    assert found.table["shap:levels=2"]["dice 10%"].value == 1
    assert 0 <= found.table["cam"]["dice 10%"].value < 1
    assert "randomised" not in found.table["cam"]


def test_shuffled_weights_answer_otherwise_and_the_model_is_left_alone(
    faces: list[Sampled], crops_only: mien.Recognizer
) -> None:
    model = crops_only.model
    pixels = np.stack([face.crop.pixels for face in faces])
    before = model.logits(pixels)
    shuffled = randomised(model)
    assert not np.allclose(shuffled.logits(pixels), before, atol=0.1)
    np.testing.assert_array_equal(model.logits(pixels), before)
    np.testing.assert_array_equal(randomised(model).logits(pixels), shuffled.logits(pixels))


def test_the_net_of_a_torch_model_is_left_alone_and_every_precision_is_shuffled() -> None:
    import torch

    from mien.models.torch import create
    from mien.models.torch.model import TorchModel
    from mien.models.torch.registry import shrunk

    net, spec = create("gimefive-13", classes=6, **shrunk("gimefive-13"))
    six = ("happy", "surprise", "sad", "angry", "disgust", "fear")
    model = TorchModel(net, spec, six)
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 1, 64, 64)).astype(np.float32)
    before = model.logits(pixels)
    assert not np.allclose(randomised(model).logits(pixels), before)
    half = TorchModel(copy.deepcopy(net).bfloat16(), spec, six)
    assert not np.allclose(randomised(half).logits(pixels), half.logits(pixels), atol=0.01)
    bare = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.AdaptiveAvgPool1d(6))
    with pytest.raises(ModelError, match="expected weights that can be shuffled"):
        randomised(TorchModel(bare, spec, six))
    np.testing.assert_array_equal(model.logits(pixels), before)


def test_the_report_is_whole_and_says_what_its_columns_mean(
    verdict: j.Verdict, tmp_path: Path
) -> None:
    written = report.write(verdict, tmp_path)
    assert [p.name for p in written] == ["judge.json", "judge.md", "judge.html", "judge.png"]
    text = (tmp_path / "judge.md").read_text(encoding="utf-8")
    for title in report.columns(verdict):
        assert f"| {title} " in text
        assert title in report.MEANING
    page = (tmp_path / "judge.html").read_text(encoding="utf-8")
    assert "http" not in page.replace("http-equiv", "")  # nothing is asked of another host
    assert all(row in page for row in verdict.rows)
    record = json.loads((tmp_path / "judge.json").read_text(encoding="utf-8"))
    assert record["faces"] == 2
    assert set(record["all"]) == set(verdict.rows)


def test_wrong_calls_are_refused(crops_only: mien.Recognizer) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'dncshap'"):
        rows_for(crops_only.model, ["dncshp"])
    with pytest.raises(InputError, match="gradcam"):
        rows_for(crops_only.model, ["gradcam"])
    with pytest.raises(InputError, match="each method once"):
        rows_for(crops_only.model, ["cam", "cam"])
    with pytest.raises(InputError, match="at least one face"):
        j.judge(crops_only, [])


def test_all_methods_and_the_printed_variant_are_rows(crops_only: mien.Recognizer) -> None:
    names = list(rows_for(crops_only.model))
    assert "dncshap, printed" in names
    assert set(names) >= set(mien.explainers.supported(Model(locate("mien")))) - {"activations"}


def test_the_command_judges_and_refuses_in_one_line(
    run: Callable[..., CompletedProcess[str]], drawn: Path, tmp_path: Path
) -> None:
    done = run("judge", "mien", str(drawn.with_name("none.parquet")), cwd=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    words = ["judge", "mien", str(drawn), "-n", "1", "--split", "train", "-m", "cma"]
    failed = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "out")])
    assert isinstance(failed.exception, UnknownNameError)
    assert "did you mean 'cam'" in str(failed.exception)


def test_a_headline_names_no_leader_where_the_table_shows_none(verdict: j.Verdict) -> None:
    def headline(gap: float, infidelity: float, names: Sequence[str]) -> str:
        table = {
            name: {
                key: j.Estimate(value * (1 + 1e-5 * i), 0, 1, 3)
                for key, value in (("gap", gap), ("infidelity", infidelity))
            }
            for i, name in enumerate(names)
        }
        rows = dict(list(verdict.rows.items())[: len(names)])
        return report.headline(replace(verdict, table=table, rows=rows))

    alike = headline(0.2, 0.3, ["regions", "cam"])
    assert "no method orders the pixels" in alike
    assert "none predicts better" in alike
    assert headline(0.2, 0.3, ["cam"]) == "1 method on 2 faces."
