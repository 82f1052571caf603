"""Runs of recipes on drawn faces: trained, taken up, tested, compared, exported."""

from __future__ import annotations

import gc
import json
import math
import shutil
import subprocess
import sys
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.data import synthetic
from mien.emotions import SEVEN
from mien.types import InputError, MienError, ModelError, UnknownNameError
from tests.conftest import ROOT

torch = pytest.importorskip("torch", reason="torch is not installed: make test does without it")

from mien.models.torch import create, shrunk  # noqa: E402 - after the check
from mien.runs.compare import comparison  # noqa: E402
from mien.runs.read import read_history, read_run, read_scores  # noqa: E402
from mien.train import descend, pixels  # noqa: E402
from mien.train.descend import accelerator, known_strategy  # noqa: E402
from mien.train.fit import fit  # noqa: E402
from mien.train.loader import select  # noqa: E402
from mien.train.pixels import read_pixels  # noqa: E402
from tests.train.small import CPU, RECIPE, command, refused, trained  # noqa: E402

# Lightning advises on loaders, folders and its own deprecations; none is about our code
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def finished(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(RECIPE, drawn, tmp_path_factory.mktemp("run")).folder


def test_a_run_leaves_all_that_is_needed_to_repeat_it(finished: Path, drawn: Path) -> None:
    assert {p.name for p in finished.iterdir()} == {
        "recipe.toml",
        "history.csv",
        "weights.safetensors",
        "scores.csv",
        "split.csv",
        "trained.json",
        "report.json",
        "report.md",
        "report.html",
    }
    facts = read_run(finished)["facts"]
    assert facts["recipe_hash"] == RECIPE.hash
    assert facts["split_fingerprint"] == select(RECIPE, drawn).fingerprint
    assert facts["images"] == {"train": 196, "val": 42, "test": 42}
    assert (facts["sets"], facts["starting_weights"]) == ("synthetic", "random")
    assert {"torch", "lightning", "mien"} <= set(facts["versions"])
    history = read_history(finished / "history.csv")
    assert [row["epoch"] for row in history] == ["1", "2"]
    assert all(math.isfinite(float(row["train_loss"])) for row in history)
    scores = read_scores(finished)
    assert len(scores.truth) == 42
    accuracy = read_run(finished)["test"]["accuracy"]["value"]
    assert accuracy == pytest.approx(float((scores.truth == scores.answer).mean()))
    best = max(float(row["val_accuracy"]) for row in history)
    assert facts["val_accuracy"] == pytest.approx(best, abs=1e-5)
    assert 0 < facts["training_seconds"] <= facts["seconds"]
    assert facts["parameters"] == 4319


def test_a_finished_run_is_not_trained_again(
    finished: Path, drawn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_run(finished)
    monkeypatch.setattr("mien.train.training.descend", None)
    again = fit(RECIPE, drawn, finished, where=CPU)
    assert again.report.to_dict()["accuracy"]["value"] == before["test"]["accuracy"]["value"]
    assert again.facts["train_accuracy"] == before["facts"]["train_accuracy"]


def test_the_accuracy_on_training_images_is_that_of_the_kept_weights(
    finished: Path, drawn: Path
) -> None:
    rows = select(RECIPE, drawn)
    train = np.flatnonzero([side == "train" for side in rows.side])
    answer = answers_of(finished, drawn, rows.number[train])
    accuracy = float((answer == rows.label[train]).mean())
    assert read_run(finished)["facts"]["train_accuracy"] == pytest.approx(accuracy)


def test_more_images_than_fit_into_memory_train_to_the_same_run(
    finished: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "DECODED_BYTES", 0)
    monkeypatch.setattr(pixels.Encoded, "workers", 0)
    run = trained(RECIPE, drawn, tmp_path / "run")
    np.testing.assert_array_equal(read_scores(run.folder).answer, read_scores(finished).answer)
    assert not list(run.folder.glob("*.images"))


def answers_of(run: Path, data: Path, numbers: np.ndarray) -> np.ndarray:
    """What a run's weights answer for rows of a file, computed here and not by the run."""
    from safetensors.torch import load_file

    net, spec = create("compact", classes=7, **RECIPE.model.options)
    net.load_state_dict(load_file(run / "weights.safetensors"))
    values = read_pixels(data, numbers, spec.preprocess).float()
    with torch.no_grad():
        return np.asarray(net.eval()((values / 255 - 0.5) / 0.25).argmax(dim=1).numpy())


def test_the_weights_give_the_scores_again(finished: Path, drawn: Path) -> None:
    rows = select(RECIPE, drawn)
    test = np.flatnonzero([side == "test" for side in rows.side])
    answer = answers_of(finished, drawn, rows.number[test])
    np.testing.assert_array_equal(answer, read_scores(finished).answer)


def test_a_folder_of_another_recipe_is_refused(finished: Path, drawn: Path) -> None:
    with pytest.raises(InputError, match="another recipe"):
        fit(RECIPE.change(training={"seed": 4}), drawn, finished, where=CPU)


def test_a_folder_of_a_run_on_other_images_is_refused(finished: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    synthetic.write(other, 70, people=10, size=48, seed=9)
    with pytest.raises(InputError, match="a run on other images"):
        fit(RECIPE, other, finished, where=CPU)


def test_a_call_that_fails_at_once_claims_no_folder(drawn: Path, tmp_path: Path) -> None:
    faces = RECIPE.change(data={"sets": ["rafdb"]})
    begun: list[str] = []
    where = replace(CPU, on_begin=partial(begun.append, "begun"))
    with pytest.raises(InputError, match="expected images of rafdb"):
        fit(faces, drawn, tmp_path / "run", where=where)
    assert not begun  # nothing is announced that is then refused
    assert not (tmp_path / "run").exists()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="expected a folder to write into, got a file"):
        fit(RECIPE, drawn, tmp_path / "file", where=CPU)


def test_a_device_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert accelerator("cpu") == "cpu"
    with pytest.raises(InputError, match="device 'cuda': this machine"):
        accelerator("cuda")
    with pytest.raises(UnknownNameError, match="unknown strategy 'dpp'; did you mean 'ddp'"):
        known_strategy("dpp")
    with pytest.raises(UnknownNameError, match="unknown device 'cpux'; did you mean 'cpu'"):
        accelerator("cpux")


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "adamw", "schedule": "plateau", "warmup_epochs": 1.0, "patience": 2},
        {"schedule": "cosine", "ema": 0.9, "mixup": 0.2, "label_smoothing": 0.1, "clip": 1.0},
        {"loss": "focal", "class_weights": "balanced", "strategy": "head", "precision": "bf16"},
    ],
)
def test_every_kind_of_training_runs(drawn: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    recipe = RECIPE.change(
        training={**changes, "epochs": 1}, data={"augmentation": "strong", "over": 2.0}
    )
    where = replace(CPU, steps=3)
    run = fit(recipe, drawn, tmp_path / "run", where=where)
    assert 0 <= run.report.accuracy.value <= 1


def test_two_processes_give_the_result_of_one(drawn: Path, tmp_path: Path) -> None:
    """Data-parallel training over gloo; the network has no batch normalisation to differ in."""
    recipe = RECIPE.change(
        model={
            "name": "gimefive-10",
            "options": {
                "channels": [8, 8, 8, 16, 16],
                "dropout": 0.0,
                "head_dropout": 0.0,
                "size": 32,
            },
        },
        training={"epochs": 2, "learning_rate": 0.02},
    )
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    alone = trained(recipe, drawn, tmp_path / "run1")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mien.commands.main",
            "train",
            str(path),
            "--data",
            str(drawn),
            "-o",
            str(tmp_path / "run2"),
            "--device",
            "cpu",
            "--devices",
            "2",
            "--strategy",
            "ddp",
            "--no-examples",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    one, two = (read_history(tmp_path / f"run{n}" / "history.csv") for n in (1, 2))
    assert [row["epoch"] for row in two] == ["1", "2"]
    for first, second in zip(one, two, strict=True):
        assert float(first["train_loss"]) == pytest.approx(float(second["train_loss"]), rel=0.005)
    both = read_scores(tmp_path / "run2")
    assert float((both.answer == read_scores(alone.folder).answer).mean()) > 0.9


def test_folds_are_trained_one_after_another_tested_together_and_leave_the_memory(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = RECIPE.change(data={"protocol": "paper", "folds": 2}, training={"epochs": 1})
    trainers: list[weakref.ref[Any]] = []
    plain = descend._trainer

    def watched(*args: Any) -> Any:
        trainers.append(weakref.ref(made := plain(*args)))
        return made

    monkeypatch.setattr(descend, "_trainer", watched)
    gc.disable()  # Python's own time for it may come after the last fold
    try:
        run = fit(recipe, drawn, tmp_path / "run", where=replace(CPU, steps=2))
    finally:
        gc.enable()
    assert [ref() for ref in trainers] == [None, None]
    assert run.report.accuracy.images == 280
    assert run.facts["trainings"] == 2
    assert (run.folder / "fold-1" / "weights.safetensors").exists()


def test_the_svm_is_fitted_by_its_solver_and_learns(drawn: Path, tmp_path: Path) -> None:
    recipe = RECIPE.change(
        model={"name": "vgg19-svm", "options": {"size": 32, "group": 3}},
        training={"strategy": "svm"},
        data={"under": 0.3},  # the solver sees some of the training images
    )
    begun: list[str] = []
    where = replace(CPU, on_begin=partial(begun.append, "begun"))
    run = fit(recipe, drawn, tmp_path / "run", where=where)
    assert begun == ["begun"]
    assert not (run.folder / "history.csv").exists()
    assert (run.folder / "weights.safetensors").exists()
    assert run.report.accuracy.images == 42
    facts = json.loads((run.folder / "trained.json").read_text("utf-8"))
    accuracy = facts.pop("train_accuracy")  # of all of them, also where a stopped run is taken up
    (run.folder / "trained.json").write_text(json.dumps(facts))
    again = fit(recipe, drawn, tmp_path / "run", where=CPU)
    assert again.facts["train_accuracy"] == accuracy
    two_layers = recipe.change(model={"name": "crossvit-b", "options": shrunk("crossvit-b")})
    with pytest.raises(InputError, match="expected one last linear layer"):
        fit(two_layers, drawn, tmp_path / "other", where=CPU)


def test_compare_puts_runs_side_by_side(finished: Path) -> None:
    header, (first, second) = comparison([finished, finished])
    report = json.loads((finished / "report.json").read_text())
    row = dict(zip(header, second, strict=True))
    assert row["McNemar"] == "p 1 (0 to 0)"
    assert row["parameters"] == "4,319"
    assert row["test (95 %)"].startswith(f"{report['test']['accuracy']['value']:.1%} (")
    assert row["train"] == f"{report['facts']['train_accuracy']:.1%}"
    assert row["val"] == f"{report['facts']['val_accuracy']:.1%}"
    assert row["printed"] == "90.0%"
    assert row["data"] == "synthetic, official: 42 test"
    assert first[-1] == ""
    for name in ("table.md", "table.csv"):
        command("compare", finished, finished, "-o", finished.parent / name)
        assert "4,319" in (finished.parent / name).read_text()
    assert "p 1 (0 to 0)" in command("compare", finished, finished)


def test_compare_pairs_images_by_name_for_folds_write_them_in_other_orders(
    finished: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(finished, other)
    head, *rows = (finished / "scores.csv").read_text().splitlines()
    (other / "scores.csv").write_text("\n".join([head, *reversed(rows)]) + "\n")
    assert comparison([finished, other])[1][1][-1] == "p 1 (0 to 0)"
    (other / "scores.csv").write_text("\n".join([head, *rows[1:]]) + "\n")
    assert comparison([finished, other])[1][1][-1] == "other images"


def test_a_run_is_exported_and_serves_like_the_built_in_model(
    finished: Path, drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mien
    from mien.data.table import ImageTable, image_bytes
    from mien.runs.export import export

    command("export", finished, "-o", path := tmp_path / "drawn.onnx")
    recognizer = mien.load(path, detector="none")
    assert recognizer.labels == SEVEN
    cells = next(iter(ImageTable(drawn).batches(["image"]))).column("image").to_pylist()[:20]
    images = [image_bytes(cell) for cell in cells]
    answer = answers_of(finished, drawn, np.arange(20)).tolist()
    assert [row.dominant_emotion for row in recognizer.predict(images)] == [
        SEVEN[i] for i in answer
    ]
    for method in ("regions", "cam"):
        assert recognizer.explain(images[0], method=method)[0].check() < 1e-4
    small = tmp_path / "small.onnx"
    command("export", finished, "-o", small, "--int8", "--data", drawn)
    assert mien.load(small, detector="none").predict(images[0])[0].error is None
    assert small.stat().st_size < path.stat().st_size
    assert "give --data" in refused("export", finished, "-o", small, "--int8")
    with pytest.raises(InputError, match=r"\.onnx"):
        export(finished, tmp_path / "drawn.bin")
    monkeypatch.setattr("mien.runs.export.TOLERANCE", -1.0)
    with pytest.raises(ModelError, match="expected torch's logits"):
        export(finished, tmp_path / "afold.onnx")
    assert not list(tmp_path.glob("apart*"))


def test_missing_weights_and_wrong_data_are_one_line(drawn: Path, tmp_path: Path) -> None:
    recipe = RECIPE.change(model={"name": "vit-b16", "options": {}, "pretrained": True})
    with pytest.raises(MienError):
        fit(recipe, drawn, tmp_path / "a", where=CPU, weights=tmp_path / "absent.safetensors")
    assert not (tmp_path / "a").exists()


def test_tensorboard_is_written_on_request(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    fit(RECIPE, drawn, tmp_path / "run", where=replace(CPU, tensorboard=True))
    files = list((tmp_path / "run" / "tensorboard").glob("events.out.*"))
    assert files
    written = b"".join(file.read_bytes() for file in files)
    for name in (b"train_loss", b"val_loss", b"val_accuracy", b"learning_rate"):
        assert name in written

    def absent(*_: Any, **__: Any) -> None:
        raise ModuleNotFoundError("tensorboard")

    monkeypatch.setattr("lightning.pytorch.loggers.TensorBoardLogger", absent)
    with pytest.raises(MienError, match="pip install tensorboard"):
        fit(RECIPE, drawn, tmp_path / "other", where=replace(CPU, tensorboard=True))
