"""Other libraries on the same images, each in an environment of its own, without a network.

``python -m benchmarks.peers FOLDER`` makes the environments (with uv) and prints what ran. A peer
that wants a download fails here, and its reason is recorded.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPEATS = 3


@dataclass(frozen=True)
class Peer:
    """How a peer is installed and called: ``code`` defines ``answer(path) -> faces found``."""

    install: tuple[str, ...]
    code: str
    note: str = ""


FER = """
import cv2
from fer.fer import FER
made = FER(mtcnn={mtcnn})
def answer(path):
    return len(made.detect_emotions(cv2.imread(path)))
"""
# as published, fer takes the newest setuptools and OpenCV, which lack what it imports
FER_INSTALL = ("fer", "setuptools<80", "opencv-contrib-python>=4.10,<5")
PEERS = {
    "fer, Haar": Peer(FER_INSTALL, FER.format(mtcnn=False), "OpenCV held below 5 by hand"),
    "fer, MTCNN": Peer(FER_INSTALL, FER.format(mtcnn=True), "OpenCV held below 5 by hand"),
    "deepface": Peer(
        ("deepface", "werkzeug", "flask", "tf-keras"),
        "from deepface import DeepFace\n"
        "def answer(path):\n"
        "    return len(DeepFace.analyze(path, actions=['emotion'], enforce_detection=False))\n",
    ),
    "py-feat": Peer(
        ("py-feat",),
        "from feat import Detectorv2\n"
        "made = Detectorv2(device='cpu')\n"
        "def answer(path):\n"
        "    return len(made.detect(path))\n",
    ),
    "hsemotion-onnx": Peer(
        ("hsemotion-onnx",),
        "import urllib.request\n"
        "from hsemotion_onnx.facial_emotions import HSEmotionRecognizer\n"
        "made = HSEmotionRecognizer(model_name='enet_b0_8_best_afew')\n"
        "def answer(path):\n"
        "    raise SystemExit('it finds no faces')\n",
    ),
    "emotiefflib": Peer(
        ("emotiefflib",),
        "from emotiefflib.facial_analysis import EmotiEffLibRecognizer, get_model_list\n"
        "made = EmotiEffLibRecognizer(engine='onnx', model_name=get_model_list()[0])\n"
        "def answer(path):\n"
        "    raise SystemExit('it finds no faces')\n",
    ),
    "rmn": Peer(
        ("rmn",),
        "import cv2\n"
        "from rmn import RMN\n"
        "made = RMN()\n"
        "def answer(path):\n"
        "    return len(made.detect_emotion_for_single_frame(cv2.imread(path)))\n",
    ),
}
OURS = {
    f"{model}, {detector}": f"""
import mien
made = mien.load({model!r}, detector={detector!r})
def answer(path):
    return len(made.predict(path).faces)
"""
    for model in ("mien", "mien-int8")
    for detector in ("yunet", "haar", "blazeface", "blazeface-near")
}
LOOP = """
import json, sys, time
started = time.perf_counter()
{code}
paths = sys.argv[1:]
answer(paths[0])
loaded = time.perf_counter() - started
times, busy, faces = [], [], 0
for _ in range({repeats}):
    started, before = time.perf_counter(), time.process_time()
    faces = sum(answer(path) for path in paths)
    times.append(time.perf_counter() - started)
    busy.append(time.process_time() - before)  # of all threads
print("RESULT" + json.dumps({{"loaded": loaded, "times": times, "busy": busy, "faces": faces}}))
"""


def measure(images: list[Path], environments: Path | None) -> dict[str, Any]:
    """Images per second of ourselves and of every peer that runs, one after another."""
    found: dict[str, Any] = {}
    for name, code in OURS.items():
        found[f"Mien: {name}"] = _run(sys.executable, code, images)
    for name, peer in PEERS.items():
        if environments is None:
            found[name] = {"error": "not tried: give a folder for its environment"}
            continue
        made = _environment(environments / peer.install[0], peer)
        found[name] = (
            {"error": made}
            if made
            else _run(str(environments / peer.install[0] / "bin" / "python"), peer.code, images)
        )
        if peer.note:
            found[name]["note"] = peer.note
    return found


def _environment(folder: Path, peer: Peer) -> str | None:
    """Make the peer's environment where it is not there; the reason where it cannot be made."""
    if (folder / "bin" / "python").exists():
        return None
    for command in (
        ["uv", "venv", "-q", "--python", sys.executable, str(folder)],
        ["uv", "pip", "install", "-q", "--python", str(folder / "bin" / "python"), *peer.install],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"cannot be installed: {done.stderr.strip().splitlines()[-1][:160]}"
    return None


def _run(python: str, code: str, images: list[Path]) -> dict[str, Any]:
    program = LOOP.format(code=code, repeats=REPEATS)
    started = time.perf_counter()
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [python, "-c", program, *map(str, images)],
        capture_output=True,
        text=True,
        check=False,
        env=env,
        timeout=900,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not lines:
        reason = [line for line in done.stderr.strip().splitlines() if line.strip()] or ["nothing"]
        return {"error": reason[-1][:200]}
    result = json.loads(lines[-1][6:])
    middle = sorted(result["times"])[len(result["times"]) // 2]
    return {
        "images per second": round(len(images) / middle, 1),
        "faces": result["faces"],
        "seconds to the first answer": round(result["loaded"], 1),
        "seconds in all": round(time.perf_counter() - started, 1),
    }


if __name__ == "__main__":
    import tempfile

    from benchmarks.photos import photographs

    with tempfile.TemporaryDirectory() as folder:
        shown = sorted(photographs(Path(folder), 60).glob("*.jpg"))
        print(json.dumps(measure(shown, Path(sys.argv[1])), indent=1))
