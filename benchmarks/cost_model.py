"""The arithmetic of docs/scale.md: reads benchmarks/scale.json, prints the tables.

``python -m benchmarks.cost_model --write`` puts them into the page.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "scale.md"
BEGIN, END = "<!-- cost model -->", "<!-- end -->"

# assumed, not measured; change them to your own
CORES = 16  # of one machine
DISK = 500e6  # bytes per second that one machine reads from its disk
NETWORK = 1.25e9  # bytes per second of a 10 Gbit/s line
REQUESTS = 5500  # reads per second of one prefix of an object store
DAY = 86_400

DETECTORS = ("yunet", "blazeface-near", "blazeface")  # of these, those that were measured
PHOTOS = ("640 x 480", "12 megapixels")
MODEL = "mien-int8"


def measured(result: dict[str, Any]) -> list[str]:
    """The detectors whose jobs were measured with one worker and with two."""
    return [name for name in DETECTORS if f"{MODEL}, {name}" in result["scaling"]]


def per_image(result: dict[str, Any], detector: str, photo: str) -> dict[str, float]:
    """Seconds of one core for each stage of one image."""
    ms = result["stages"]["ms per image, one core"]
    decode = ms["decode, 640 x 480"]
    if photo != "640 x 480":
        near = " for blazeface-near" if detector == "blazeface-near" else ""
        decode = ms[f"decode, 12 megapixels, reduced{near}"]
    return {
        "decode": decode / 1000,
        "detect": ms[f"detect, {detector}"] / 1000,
        "align and answer": ms[f"align and answer, {detector}"] / 1000,
    }


def efficiency(result: dict[str, Any], detector: str) -> float:
    """Processor time of an image with one worker, over that with two: what sharing costs."""
    row = result["scaling"][f"{MODEL}, {detector}"]
    one, two = (row[f"{n}, ms of processor time per image"] for n in ("1 worker", "2 workers"))
    return min(float(one) / float(two), 1.0)


def tables(result: dict[str, Any]) -> str:
    """All tables, as Markdown."""
    return "\n\n".join([stages(result), machines(result), bottlenecks(result)])


def stages(result: dict[str, Any]) -> str:
    lines = [
        "| photos | detector | decode, ms | detect, ms | align and answer, ms | "
        "images/s per core |",
        "|---|---|---|---|---|---|",
    ]
    for photo in PHOTOS:
        for detector in measured(result):
            cost = per_image(result, detector, photo)
            shown = " | ".join(f"{1000 * value:.1f}" for value in cost.values())
            rate = 1 / sum(cost.values())
            lines.append(f"| {photo} | `{detector}` | {shown} | {rate:.0f} |")
    return "\n".join(lines)


def machines(result: dict[str, Any]) -> str:
    lines = [
        "| images | photos | detector | core hours | one machine | machines for one day |",
        "|---|---|---|---|---|---|",
    ]
    for count, name in ((1e6, "a million"), (1e9, "a billion")):
        for photo in PHOTOS:
            for detector in measured(result):
                seconds = count * sum(per_image(result, detector, photo).values())
                busy = seconds / efficiency(result, detector)
                lines.append(
                    f"| {name} | {photo} | `{detector}` | {_round(busy / 3600)} | "
                    f"{_time(busy / CORES)} | {-(-busy // (CORES * DAY)):,.0f} |"
                )
    return "\n".join(lines)


def bottlenecks(result: dict[str, Any]) -> str:
    """What one machine of CORES reads at full speed, and where something else is full first."""
    sizes = result["stages"]["bytes per file"]
    lines = [
        f"| photos | detector | images/s of one machine ({CORES} cores) | reads, MB/s | "
        "its disk is full at, cores | its network at, cores | one prefix at, machines |",
        "|---|---|---|---|---|---|---|",
    ]
    for photo in PHOTOS:
        for detector in measured(result):
            core = efficiency(result, detector) / sum(per_image(result, detector, photo).values())
            size = sizes[photo]
            whole = core * CORES  # images per second of one machine
            lines.append(
                f"| {photo} | `{detector}` | {whole:,.0f} | {whole * size / 1e6:,.0f} | "
                f"{DISK / size / core:,.0f} | {NETWORK / size / core:,.0f} | "
                f"{REQUESTS / whole:,.1f} |"
            )
    plan = result["plan"]
    listing = 1e9 / plan["images listed per second"]
    lines += [
        "",
        f"Listing is done by one process, {plan['images listed per second']:,} files a "
        f"second: {_time(1e6 / plan['images listed per second'])} for a million, "
        f"{_time(listing)} for a billion. The plan takes "
        f"{plan['bytes of plan per image']:.0f} bytes and the rows "
        f"{plan['bytes of rows per image']:.0f} bytes per image: "
        f"{plan['bytes of rows per image'] * 1e9 / 1e9:,.0f} GB for a billion.",
    ]
    return "\n".join(lines)


def _round(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _time(seconds: float) -> str:
    """A length of time in the unit that people would use."""
    for size, name in ((DAY, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{_round(seconds / size)} {name}"
    return f"{_round(seconds)} seconds"


def filled(page: str, text: str) -> str:
    """The page with the tables between its marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}"


def main() -> None:
    text = tables(json.loads((HERE / "scale.json").read_text(encoding="utf-8")))
    if "--write" in sys.argv:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(filled(page, text), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
