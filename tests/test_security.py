"""What SECURITY.md promises and no other test holds: nothing leaves the machine."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from mien.vision.formats import FORMATS
from tests.conftest import PORTRAIT, ROOT

Run = Callable[..., "CompletedProcess[str]"]

GUARDED = """
import sys

def refuse(event, values):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise SystemExit(f"{event} {values}")

sys.addaudithook(refuse)
from mien.commands.main import main
main()
"""


def test_predict_and_explain_open_no_connection(run: Run, tmp_path: Path) -> None:
    for command in ("predict", "explain"):
        done = run(command, str(PORTRAIT), "--detector", "haar", code=GUARDED, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_runtime_of_networks_reports_nothing(run: Run) -> None:
    """Its telemetry is native code, which no hook of Python sees: its thread is not there."""
    code = """
import os
import mien
threads = lambda: len(os.listdir("/proc/self/task"))
before = threads()
import onnxruntime
print(os.environ["ORT_DISABLE_TELEMETRY"], threads() - before)
"""
    assert run(code=code).stdout.split() == ["1", "0"]


def test_the_guard_sees_a_connection(run: Run) -> None:
    code = GUARDED.partition("from mien")[0] + "import socket\nsocket.create_connection(('::1', 9))"
    assert "socket." in run(code=code).stderr


def test_the_files_that_are_named_exist() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:tests|deploy|docs)/[\w./-]+)`|\]\((docs/[\w.-]+)", text)
    assert len(named) > 10
    assert [a or b for a, b in named if not (ROOT / (a or b)).exists()] == []
    assert len(FORMATS) == 9, "the number that it states"
