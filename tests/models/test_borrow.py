"""Networks are lent: to one thread at a time, and given back as they were found."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: make test does without it")
timm = pytest.importorskip("timm", reason="timm is not installed: make test does without it")

from torch import nn  # noqa: E402 - after the check for torch

import mien  # noqa: E402
from mien.emotions import SEVEN  # noqa: E402
from mien.models.torch.borrow import borrowed  # noqa: E402
from mien.models.torch.model import TorchModel  # noqa: E402
from mien.models.torch.networks.backbone import timm_spec  # noqa: E402
from mien.types import FloatArray, ImageArray  # noqa: E402

HAPPY = np.asarray(np.eye(7)[3])


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def training_resnet() -> nn.Module:
    """In training mode, as a network is that was just made, with statistics of its own."""
    net: nn.Module = timm.create_model("resnet18", num_classes=7)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
    return net.train()


def state(net: nn.Module) -> dict[str, Any]:
    """All that a loan might change: modes, hooks, gradients, statistics."""
    found: dict[str, Any] = {}
    for name, module in net.named_modules():
        hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks)
        found[name] = (module.training, [len(h) for h in hooks])
    for name, parameter in net.named_parameters():
        found[f"{name}?"] = (parameter.requires_grad, parameter.grad is None)
    for name, value in net.state_dict().items():
        found[f"{name}="] = value.double().sum().item()
    return found


def together(job: Callable[[], Any], threads: int = 4) -> list[Any]:
    """The job in several threads that start 10 ms apart."""

    def late(i: int) -> Any:
        time.sleep(0.01 * i)
        return job()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(late, range(threads)))


@pytest.mark.parametrize("method", ["", "gradcam", "cam", "ig"])
def test_threads_that_share_a_network_get_the_answer_of_one(
    method: str, face_crop: ImageArray
) -> None:
    net = training_resnet()
    recognizer = mien.load(TorchModel(net, timm_spec(net, 7, size=64), SEVEN), detector="none")
    before = state(net)

    def answer() -> FloatArray:
        if not method:
            return np.array(list(recognizer.predict(face_crop)[0].emotions.values()))
        options = {"steps": 8} if method == "ig" else {}
        found = recognizer.explain(face_crop, method=method, target="happy", options=options)
        return np.asarray(found[0].values)

    expected = answer()
    for _ in range(3):
        for found in together(answer):
            np.testing.assert_allclose(found, expected, atol=1e-6)
    assert state(net) == before


def test_every_module_keeps_its_own_mode(face_crop: ImageArray) -> None:
    """After construction, answers, explanations and errors."""
    net: Any = training_resnet()
    net.bn1.eval()
    net.layer1.eval()
    before = state(net)
    model = TorchModel(net, timm_spec(net, 7, size=64), SEVEN)
    assert state(net) == before
    recognizer = mien.load(model, detector="none")
    recognizer.predict(face_crop)
    assert state(net) == before
    for method in ("gradcam", "activations", "cam"):
        recognizer.explain(face_crop, method=method)
        assert state(net) == before
    failing = net.fc.register_forward_hook(lambda *_: 1 / 0)
    for method in ("regions", "gradcam"):
        with pytest.raises(mien.ModelError, match="ZeroDivisionError"):
            recognizer.explain(face_crop, method=method)
    failing.remove()
    assert state(net) == before


def test_a_thread_may_borrow_again_and_others_wait() -> None:
    net = nn.Sequential(nn.Dropout(), nn.Linear(2, 2))
    order: list[str] = []
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with borrowed(net), borrowed(net) as lent:
            inside.set()
            assert leave.wait(10)
            assert not lent.net.training
            order.append("first")

    def second() -> None:
        with borrowed(net):
            order.append("second")

    threads = [threading.Thread(target=job) for job in (first, second)]
    threads[0].start()
    assert inside.wait(10)
    threads[1].start()
    time.sleep(0.05)
    leave.set()
    for thread in threads:
        thread.join(10)
    assert order == ["first", "second"]
    assert net.training


def test_other_networks_are_lent_meanwhile() -> None:
    one, other = nn.Linear(1, 1), nn.Linear(1, 1)
    with borrowed(one), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: borrowed(other).__enter__().net).result(10) is other


def test_evaluation_and_training_of_a_users_own_are_not_called() -> None:
    class Merging(nn.Linear):
        def train(self, mode: bool = True) -> Any:
            raise AssertionError(f"called with {mode}")

    net = Merging(1, 1)
    with borrowed(net):
        assert not net.training
    assert net.training


FORKING = """
import os, sys, threading, time, warnings
import torch
from torch import nn
from mien.models.torch.borrow import borrowed
warnings.simplefilter("ignore", DeprecationWarning)
torch.set_num_threads(2)
net = nn.Conv2d(3, 64, 3)
pixels = torch.ones(8, 3, 96, 96)

def answer():
    with borrowed(net) as lent, torch.no_grad():
        return float(lent.net(pixels).double().sum())

right = answer()
child = os.fork()
if not child:
    os._exit(0 if abs(answer() / right - 1) < 1e-4 else 3)
ends = time.monotonic() + 60
while time.monotonic() < ends:
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        sys.exit(os.waitstatus_to_exitcode(status))
    time.sleep(0.02)
os.kill(child, 9)
sys.exit("it hangs")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
def test_a_child_does_not_wait_for_the_threads_of_its_parent() -> None:
    many = {**os.environ, "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", FORKING], env=many, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
def test_a_child_that_is_forked_during_a_pass_can_use_the_network() -> None:
    net = nn.Linear(1, 1)
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            with borrowed(net):
                time.sleep(0.002)

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        children = []
        for _ in range(5):
            child = os.fork()
            if child == 0:
                with borrowed(net) as lent:
                    os._exit(int(lent.net.training))
            children.append(child)
        ends = time.monotonic() + 20
        left = set(children)
        while left and time.monotonic() < ends:
            left = {c for c in left if os.waitpid(c, os.WNOHANG)[0] == 0}
            time.sleep(0.01)
        for child in left:
            os.kill(child, 9)
        assert not left, "children hang"
    finally:
        stop.set()
        thread.join()


def test_a_model_of_a_network_is_copied_and_pickled(face_crop: ImageArray) -> None:
    net = training_resnet()
    model = TorchModel(net, timm_spec(net, 7, size=64), SEVEN)
    pixels = model.pixels(face_crop)[None]
    expected = model.logits(pixels)
    same = copy.copy(model)
    assert same.net is net
    for other in (same, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_allclose(other.logits(pixels), expected, atol=1e-6)
        assert other.sha256 == model.sha256
        assert other.net.training
