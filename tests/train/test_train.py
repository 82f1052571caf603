"""Training of recipes on drawn faces; skipped where torch and lightning are not installed."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.emotions import SEVEN
from mien.runs.recipe import About, Data, Network, Recipe, Training
from mien.types import InputError, MienError, ModelError, UnknownNameError
from tests.conftest import ROOT

torch = pytest.importorskip("torch", reason="torch is not installed: make test does without it")
pytest.importorskip("lightning", reason="lightning is not installed")

from mien.data import synthetic  # noqa: E402 - after the checks
from mien.models.torch import create  # noqa: E402
from mien.models.torch.registry import shrunk  # noqa: E402
from mien.runs.compare import comparison  # noqa: E402
from mien.runs.losses import LOSSES, soften  # noqa: E402
from mien.runs.read import read_history, read_run, read_scores  # noqa: E402
from mien.train import pixels, report  # noqa: E402
from mien.train.descend import accelerator, known_strategy  # noqa: E402
from mien.train.fit import Run, Where, fit  # noqa: E402
from mien.train.folds import folds_of  # noqa: E402
from mien.train.loader import EpochSampler, Rows, select  # noqa: E402
from mien.train.module import Fit, freeze, optimizer_of, rate  # noqa: E402
from mien.train.pixels import read_pixels  # noqa: E402

# Lightning advises on loaders, folders and its own deprecations; none is about our code
pytestmark = pytest.mark.filterwarnings("ignore")

CPU = Where(accelerator="cpu")
RECIPE = Recipe(
    About("drawn faces", "none", expected=0.9),
    Data(("synthetic",), labels=SEVEN, protocol="official"),
    Network("compact", options={"stem": 8, "widths": [8, 16, 16], "blocks": [0, 0, 0]}),
    Training(epochs=2, batch_size=16, optimizer="sgd", learning_rate=0.05, seed=3),
)


@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_falls_with_the_right_answer_and_has_gradients(name: str) -> None:
    loss, how = LOSSES.get(name), Training(loss=name)
    targets = torch.eye(3)[[0, 1]]
    good = torch.tensor([[4.0, 0, 0], [0, 4.0, 0]], requires_grad=True)
    value = loss(good, targets, torch.ones(3), how)
    (gradient,) = torch.autograd.grad(value, good)
    assert torch.isfinite(gradient).all()
    assert 0 <= float(value) < float(loss(torch.zeros(2, 3), targets, torch.ones(3), how))


def test_cross_entropy_is_torchs_and_focal_without_gamma_is_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(8, 4, generator=generator), torch.arange(8) % 4
    weights = torch.tensor([1.0, 2, 0.5, 1])
    targets = torch.eye(4)[labels]
    ours = LOSSES.get("cross-entropy")(logits, targets, weights, Training())
    torch.testing.assert_close(ours, torch.nn.functional.cross_entropy(logits, labels, weights))
    plain = LOSSES.get("focal")(logits, targets, weights, Training(focal_gamma=0.0))
    torch.testing.assert_close(plain, ours)
    smooth = LOSSES.get("cross-entropy")(logits, soften(targets, 0.1), torch.ones(4), Training())
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    torch.testing.assert_close(smooth, expected)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear", "step", "plateau"])
def test_the_rate_warms_up_to_one_and_never_leaves_its_range(schedule: str) -> None:
    how = Training(epochs=10, schedule=schedule, warmup_epochs=2, warmup_multiplier=10)
    rates = [rate(step, 50, how) for step in range(500)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[100] == pytest.approx(1.0)
    assert all(0 <= r <= 1 for r in rates)
    assert rates[:100] == sorted(rates[:100])
    assert rates[100:] == sorted(rates[100:], reverse=True)


@pytest.mark.parametrize(("strategy", "blocks"), [("full", 0), ("head", 0), ("partial", 2)])
def test_a_strategy_trains_what_it_says(strategy: str, blocks: int) -> None:
    net, spec = create("compact", classes=7)
    freeze(net, replace(RECIPE.training, strategy=strategy, blocks=blocks), spec)
    learning = {n for n, p in net.named_parameters() if p.requires_grad}
    whole = {n for n, _ in net.named_parameters()}
    assert any(n.startswith("head") for n in learning)
    assert (learning == whole) is (strategy == "full")
    if strategy == "partial":
        assert all(n.startswith(("head", *spec.stages[-2:])) for n in learning)
        with pytest.raises(InputError, match="at least 99"):
            freeze(net, replace(RECIPE.training, strategy="partial", blocks=99), spec)


def learning(name: str, **how: Any) -> set[str]:
    """Names of the parameters of a small model that a strategy trains."""
    net, spec = create(name, classes=7, **shrunk(name))
    freeze(net, replace(RECIPE.training, **how), spec)
    return {n for n, p in net.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("strategy", ["full", "head"])
def test_what_is_frozen_keeps_its_statistics(strategy: str) -> None:
    net, spec = create("resnet18", classes=7, **shrunk("resnet18"))
    how = RECIPE.training
    freeze(net, replace(how, strategy=strategy), spec)
    module = Fit(net, RECIPE, spec.preprocess, torch.ones(7)).train()
    before = {n: b.clone() for n, b in net.named_buffers()}
    module(torch.rand(4, 3, 64, 64) * 255)
    moved = {n for n, b in net.named_buffers() if not torch.equal(b, before[n])}
    assert bool(moved) is (strategy == "full")
    assert net.get_submodule("fc").training


def test_partial_trains_what_follows_the_last_blocks() -> None:
    vit = learning("vit-b16", strategy="partial", blocks=1)
    assert {"norm.weight", "norm.bias", "head.weight"} <= vit
    assert "blocks.1.norm1.weight" in vit
    assert not any(n.startswith(("blocks.0", "patch_embed", "cls_token", "pos")) for n in vit)
    assert learning("vit-b16", strategy="head") == {"head.weight", "head.bias"}
    residual = learning("resnet18", strategy="partial", blocks=1)
    assert all(n.startswith(("layer4", "fc")) for n in residual)


@pytest.mark.parametrize("name", ["gimefive-15", "gimefive-25", "gimefive-vgg"])
def test_head_trains_the_whole_classifier_of_gimefive(name: str) -> None:
    found = learning(name, strategy="head")
    assert all(n.startswith("head.") for n in found)
    assert {n for n in found if n.endswith("weight")} == {f"head.{i}.weight" for i in (0, 3, 6)}


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_every_optimiser_is_built(name: str) -> None:
    net = torch.nn.Linear(2, 2)
    optimizer = optimizer_of(net, replace(RECIPE.training, optimizer=name, weight_decay=0.01))
    assert type(optimizer).__name__.lower() == name
    assert optimizer.param_groups[0]["weight_decay"] == 0.01


def test_the_order_of_an_epoch_follows_from_seed_and_number() -> None:
    sampler = EpochSampler(50, seed=1)
    first = list(sampler)
    assert first == list(sampler)
    assert sorted(first) == list(range(50))
    sampler.set_epoch(1)
    assert list(sampler) != first


def rows_of(sides: list[Any], subjects: list[str | None]) -> Rows:
    n = len(sides)
    return Rows(
        Path("x"), np.arange(n), np.arange(n) % 2, sides, subjects, [None] * n, [""] * n, "", "test"
    )


def test_validation_is_held_out_of_training_by_subject_and_never_of_test() -> None:
    subjects: list[str | None] = [f"s{i // 4}" for i in range(100)]
    sides = ["train"] * 80 + ["test"] * 20
    (fold,) = folds_of(rows_of(sides, subjects), 0)
    assert set(fold.test) == set(range(80, 100))
    assert len(fold.val) > 0
    assert not set(fold.train) & set(fold.val)
    assert not {subjects[i] for i in fold.train} & {subjects[i] for i in fold.val}
    folds = folds_of(rows_of([i // 4 % 5 for i in range(100)], subjects), 0)
    assert len(folds) == 5
    assert sorted(np.concatenate([p.test for p in folds])) == list(range(100))
    for fold in folds:
        whole = np.concatenate([fold.train, fold.val, fold.test])
        assert sorted(whole) == list(range(100))
    with pytest.raises(InputError, match="training and test images"):
        folds_of(rows_of(["train"] * 10, [None] * 10), 0)


def test_rows_and_pixels_are_those_of_the_file(drawn: Path) -> None:
    rows = select(RECIPE, drawn)
    assert len(rows.number) == 280
    assert {"train", "val", "test"} == set(rows.side)
    _, spec = create("compact", classes=7)
    twice = read_pixels(drawn, np.array([5, 3, 5]), spec.preprocess)
    assert twice.shape == (3, 1, 48, 48)
    assert torch.equal(twice[0], twice[2])
    assert not torch.equal(twice[0], twice[1])
    with pytest.raises(InputError, match="expected images of fer2013, got synthetic"):
        select(RECIPE.change(data={"sets": ["fer2013"]}), drawn)


@pytest.mark.parametrize("workers", [0, 1])
def test_images_decoded_on_the_fly_are_those_in_memory(
    drawn: Path, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, spec = create("compact", classes=7)
    rows = np.array([5, 3, 5, 200])
    monkeypatch.setattr(pixels, "DECODED_BYTES", 0)
    monkeypatch.setattr(pixels.Encoded, "workers", workers)
    images = pixels.Images(
        pixels.pixels_of(drawn, rows, spec.preprocess, tmp_path / "copy"), np.eye(4)
    )
    assert isinstance(images.pixels, pixels.Encoded)
    assert (tmp_path / "copy").stat().st_size > 0
    torch.testing.assert_close(
        torch.cat(list(images.batches(3))), read_pixels(drawn, rows, spec.preprocess)
    )


def test_the_owners_split_in_two_parts_tests_their_validation_images_too(drawn: Path) -> None:
    official = select(RECIPE, drawn)
    rows = select(RECIPE.change(data={"protocol": "paper", "scheme": "train-test"}), drawn)
    (fold,) = folds_of(rows, 0)
    assert rows.scheme == "train-test"
    owners = {
        s: {int(n) for n, side in zip(official.number, official.side, strict=True) if side == s}
        for s in ("train", "val", "test")
    }
    assert set(rows.number[fold.test].tolist()) == owners["val"] | owners["test"]
    assert set(rows.number[fold.val].tolist()) < owners["train"]
    assert len(fold.val) > 0


def trained(recipe: Recipe, data: Path, folder: Path, **how: Any) -> Run:
    """A run with its report, as the command leaves it."""
    run = fit(recipe, data, folder, where=how.get("where", CPU))
    report.write(run, examples=how.get("examples", False))
    return run


@pytest.fixture(scope="module")
def finished(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(RECIPE, drawn, tmp_path_factory.mktemp("run")).folder


def test_a_run_leaves_all_that_is_needed_to_repeat_it(finished: Path, drawn: Path) -> None:
    assert {p.name for p in finished.iterdir()} == {
        "recipe.toml",
        "history.csv",
        "weights.safetensors",
        "scores.csv",
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


def test_the_same_seed_gives_the_same_run_and_a_killed_one_goes_on_to_it(
    finished: Path, drawn: Path, tmp_path: Path
) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from mien.runs.recipe import read_recipe\n"
        "from mien.train import descend as d, fit as f\n"
        "class Kill(d.History):\n"
        "    def on_train_epoch_start(self, trainer, module):\n"
        "        if trainer.current_epoch == 1: os.kill(os.getpid(), 9)\n"
        "        super().on_train_epoch_start(trainer, module)\n"
        "d.History = Kill\n"
        "f.fit(read_recipe(sys.argv[1]), sys.argv[2], sys.argv[3],"
        " where=f.Where(accelerator='cpu'))\n"
    )
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.to_toml(), encoding="utf-8")
    killed = subprocess.run(
        [sys.executable, "-c", code, str(recipe), str(drawn), str(tmp_path / "run")],
        cwd=ROOT,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    assert not (tmp_path / "run" / "report.json").exists()
    run = trained(RECIPE, drawn, tmp_path / "run")
    np.testing.assert_array_equal(read_scores(run.folder).answer, read_scores(finished).answer)
    first, second = (read_history(f / "history.csv") for f in (finished, run.folder))
    assert [r["epoch"] for r in second] == ["1", "2"]
    assert float(second[1]["train_loss"]) == pytest.approx(float(first[1]["train_loss"]), abs=1e-5)
    from safetensors.torch import load_file

    states = [load_file(f / "weights.safetensors") for f in (finished, run.folder)]
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, msg=name)


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
    with pytest.raises(InputError, match="expected images of rafdb"):
        fit(faces, drawn, tmp_path / "run", where=CPU)
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


def test_folds_are_trained_one_after_another_and_tested_together(
    drawn: Path, tmp_path: Path
) -> None:
    recipe = RECIPE.change(data={"protocol": "paper", "folds": 2}, training={"epochs": 1})
    run = fit(recipe, drawn, tmp_path / "run", where=replace(CPU, steps=2))
    assert run.report.accuracy.images == 280
    assert run.facts["trainings"] == 2
    assert (run.folder / "fold-1" / "weights.safetensors").exists()


def test_the_svm_is_fitted_by_its_solver_and_learns(drawn: Path, tmp_path: Path) -> None:
    recipe = RECIPE.change(model={"name": "vgg19-svm", "options": {"size": 32, "group": 3}})
    run = fit(recipe, drawn, tmp_path / "run", where=CPU)
    assert not (run.folder / "history.csv").exists()
    assert (run.folder / "weights.safetensors").exists()
    assert run.report.accuracy.images == 42


def test_scores_are_told_apart_by_sex_where_the_data_know_it(tmp_path: Path) -> None:
    from mien.data.prepare import prepare
    from tests.data.examples import example

    tree = example("kdef", tmp_path / "kdef")
    prepare("kdef", tree.source, tmp_path / "kdef.parquet")
    recipe = RECIPE.change(data={"sets": ["kdef"], "protocol": "paper", "folds": 2})
    rows = select(recipe, tmp_path / "kdef.parquet")
    assert {g for g in rows.group if g} == {"F", "M"}


def command(*words: object) -> str:
    """The output of a ``mien`` command, run in this process."""
    from typer.testing import CliRunner

    from mien.commands.main import app

    done = CliRunner().invoke(app, [str(word) for word in words], terminal_width=300)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def refused(*words: object) -> str:
    """What a ``mien`` command says that refuses its arguments."""
    from typer.testing import CliRunner

    from mien.commands.main import app

    done = CliRunner().invoke(app, [str(word) for word in words])
    assert isinstance(done.exception, MienError), done.output
    return str(done.exception)


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
