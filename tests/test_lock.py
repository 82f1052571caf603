"""One writer to a folder: refused at once while the owner lives, free as soon as it is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mien.runs import lock
from mien.runs.lock import FILE, locked
from mien.types import InputError
from tests.conftest import ROOT

HOLD = (
    "import sys\nfrom pathlib import Path\nfrom mien.runs.lock import locked\n"
    "with locked(Path(sys.argv[1]), 'training'):\n    print('held', flush=True)\n"
    "    sys.stdin.read()\n"
)


def test_another_process_is_refused_until_the_owner_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        with (
            pytest.raises(InputError, match=f"process {owner.pid} on") as caught,
            locked(tmp_path, "training"),
        ):
            pass
        assert str(tmp_path) in str(caught.value)
        owner.send_signal(signal.SIGKILL)
    assert (tmp_path / FILE).exists()
    with locked(tmp_path, "training"):
        assert json.loads((tmp_path / FILE).read_text())["process"] == os.getpid()
    assert not list(tmp_path.iterdir())


def test_a_process_does_not_hold_a_folder_twice(tmp_path: Path) -> None:
    with locked(tmp_path, "training"):
        with (
            pytest.raises(InputError, match="another folder for this training"),
            locked(tmp_path, "training"),
        ):
            pass
        assert (tmp_path / FILE).exists()
    with locked(tmp_path, "training"):
        pass


def test_an_owner_on_another_host_holds_a_folder_while_it_shows_life(tmp_path: Path) -> None:
    file = tmp_path / FILE
    file.write_text(json.dumps({"host": "elsewhere", "process": 7}))
    with pytest.raises(InputError, match="process 7 on elsewhere"), locked(tmp_path, "training"):
        pass
    assert file.exists()
    late = file.stat().st_mtime - lock.GONE - 1
    os.utime(file, (late, late))
    with locked(tmp_path, "training"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe"])
def test_a_lock_that_was_not_written_whole_is_nobodys(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with locked(tmp_path, "training"):
        pass


def test_the_owner_shows_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.01)
    file = tmp_path / FILE
    with locked(tmp_path, "training"):
        os.utime(file, (1, 1))
        for _ in range(500):
            if file.stat().st_mtime > 1:
                break
            time.sleep(0.01)
        assert file.stat().st_mtime > 1


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="cannot be written"),
        locked(tmp_path / "absent", "training"),
    ):
        pass
