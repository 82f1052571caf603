"""A process may fork while its threads predict: each child answers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from tests.conftest import PORTRAIT

Run = Callable[..., "CompletedProcess[str]"]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")

PREDICTING = """
import json, os, sys, threading, time, warnings
import mien
warnings.simplefilter("ignore", DeprecationWarning)  # of fork beside threads
detector, photo = sys.argv[1:]
recognizer = mien.load(detector=detector, threads=2)
answer = lambda: recognizer.predict(photo)[0].emotions
right = answer()
stop = threading.Event()
wrong = []

def busy():
    while not stop.is_set():
        if answer() != right:
            wrong.append(1)

threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads:
    thread.start()
children = {}
for number in range(6):
    time.sleep(0.03 * number)
    child = os.fork()
    if not child:
        found = answer()
        # the end of multiprocessing's children, too
        os._exit(0 if all(abs(found[k] - v) < 1e-5 for k, v in right.items()) else 3)
    children[child] = None
ends = time.monotonic() + 60
while None in children.values() and time.monotonic() < ends:
    for child in [c for c, status in children.items() if status is None]:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            children[child] = os.waitstatus_to_exitcode(status)
    time.sleep(0.02)
for child in [c for c, status in children.items() if status is None]:
    os.kill(child, 9)
stop.set()
for thread in threads:
    thread.join()
print(json.dumps([list(children.values()), len(wrong)]))
"""


@pytest.mark.parametrize("detector", ["haar", "none"])
def test_children_of_a_process_whose_threads_predict_answer(detector: str, run: Run) -> None:
    done = run(detector, str(PORTRAIT), code=PREDICTING)
    assert done.returncode == 0, done.stderr[-2000:]
    statuses, wrong = json.loads(done.stdout)
    assert statuses == [0] * 6, done.stderr[-2000:]
    assert not wrong


ENDING = """
import os, sys, warnings
import mien
warnings.simplefilter("ignore", DeprecationWarning)
detector, photo, threads = sys.argv[1:]
recognizer = mien.load(detector=detector, threads=int(threads))
recognizer.predict(photo)
for again in (False, True):
    child = os.fork()
    if not child:
        if again:
            recognizer.predict(photo)
        sys.exit(7)  # runs what the parent's libraries have to do at an end
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.parametrize(("detector", "threads"), [("haar", "1"), ("auto", "2")])
def test_a_child_can_end_like_any_program(detector: str, threads: str, run: Run) -> None:
    done = run(detector, str(PORTRAIT), threads, code=ENDING, seconds=60)
    assert done.stdout.split() == ["7", "7"], done.stderr[-2000:]


HOLDING = """
import os, threading, warnings
import numpy as np
import mien
from mien import forks
warnings.simplefilter("ignore", DeprecationWarning)
forks.PATIENCE = 0.2
recognizer = mien.load(detector="none", threads=1)
inside, leave = threading.Event(), threading.Event()

def hold():
    with forks.unforked():
        inside.set()
        leave.wait(60)

thread = threading.Thread(target=hold)
thread.start()
inside.wait(60)
child = os.fork()
if not child:
    try:
        recognizer.crops(np.zeros((48, 48, 3), np.uint8))
    except mien.MienError as error:
        print(error, flush=True)
    os._exit(7)
leave.set()
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(len(recognizer.crops(np.zeros((48, 48, 3), np.uint8))))
"""


def test_a_child_of_a_process_at_work_too_long_is_told_to_spawn(run: Run) -> None:
    done = run(code=HOLDING)
    assert done.returncode == 0, done.stderr[-2000:]
    message, status, crops = done.stdout.splitlines()
    assert "'spawn'" in message
    assert (status, crops) == ("7", "1")


def test_a_fork_within_the_work_does_not_wait_for_itself(run: Run) -> None:
    code = """
import os
from mien.forks import unforked
with unforked():
    child = os.fork()
    with unforked():
        pass
    if not child:
        os._exit(5)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = run(code=code)
    assert done.stdout == "5\n", done.stderr[-2000:]
