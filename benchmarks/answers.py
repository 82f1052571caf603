"""What ``fer`` answers beside Mien, on the same images of labelled sets, with McNemar's test.

``python -m benchmarks.answers --fer PYTHON SET.parquet ...`` writes ``results/answers.json`` and
``answers.md``. PYTHON belongs to an environment with ``fer`` (``benchmarks.peers`` says how to make
one). Sets of crops are answered as they stand; with ``--photos SET`` the faces are found first, by
each library's own default. Where a set lacks an expression, it can be answered by neither.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from mien.emotions import SEVEN
from mien.judging.answering import Answers, labelled
from mien.judging.evaluation import Measured, measure, scored, table
from mien.types import FloatArray

RESULTS = Path(__file__).parent / "results"
MODELS = ("mien", "mien:head=fer2013,prior=even", "mien-int8")
FER = """
import json, sys
from pathlib import Path
import cv2
from fer.fer import FER
photos = sys.argv[2] == "photos"
made = FER() if photos else FER(offsets=(0, 0))  # crops are not enlarged
found = []
for path in sorted(Path(sys.argv[1]).glob("*.png")):
    image = cv2.imread(str(path))
    whole = [(0, 0, image.shape[1], image.shape[0])]
    faces = made.detect_emotions(image, None if photos else whole)
    best = max(faces, key=lambda face: face["box"][2] * face["box"][3], default=None)
    found.append(None if best is None else best["emotions"])
print("RESULT" + json.dumps(found))
"""


def answers_of_fer(python: str, images: list[bytes], *, photos: bool) -> FloatArray:
    """Scores ``[N, 7]`` in the order of SEVEN; zeros where no face is found."""
    with tempfile.TemporaryDirectory() as folder:
        for number, image in enumerate(images):
            (Path(folder) / f"{number:06d}.png").write_bytes(image)
        words = [python, "-c", FER, folder, "photos" if photos else "crops"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.split("RESULT")[1])
    rows = [[0.0] * 7 if row is None else [row[name] for name in SEVEN] for row in said]
    return np.array(rows)


def beside(path: Path, python: str, *, photos: bool) -> list[Measured]:
    """Mien's models and fer on one set."""
    rows = [(truth, image) for _, truth, image in labelled(path) if truth in SEVEN]
    shown = tuple(name for name in SEVEN if any(truth == name for truth, _ in rows))
    detector = "auto" if photos else "none"
    ours = measure(MODELS, [path], labels=shown, among=True, detector=detector)
    p = answers_of_fer(python, [image for _, image in rows], photos=photos)
    truth = np.array([SEVEN.index(str(name)) for name, _ in rows])
    said = Answers(SEVEN, truth, p, p.sum(axis=1) > 0, None, 0, 0).among(shown)
    finder = "its Haar cascade" if photos else "none"
    return [*ours, scored("fer", "mini-Xception of fer", path.stem, finder, said, None, 0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sets", type=Path, nargs="*")
    parser.add_argument("--photos", type=Path, nargs="*", default=[])
    parser.add_argument("--fer", required=True)
    given = parser.parse_args()
    found: list[Measured] = []
    for path in given.sets:
        found += beside(path, given.fer, photos=False)
    for path in given.photos:
        found += beside(path, given.fer, photos=True)
    header, rows = table(found)
    lines = ["# Answers beside fer", "", __doc__.split("\n\n", 1)[1].strip(), ""]
    lines += [f"| {' | '.join(header)} |", "|" + "---|" * len(header)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    (RESULTS / "answers.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plain = [m.to_dict() for m in found]
    (RESULTS / "answers.json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
