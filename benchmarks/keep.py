"""Keep what finished runs measured under benchmarks/results: no image, no weights, no folder names.

``python -m benchmarks.keep RUN[=NAME] ...`` writes NAME.json, NAME.md and NAME.toml of each run's
report and recipe, and prints the run's row of docs/results.md. NAME defaults to the folder's.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from mien.wording import duration

RESULTS = Path(__file__).parent / "results"
FOLDERS = re.compile(r"(?<![\w:/])(/[\w.+-]+)+/(?=[\w.+-])")  # of an absolute path


def anonymous(text: str) -> str:
    """A text without the folders of absolute paths.

    >>> anonymous("/data/runs/a.pth: 3 tensors taken, 1/2 mean")
    'a.pth: 3 tensors taken, 1/2 mean'
    """
    return FOLDERS.sub("", text)


def row(name: str, report: dict[str, Any]) -> str:
    """One row of the tables: printed, ours with its interval, images, epochs, minutes."""
    facts, found, about = report["facts"], report["test"]["accuracy"], report["about"]
    printed = f"{about['expected']:.1%}" if about["expected"] else ""
    ours = f"{found['value']:.1%} ({found['low']:.1%} to {found['high']:.1%})"
    return (
        f"| [{name}](../benchmarks/results/{name}.md) | {printed} | {ours} | {found['images']:,} | "
        f"{facts['protocol']}, {facts['split']} | {facts['epochs']} | "
        f"{duration(facts['training_seconds'])} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", help="a run's folder, or RUN=NAME")
    args = parser.parse_args()
    for text in args.runs:
        folder, _, name = text.partition("=")
        run = Path(folder)
        name = name or run.name
        for source, kind in (("report.json", "json"), ("report.md", "md"), ("recipe.toml", "toml")):
            content = anonymous((run / source).read_text(encoding="utf-8"))
            (RESULTS / f"{name}.{kind}").write_text(content, encoding="utf-8")
        print(row(name, json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
