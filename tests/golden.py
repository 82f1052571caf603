"""Write the golden numbers of the example portrait: ``python -m tests.golden``."""

from __future__ import annotations

import json
from pathlib import Path

import mien

ROOT = Path(__file__).parent.parent


def measure() -> dict[str, dict[str, float]]:
    """Scores and regional evidence of the portrait, found by the base install's detector."""
    recognizer = mien.load(detector="haar")
    photo = ROOT / "examples" / "astronaut.jpg"
    numbers = {"scores": recognizer.predict(photo)[0].emotions}
    for method in ("regions", "dncshap", "cam"):
        numbers[method] = recognizer.explain(photo, method=method)[0].regions
    return {key: {k: round(v, 4) for k, v in row.items()} for key, row in numbers.items()}


if __name__ == "__main__":
    path = Path(__file__).parent / "golden.json"
    path.write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")
