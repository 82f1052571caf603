"""Networks in torch as models: the same answers as the network, and the network left alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: make test does without it")
pytest.importorskip("timm", reason="timm is not installed: make test does without it")

import mien  # noqa: E402 - after the check for torch
from mien.emotions import SEVEN  # noqa: E402
from mien.models.torch import create  # noqa: E402
from mien.models.torch.borrow import borrowed  # noqa: E402
from mien.models.torch.model import TorchModel  # noqa: E402
from mien.runs.model import load_run  # noqa: E402
from mien.runs.open import open_model  # noqa: E402
from mien.types import FloatArray, ImageArray, InputError  # noqa: E402
from tests.conftest import PORTRAIT  # noqa: E402
from tests.models.runs import tiny_model, write_run  # noqa: E402

Run = Callable[..., "CompletedProcess[str]"]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """The same sums in the same order."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    write_run(path)
    return path


def noise(model: TorchModel, n: int = 3) -> FloatArray:
    how = model.card.preprocess
    shape = (n, how.channels, how.size, how.size)
    return np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)


@pytest.mark.parametrize("name", ["gimefive-15", "resnet18", "vit-b16", "crossvit-b"])
def test_the_answers_are_the_networks(name: str) -> None:
    model = tiny_model(name)
    pixels = noise(model)
    with torch.no_grad():
        direct = model.net(torch.from_numpy(model.card.preprocess.normalise(pixels))).numpy()
    np.testing.assert_allclose(model.logits(pixels), direct, atol=1e-6)
    assert model.labels == SEVEN
    assert model.logits(pixels[:0]).size == 0


def test_a_trained_class_is_answered() -> None:
    net, spec = create("gimefive-15", classes=2, channels=(8,) * 5)
    model = TorchModel(net, spec, labels=("contempt", "sad"))
    assert mien.load(model, detector="none").labels == ("contempt", "sad")


def test_the_mean_of_the_class_map_plus_the_bias_is_the_logit() -> None:
    model = tiny_model("resnet18")
    output = model.run(noise(model), cam=True)
    assert output.cam is not None
    rebuilt = output.cam.mean(axis=(2, 3)) + np.array(model.head.bias)
    np.testing.assert_allclose(rebuilt, output.logits, atol=1e-5)
    with pytest.raises(InputError, match="no class activation"):
        tiny_model("gimefive-15").run(noise(tiny_model("gimefive-15")), cam=True)


def fail_on_the_way(net: Any) -> None:
    with borrowed(net) as lent:
        lent.watch("layer4", lambda _: 1 / 0)
        lent.set(net.fc, "in_features", 1)
        net(torch.zeros(1, 3, 64, 64))


def test_the_network_is_left_as_it_was_found_also_where_a_pass_fails() -> None:
    model = tiny_model("resnet18")
    net: Any = model.net
    net.train()
    net.layer1.eval()  # part of it frozen, as a user may have it
    modes = [m.training for m in net.modules()]
    hooks = sum(len(m._forward_hooks) for m in net.modules())
    state = {k: v.clone() for k, v in net.state_dict().items()}
    model.run(noise(model), cam=True)
    with pytest.raises(ZeroDivisionError):
        fail_on_the_way(net)
    assert net.fc.in_features == 16
    assert [m.training for m in net.modules()] == modes
    assert sum(len(m._forward_hooks) for m in net.modules()) == hooks
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


def test_what_is_watched_is_not_overwritten_by_a_relu_in_place() -> None:
    net = torch.nn.Sequential(torch.nn.Identity(), torch.nn.ReLU(inplace=True))
    kept: list[Any] = []
    with borrowed(net) as lent:
        lent.watch("0", kept.append)
        answer = net(torch.tensor([-1.0, 2.0]))
    assert answer.tolist() == [0, 2]
    assert kept[0].tolist() == [-1, 2]


def test_a_finished_run_opens_as_a_model(folder: Path, face_crop: ImageArray) -> None:
    model = load_run(folder, device="cpu")
    weights = (folder / "weights.safetensors").read_bytes()
    assert model.sha256 == hashlib.sha256(weights).hexdigest()
    assert model.card.name == "gimefive-15"
    assert model.head.temperature == 1.5
    assert model.spec.layers[0].grid == (4, 4)
    direct = write_run(folder).state_dict()
    assert all(torch.equal(v, direct[k]) for k, v in model.net.state_dict().items())
    recognizer = mien.load(folder, detector="none")
    assert recognizer.labels == SEVEN
    explanation = recognizer.explain(face_crop)[0]
    assert explanation.model == model.identity
    assert explanation.check() <= 1e-5


