"""Golden numbers of the main journeys: ``python -m tests.golden`` writes them.

They change when the shipped model changes, and only then; moving code must leave them alone.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import mien
from mien.data import synthetic
from mien.types import ImageArray

ROOT = Path(__file__).parent.parent
PORTRAIT = ROOT / "examples" / "astronaut.jpg"
FILE = Path(__file__).parent / "golden.json"
NETS = ("gimefive-13", "vit-b16", "convit-b", "crossvit-b")
#: Less work for methods that need hundreds of passes.
LESS = {
    "lime": "lime:samples=90,parts=4",
    "kernelshap": "kernelshap:samples=90,parts=4",
    "rise": "rise:samples=200",
    "shap": "shap:levels=3,evaluations=44",
}
#: What differs from run to run or from machine to machine, and words, which have their own tests.
FREE = ("seconds", "versions", "model", "prior", "flip", "sentence", "paragraph")


def portrait() -> dict[str, Any]:
    """Rows and every method's record of the portrait, by the base install's detector."""
    recognizer = mien.load(detector="haar")
    found: dict[str, Any] = {"rows": recognizer.predict(PORTRAIT).to_dict()}
    from mien.explainers import supported

    for name in supported(recognizer.model):
        question: list[str] = [LESS.get(name, name)]
        found[name] = recorded(recognizer.explain(PORTRAIT, method=question)[0])
    found["against"] = recorded(recognizer.explain(PORTRAIT, target="sad", against="neutral")[0])
    return found


def drawn() -> dict[str, Any]:
    """Rows of seven drawn expressions, by both label sets."""
    faces = [synthetic.face(name, subject=5, size=96).image for name in mien.load().labels]
    return {
        head: mien.load(detector="none", head=head).predict(faces).to_dict()
        for head in ("ferplus", "fer2013")
    }


def networks(crop: ImageArray) -> dict[str, Any]:
    """Every method's record of small networks with fixed weights, torch's own methods included."""
    return {name: _network(name, crop) for name in NETS}


def _network(name: str, crop: ImageArray) -> dict[str, Any]:
    from mien.explainers import supported
    from mien.recognizer import Recognizer
    from mien.vision import faces

    model = fixed_model(name)
    recognizer = Recognizer(faces.create("none"), model)
    # those that only ask for answers are held by the portrait's records
    chosen = [m for m in supported(model) if m == "regions" or m not in LESS]
    return {m: recorded(recognizer.explain(crop, method=m)[0]) for m in chosen}


def fixed_model(name: str) -> Any:
    """A tiny registered network whose weights do not depend on torch's own random numbers."""
    import torch

    from mien.emotions import SEVEN
    from mien.models.torch import create
    from mien.models.torch.model import TorchModel
    from mien.models.torch.registry import shrunk

    net, spec = create(name, classes=7, **shrunk(name))
    rng = np.random.default_rng(7)
    with torch.no_grad():
        for parameter in net.parameters():
            fan = max(int(np.prod(parameter.shape[1:])), 1)
            values = rng.normal(0, 1 / np.sqrt(fan), tuple(parameter.shape))
            parameter.copy_(torch.from_numpy(values))
    return TorchModel(net.eval(), spec, SEVEN)


def clip() -> dict[str, Any]:
    """The table of a drawn clip of two people."""
    from mien import video
    from tests.video import clips

    with tempfile.TemporaryDirectory() as folder:
        path = clips.write(Path(folder) / "two.mp4", 12)
        options = video.VideoOptions(fps=6)
        result = video.analyse(path, recognizer=mien.load(threads=1), options=options)
        record: dict[str, Any] = json.loads(json.dumps(result.to_dict()).replace(folder, ""))
        return {k: v for k, v in record.items() if k not in FREE}


def recorded(explanation: mien.Explanation) -> dict[str, Any]:
    """A record with its map in 6 x 6 sums, and without what is free."""
    record = {k: v for k, v in explanation.to_dict().items() if k not in FREE}
    values = np.asarray(record.pop("values"))
    edges = np.linspace(0, len(values), 7).astype(int)[:-1]
    record["map"] = np.add.reduceat(np.add.reduceat(values, edges, axis=0), edges, axis=1).tolist()
    return record


def rounded(value: Any) -> Any:
    """Numbers with five digits, all else as it stands."""
    if isinstance(value, float):
        return float(f"{value:.5g}") if abs(value) > 1e-6 else 0.0
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value


def measure() -> dict[str, Any]:
    """All golden numbers."""
    recognizer = mien.load(detector="haar")
    crop = recognizer.crops(read(PORTRAIT))[0].image
    found = {
        "portrait": rounded(portrait()),
        "drawn": rounded(drawn()),
        "networks": rounded(networks(crop)),
        "clip": rounded(clip()),
    }
    relative: dict[str, Any] = json.loads(json.dumps(found).replace(f"{ROOT}/", ""))
    return relative


def read(path: Path) -> ImageArray:
    from mien.vision.read import read_image

    return read_image(path)


def differences(golden: Any, now: Any, place: str = "") -> list[str]:
    """Where two results differ: other keys or texts, or numbers by more than 0.2 % and 0.002."""
    if isinstance(golden, dict) and isinstance(now, dict):
        if golden.keys() != now.keys():
            return [f"{place}: {sorted(golden.keys() ^ now.keys())}"]
        return [d for k in golden for d in differences(golden[k], now[k], f"{place}/{k}")]
    if isinstance(golden, list) and isinstance(now, list):
        if len(golden) != len(now):
            return [f"{place}: {len(golden)} entries, now {len(now)}"]
        pairs = enumerate(zip(golden, now, strict=True))
        return [d for i, (a, b) in pairs for d in differences(a, b, f"{place}/{i}")]
    if isinstance(golden, int | float) and isinstance(now, int | float):
        same = abs(golden - now) <= 0.002 + 0.002 * abs(golden)
    else:
        same = golden == now
    return [] if same else [f"{place}: {golden!r}, now {now!r}"]


if __name__ == "__main__":
    FILE.write_text(json.dumps(measure(), indent=0) + "\n", encoding="utf-8")
