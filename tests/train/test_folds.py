"""Folds as one model, and pictures cut by one policy from the data to the photo."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mien
from mien.data import crop as cropping
from mien.data import synthetic
from mien.data.prepare import prepare
from mien.emotions import EIGHT, SEVEN
from mien.types import InputError

torch = pytest.importorskip("torch", reason="torch is not installed: make test does without it")

from mien.judging.atlas import atlas  # noqa: E402 - after the check
from mien.judging.evaluation import measure  # noqa: E402
from mien.judging.judge import judge  # noqa: E402
from mien.judging.own import sample  # noqa: E402
from mien.runs.cutting import cutter, framing  # noqa: E402
from mien.runs.read import read_history, read_run  # noqa: E402
from mien.runs.sides import read_sides  # noqa: E402
from tests.train.small import CPU, RECIPE, command, trained  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

FOLDS = RECIPE.change(
    data={"sets": ["folder"], "protocol": "paper", "folds": 2, "validation": "last"},
    training={"epochs": 1},
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn faces in wide pictures, four of each expression, as their owner's folder."""
    import cv2

    folder = tmp_path_factory.mktemp("owner")
    rng = np.random.default_rng(0)
    for number in range(28):
        label = SEVEN[number % 7]
        face = synthetic.face(label, subject=number, number=number, size=112).image
        wide = np.pad(face, ((20, 8), (60, 40), (0, 0)), mode="edge")
        wide[:, :30] = rng.integers(
            0, 256, (140, 30, 3)
        )  # what squashing, padding, cutting differ in
        (folder / label).mkdir(exist_ok=True)
        cv2.imwrite(str(folder / label / f"{number:02d}.png"), wide[:, :, ::-1])
    return folder


@pytest.fixture(scope="module")
def prepared(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prepared") / "whole.parquet"
    prepare("folder", pictures, path)
    return path


POLICIES = {
    "none": {},
    "padded": {"crop": "none", "fit": "pad", "size": 96},
    "box": {"crop": "box", "size": 80, "detector": "blazeface"},
    "aligned": {"crop": "aligned", "size": 100, "detector": "blazeface"},
}


def cut(policy: str, prepared: Path, folder: Path) -> Path:
    how = POLICIES[policy]
    if not how:
        return prepared
    path = folder / f"{policy}.parquet"
    meant = framing(**how)  # type: ignore[arg-type]  # as the table above has them
    assert cropping.crop(prepared, path, meant, cutter(meant)).missing == ()
    return path


@pytest.mark.parametrize("policy", POLICIES)
def test_a_run_answers_its_owners_pictures_as_it_was_tested(
    policy: str, pictures: Path, prepared: Path, tmp_path: Path
) -> None:
    data = cut(policy, prepared, tmp_path)
    run = trained(FOLDS, data, tmp_path / "run")
    sides = read_sides(run.folder)
    assert sides is not None
    with (run.folder / "scores.csv").open(newline="") as file:
        scores = list(csv.DictReader(file))
    assert len(scores) == 28
    models: dict[str, Path] = {name: run.folder / name for name in ("fold-0", "fold-1")}
    if policy == "aligned":  # an exported file does the same
        models["fold-1"] = tmp_path / "one.onnx"
        command("export", run.folder / "fold-1", "-o", models["fold-1"])
    of = {row.name: row.side for row in sides.rows}
    for fold, model in models.items():
        recognizer = mien.load(model)
        mine = [row for row in scores if of[row["filepath"]] == fold]
        assert mine
        rows = recognizer.predict([pictures / row["filepath"] for row in mine])
        assert len(rows) == len(mine)
        for row, score in zip(rows, mine, strict=True):
            found = [row.emotions[label] for label in SEVEN]
            expected = [float(score[label]) for label in SEVEN]
            np.testing.assert_allclose(found, expected, atol=2e-5)
    if policy == "aligned":  # whole pictures are not what it learnt from
        known = sample(run.folder, prepared, n=1).known
        assert "BEWARE: the file holds whole pictures" in known
        assert "BEWARE: the file holds whole" in sample(models["fold-1"], prepared, n=1).known
        assert "BEWARE" not in sample(run.folder, prepared, n=1, detector="blazeface").known
        assert "BEWARE" not in sample(run.folder, data, n=1).known
    facts = read_run(run.folder)["facts"]
    assert facts["framing"]["crop"] == ("none" if policy == "padded" else policy)


def test_a_run_of_folds_is_their_mean_and_is_judged_by_the_fold_that_did_not_train(
    prepared: Path, tmp_path: Path
) -> None:
    run = trained(FOLDS, prepared, tmp_path / "run", examples=True)
    text = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "all 28 test images" in text
    assert text.count('class="card"') >= 7
    mean, *folds = (mien.load(run.folder / n) for n in ("", "fold-0", "fold-1"))
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 1, 48, 48)).astype(np.float32)
    parts = [m.model.logits(pixels) / m.model.head.temperature for m in folds]
    np.testing.assert_allclose(mean.model.logits(pixels), np.mean(parts, axis=0), atol=1e-5)

    found = sample(run.folder, prepared, n=7)
    assert "did not train on it" in found.known
    with (run.folder / "scores.csv").open(newline="") as file:
        scores = {row["filepath"]: row for row in csv.DictReader(file)}
    for face in found.faces:
        own = [float(scores[face.name][label]) for label in SEVEN]
        np.testing.assert_allclose(list(face.prediction.emotions.values()), own, atol=2e-5)
    (measured,) = measure([str(run.folder)], [prepared])  # as the run itself was tested
    assert measured.report.accuracy.value == run.report.accuracy.value
    assert measured.report.confusion == run.report.confusion
    verdict = judge(found.recognizer, found.faces, methods=["gradcam"], shaken=1)
    assert verdict.faces == 7
    answers = {face.prediction.dominant_emotion == face.truth for face in found.faces}
    if True in answers:
        assert sum(right for _, right in atlas(found.recognizer, found.faces).counts.values())
    with pytest.raises(InputError, match="expected the split 'test'"):
        sample(run.folder, prepared, split="train")
    # a fold's own folder is judged on what it tested, and not on the rest
    alone = sample(run.folder / "fold-0", prepared, n=99)
    assert len(alone.faces) == len(run.folds[0].test)


def test_a_run_is_judged_on_its_own_test_images_and_no_copies_of_its_training_images(
    drawn: Path, tmp_path: Path
) -> None:
    where = replace(CPU, curves=True)
    run = trained(RECIPE.change(training={"epochs": 1}), drawn, tmp_path / "run", where=where)
    (epoch,) = read_history(run.folder / "history.csv")
    assert float(epoch["test_accuracy"]) == pytest.approx(run.report.accuracy.value)
    assert float(epoch["train_accuracy"]) == pytest.approx(run.facts["train_accuracy"])
    found = sample(run.folder, drawn, n=99)
    assert len(found.faces) == len(run.folds[0].test)
    other = tmp_path / "other.parquet"  # the same pictures without their names
    rows = pq.read_table(drawn).to_pylist()
    labels = [EIGHT[row["label"]] for row in rows]
    content = {"image": [row["image"]["bytes"] for row in rows], "label": labels}
    pq.write_table(pa.table(content), other)
    with pytest.raises(InputError, match="no images of the run"):
        sample(run.folder, other)
    assert "not known" in sample("mien", drawn, n=1).known