def test_a_network_of_ones_own_is_wrapped_and_its_spec_measured(face_crop: ImageArray) -> None:
    whole = tiny_model("resnet18")
    bare = replace(whole.spec, layers=tuple(replace(x, grid=(0, 0)) for x in whole.spec.layers))
    names = ("anger", "disgust", "fear", "happiness", "sad", "surprise", "neutral")
    model = TorchModel(whole.net, bare, names)
    assert model.spec == whole.spec
    assert model.labels == SEVEN
    assert model.sha256 == tiny_model("resnet18").sha256 != tiny_model("resnet18", seed=1).sha256
    recognizer = mien.load(model, detector="none")
    assert recognizer.model is model
    assert recognizer.predict(face_crop)[0].score is not None


def test_a_network_in_another_precision_is_asked_in_it(face_crop: ImageArray) -> None:
    model = tiny_model("resnet18")
    double = TorchModel(tiny_model("resnet18").net.double(), model.spec, SEVEN)
    np.testing.assert_allclose(double.logits(noise(model)), model.logits(noise(model)), atol=1e-5)
    for method in ("gradcam", "ig"):
        first, second = (
            mien.load(m, detector="none").explain(face_crop, method=method)[0]
            for m in (model, double)
        )
        np.testing.assert_allclose(first.values, second.values, atol=1e-5)


def test_labels_that_do_not_fit_are_refused() -> None:
    model = tiny_model("resnet18")
    for names in ((), ("happy",) * 7, SEVEN[:6]):
        with pytest.raises(InputError, match="expected 7 different labels"):
            TorchModel(model.net, model.spec, names)
    head = replace(model.head, labels=SEVEN[:6], bias=(0.0,) * 6)
    card = replace(model.card, heads={"expression": head})
    with pytest.raises(InputError, match="expected 7 labels, one per logit"):
        TorchModel(model.net, model.spec, card=card)


def test_what_is_no_finished_run_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match=r"finished run with its report\.json"):
        open_model(tmp_path)
    write_run(tmp_path / "folds")
    (tmp_path / "folds" / "weights.safetensors").unlink()
    with pytest.raises(InputError, match="one in each fold's folder"):
        open_model(tmp_path / "folds")
    with pytest.raises(InputError, match="for an open model"):
        open_model(load_run(folder, device="cpu"), head="ferplus")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="expected a GPU"):
            load_run(folder, device="cuda")


def test_the_command_takes_a_run(run: Run, folder: Path, tmp_path: Path) -> None:
    """Through the base install, which has no torch, and in this process, which has."""
    done = run("predict", str(PORTRAIT), "--model", str(folder), "--detector", "haar")
    assert done.returncode == 2
    assert "[explain]'" in done.stderr.partition("run: pip install ")[2]
    from typer.testing import CliRunner

    from mien.commands.main import app

    arguments = ["predict", str(PORTRAIT), "--model", str(folder), "--detector", "haar", "-f"]
    answer = CliRunner().invoke(app, [*arguments, "json", "-o", str(tmp_path / "a.json")])
    assert answer.exit_code == 0, answer.output
    assert set(json.loads((tmp_path / "a.json").read_text())[0]["emotions"]) == set(SEVEN)


def test_the_command_explains_a_run_from_inside(folder: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from mien.commands.main import app

    out = tmp_path / "why.png"
    arguments = ["explain", str(PORTRAIT), "--model", str(folder), "--detector", "haar"]
    arguments += ["-o", str(out), "--method", "activations"]
    answer = CliRunner().invoke(app, [*arguments, "--option", "layer=stages.2.relu"])
    assert answer.exit_code == 0, answer.output
    assert "the same for any expression" in answer.output.replace("\n", " ")
    (record,) = json.loads((tmp_path / "why.mien.json").read_text())
    assert record["options"] == {"layer": "stages.2.relu", "grid": [16, 16], "features": 8}
    assert (record["what"], record["about_target"], record["base"]) == ("activation", False, None)
    failed = CliRunner().invoke(app, [*arguments, "--option", "layer"])
    assert isinstance(failed.exception, InputError)
    assert "key=value" in str(failed.exception)
