"""Trainings that are killed, cut off, damaged or diverge: nothing is lost, and errors say what."""

from __future__ import annotations

import io
import logging
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mien.types import InputError, MienError, ModelError
from tests.conftest import ROOT
from tests.train.small import CPU, RECIPE

torch = pytest.importorskip("torch", reason="torch is not installed: make test does without it")

from safetensors.torch import load_file  # noqa: E402 - after the check

from mien.runs.compare import comparison  # noqa: E402
from mien.runs.folder import DONE, WEIGHTS  # noqa: E402
from mien.runs.lock import locked  # noqa: E402
from mien.runs.model import load_run  # noqa: E402
from mien.runs.read import read_history  # noqa: E402
from mien.train import descend, report  # noqa: E402
from mien.train.checkpoints import ALL, BEFORE, BEST, LAST  # noqa: E402
from mien.train.fit import fit  # noqa: E402
from mien.train.module import DivergedError  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")

LONGER = RECIPE.change(training={"epochs": 4})


class Stop(BaseException):
    """Ends a training in the middle of an epoch; nothing of ours catches it."""


@pytest.fixture(scope="module")
def whole(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    run = fit(LONGER, drawn, tmp_path_factory.mktemp("whole"), where=CPU)
    report.write(run)
    return run.folder


@pytest.fixture(scope="module")
def left(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a training leaves that is stopped in its fourth epoch."""
    folder = tmp_path_factory.mktemp("left")
    plain = descend.History.on_train_epoch_start

    def start(self: Any, trainer: Any, *rest: Any) -> None:
        if trainer.current_epoch == 3:
            raise Stop
        plain(self, trainer, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(descend.History, "on_train_epoch_start", start)
        with pytest.raises(Stop):
            fit(LONGER, drawn, folder, where=CPU)
    return folder


@pytest.fixture
def stopped(left: Path, tmp_path: Path) -> Path:
    """A copy of that, to be damaged."""
    return Path(shutil.copytree(left, tmp_path / "run"))


def check_same(run: Path, other: Path) -> None:
    """Two runs have the same weights, and learned alike."""
    first, second = load_file(run / WEIGHTS), load_file(other / WEIGHTS)
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, msg=name)
    rows = [read_history(folder / "history.csv") for folder in (run, other)]
    assert [r["epoch"] for r in rows[0]] == [r["epoch"] for r in rows[1]]
    losses = [[float(r["train_loss"]) for r in history] for history in rows]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


KILLER = """
import os, random, signal, sys, time, traceback
from mien.runs.recipe import read_recipe
from mien.train.fit import Where, fit
recipe, data, folder, kills = sys.argv[1:]
chance, done = random.Random(int(kills)), 0
while True:
    child = os.fork()
    if not child:
        code = 1
        try:
            fit(read_recipe(recipe), data, folder, where=Where(accelerator="cpu"))
            code = 0
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    if done < int(kills):
        time.sleep(chance.uniform(0.1, 1.5))
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        print(done, flush=True)
        os._exit(os.WEXITSTATUS(status))
    done += 1
"""


def test_a_training_that_is_killed_at_random_moments_loses_nothing(
    whole: Path, drawn: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(LONGER.to_toml(), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", KILLER, str(recipe), str(drawn), str(tmp_path / "run"), "3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 1
    check_same(whole, tmp_path / "run")
    assert not [p.name for p in (tmp_path / "run").iterdir() if p.name in ALL]


def test_a_stopped_training_keeps_its_last_two_checkpoints_and_goes_on(
    stopped: Path, whole: Path, drawn: Path
) -> None:
    assert {p.name for p in stopped.iterdir()} == {*ALL, "recipe.toml", "split.csv", "history.csv"}
    epochs = [torch.load(stopped / n, weights_only=True)["epoch"] for n in (BEFORE, LAST)]
    assert epochs == [1, 2]
    fit(LONGER, drawn, stopped, where=replace(CPU, curves=True))  # they do not change the training
    check_same(whole, stopped)
    curve = [row["test_accuracy"] for row in read_history(stopped / "history.csv")]
    assert curve[:-1] == ["", "", ""]
    assert float(curve[-1]) <= 1


def code(marker: Path) -> bytes:
    """A pickle that runs code where it is read without care."""

    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (marker,))

    return pickle.dumps({"state_dict": Evil()})


@pytest.mark.parametrize(
    ("broken", "damage", "way"),
    [
        ([LAST], "cut", "from the epoch before"),
        ([LAST], "empty", "from the epoch before"),
        ([LAST], "foreign", "from the epoch before"),
        ([LAST], "code", "from the epoch before"),
        ([LAST, BEFORE], "cut", "from its beginning"),
        ([BEST], "cut", "starts again from its beginning"),
    ],
)
def test_a_checkpoint_that_cannot_be_read_is_named_and_training_goes_on(
    stopped: Path,
    whole: Path,
    drawn: Path,
    caplog: pytest.LogCaptureFixture,
    broken: list[str],
    damage: str,
    way: str,
) -> None:
    marker = stopped.parent / "ran"
    for name in broken:
        path = stopped / name
        content = path.read_bytes()
        foreign = io.BytesIO()
        torch.save({"epoch": 1}, foreign)
        path.write_bytes(
            {
                "cut": content[: len(content) // 2],
                "empty": b"",
                "foreign": foreign.getvalue(),
                "code": code(marker),
            }[damage]
        )
    with caplog.at_level(logging.WARNING):
        fit(LONGER, drawn, stopped, where=CPU)
    assert f"{stopped / broken[0]}: cannot be read" in caplog.text
    assert way in caplog.text
    assert not marker.exists()
    check_same(whole, stopped)


def refit(folder: Path, data: Path) -> None:
    report.write(fit(LONGER, data, folder, where=CPU))


@pytest.mark.parametrize(
    ("name", "read"),
    [
        (DONE, refit),
        ("recipe.toml", refit),
        ("history.csv", refit),
        (WEIGHTS, refit),
        (WEIGHTS, lambda folder, _: load_run(folder)),
        ("recipe.toml", lambda folder, _: load_run(folder)),
        ("report.json", lambda folder, _: load_run(folder)),
        ("report.json", lambda folder, _: comparison([folder])),
        ("scores.csv", lambda folder, _: comparison([folder])),
    ],
    ids=lambda v: v if isinstance(v, str) else v.__code__.co_names[-1],
)
def test_a_file_that_is_cut_short_empty_or_foreign_is_named_with_the_way_out(
    name: str,
    read: Callable[[Path, Path], object],
    whole: Path,
    drawn: Path,
    tmp_path: Path,
) -> None:
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    path = run / name
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"\xff\x00 foreign \xfe"):
        if name == "history.csv" and not damaged:
            continue  # no epoch yet: nothing to be wrong
        path.write_bytes(damaged)
        with pytest.raises(MienError) as caught:
            read(run, drawn)
        message = str(caught.value)
        assert str(path) in message, damaged
        assert "\n" not in message
        assert any(way in message for way in ("delete", "copy", "train", "mien")), message


def test_another_training_in_the_same_folder_is_refused_at_once(stopped: Path, drawn: Path) -> None:
    before = {p.name: p.read_bytes() for p in stopped.iterdir()}
    with locked(stopped, "training"):
        with pytest.raises(InputError, match="nothing else writes to"):
            fit(LONGER, drawn, stopped, where=CPU)
        (stopped / ".lock").replace(stopped / "moved")
        (stopped / "moved").unlink()
    assert {p.name: p.read_bytes() for p in stopped.iterdir()} == before


def test_a_disk_that_is_full_is_one_line_and_the_training_goes_on_later(
    whole: Path, drawn: Path, tmp_path: Path
) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limit[1]))
        with pytest.raises(InputError, match=r"ckpt: cannot be written \(File too large\)"):
            fit(LONGER, drawn, tmp_path / "run", where=CPU)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not list(tmp_path.rglob("*.part"))
    fit(LONGER, drawn, tmp_path / "run", where=CPU)
    check_same(whole, tmp_path / "run")


def test_starting_weights_that_are_not_finite_are_refused(drawn: Path, tmp_path: Path) -> None:
    from mien.models.torch import create

    net, _ = create("compact", classes=7, **RECIPE.model.options)
    state = net.state_dict()
    state["head.bias"][2] = float("nan")
    torch.save(state, tmp_path / "start.pt")
    with pytest.raises(ModelError, match=r"start\.pt: expected finite .* in 'head\.bias'"):
        fit(RECIPE, drawn, tmp_path / "run", where=CPU, weights=tmp_path / "start.pt")
    assert not (tmp_path / "run").exists()


def test_a_training_that_diverges_stops_at_once_and_keeps_its_last_good_weights(
    stopped: Path, drawn: Path
) -> None:
    last = torch.load(stopped / LAST, weights_only=True)
    next(v for v in last["state_dict"].values() if v.is_floating_point())[...] = float("inf")
    torch.save(last, stopped / LAST)
    with pytest.raises(DivergedError, match=r"epoch 4 .* are kept in .*lower learning rate"):
        fit(LONGER, drawn, stopped, where=CPU)
    kept = load_file(stopped / WEIGHTS)
    assert all(torch.isfinite(v).all() for v in kept.values() if v.is_floating_point())
    assert len(read_history(stopped / "history.csv")) == 3
    assert not (stopped / DONE).exists()


def test_a_training_that_diverges_in_its_first_epoch_leaves_no_folder(
    drawn: Path, tmp_path: Path
) -> None:
    from mien.models.torch import create

    options: dict[str, Any] = {
        "channels": [8] * 5,
        "size": 32,
    }  # no normalisation that would hold it back
    wild = RECIPE.change(model={"name": "gimefive-10", "options": options})
    net, _ = create("gimefive-10", classes=7, **options)
    torch.save({k: 1e20 * v for k, v in net.state_dict().items()}, tmp_path / "huge.pt")
    with pytest.raises(DivergedError, match=r"epoch 1 .*no epoch before it"):
        fit(wild, drawn, tmp_path / "run", where=CPU, weights=tmp_path / "huge.pt")
    assert not (tmp_path / "run").exists()


#: The command as a terminal starts it; tests in the background inherit that Ctrl-C is ignored.
HEEDING = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    "from mien.commands.main import main; main()"
)


def test_control_c_ends_the_command_with_130_and_says_how_to_go_on(
    drawn: Path, tmp_path: Path
) -> None:
    many = LONGER.change(training={"epochs": 500})
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(many.to_toml(), encoding="utf-8")
    run = tmp_path / "run"
    words = ["train", recipe, "--data", drawn, "-o", run, "--device", "cpu"]
    with subprocess.Popen(
        [sys.executable, "-c", HEEDING, *map(str, words)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        end = time.monotonic() + 300
        while not (run / LAST).exists() and time.monotonic() < end and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert "run the same command to go on" in said
    assert "Traceback" not in said
    assert (run / LAST).exists()
    assert not (run / ".lock").exists()
