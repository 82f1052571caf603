"""A verdict as JSON, Markdown, one HTML file and a figure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Final

import numpy as np

from mien.files import write_whole
from mien.judging.judge import Estimate, Verdict, to_dict
from mien.results import draw
from mien.results.tables import markdown_table
from mien.types import ImageArray

#: Column -> its measure and how it reads; the first table.
MAIN: Final[dict[str, tuple[str, str]]] = {
    "passes": ("passes", ".0f"),
    "seconds": ("seconds", ".3f"),
    "insertion - deletion": ("gap", ".3f"),
    "infidelity": ("infidelity", ".3f"),
    "exact Shapley": ("exact Shapley", ".2f"),
    "Dice 10 %": ("dice 10%", ".3f"),
    "Dice 20 %": ("dice 20%", ".3f"),
    "Dice 30 %": ("dice 30%", ".3f"),
    "sensitivity": ("sensitivity", ".2f"),
    "randomised": ("randomised", ".2f"),
    "sparseness": ("sparseness", ".2f"),
    "background": ("background", ".0%"),
    "pointing": ("pointing", ".2f"),
    "chance": ("chance", ".2f"),
    "edges": ("edges", ".2f"),
    "pointing, randomised": ("pointing, randomised", ".2f"),
    "inside": ("inside", ".2f"),
}
BRIEF: Final = ("passes", "seconds", "insertion - deletion", "infidelity", "exact Shapley",
                "Dice 20 %", "randomised", "pointing")  # fmt: skip
#: What the columns mean, for people who have not read the documentation.
MEANING: Final[dict[str, str]] = {
    "passes": "forward passes of the model for one explanation",
    "seconds": "median time of one explanation",
    "insertion - deletion": "how much sooner the answer appears than it vanishes when the pixels "
    "are shown, or taken away, best first; mean over three baselines; higher is better",
    "infidelity": "how badly the map predicts what hiding a square does; 0 is perfect, 1 says "
    "nothing",
    "exact Shapley": "correlation with the exact Shapley values of the facial regions",
    "Dice 10 %": "overlap of the strongest tenth of the pixels with that of SHAP's partition "
    "values",
    "Dice 20 %": "likewise, the strongest fifth",
    "Dice 30 %": "likewise, the strongest three tenths",
    "sensitivity": "how far noise of 5 grey levels moves the map; lower is steadier",
    "randomised": "likeness to the map of the network with its weights shuffled, anew for each "
    "face; near 0 is right",
    "sparseness": "0 for an even map, 1 for a single pixel; neither is better",
    "background": "share of the evidence outside the face",
    "pointing": "whether the strongest pixel lies in or near the true evidence of a drawn face",
    "chance": "what a pixel at random would reach in the pointing game",
    "edges": "what the strongest edge of the picture would reach: a chance that knows contrast",
    "pointing, randomised": "the pointing game of the network with its weights shuffled",
    "inside": "share of the evidence in the true evidence of a drawn face",
}


def write(verdict: Verdict, folder: Path) -> list[Path]:
    """Write ``judge.json``, ``.md``, ``.html`` and ``.png`` into a folder that exists."""
    picture = draw.png(figure(verdict))
    contents: dict[str, str | bytes] = {
        "judge.json": json.dumps(to_dict(verdict), indent=1) + "\n",
        "judge.md": markdown(verdict),
        "judge.html": html(verdict, picture),
        "judge.png": picture,
    }
    return [write_whole(folder / name, content) for name, content in contents.items()]


def columns(verdict: Verdict) -> dict[str, tuple[str, str]]:
    """The columns of the main table that some row has."""
    measured = {name for row in verdict.table.values() for name in row}
    return {title: column for title, column in MAIN.items() if column[0] in measured}


def cell(mean: Estimate | None, form: str, *, interval: bool = False) -> str:
    """A number of the table, "-" where it was not measured.

    >>> cell(Estimate(0.5, 0.4, 0.6, 9), ".2f", interval=True)
    '0.50 (0.40 to 0.60)'
    """
    if mean is None:
        return "-"
    text = format(mean.value, form)
    return f"{text} ({mean.low:{form}} to {mean.high:{form}})" if interval else text


def rows(verdict: Verdict, table: Mapping[str, Mapping[str, Estimate]]) -> list[list[str]]:
    """Cells of the main table: a heading, then a row per method."""
    shown = columns(verdict)
    body = [
        [name, *(cell(found.get(key), form) for key, form in shown.values())]
        for name, found in table.items()
    ]
    return [["method", *shown], *body]


def brief_rows(verdict: Verdict) -> list[list[str]]:
    """The main table with the columns that fit into a terminal."""
    cells = rows(verdict, verdict.table)
    kept = [i for i, name in enumerate(cells[0]) if i == 0 or name in BRIEF]
    return [[row[i] for i in kept] for row in cells]


def unit_rows(verdict: Verdict) -> list[list[str]]:
    """Cells of the action-unit table."""
    body = [
        [name, f"{v['lift']:+.3f}", f"{v['low']:+.3f} to {v['high']:+.3f}", f"{v['p']:.4f}"]
        for name, v in verdict.action_units.items()
        if v
    ]
    return [["method", "lift", "95 % interval", "p, shuffled expectations"], *body]


def region_rows(verdict: Verdict) -> list[list[str]]:
    """Cells of the table of shares over areas."""
    keys = dict.fromkeys(
        key for row in verdict.table.values() for key in row if key.startswith("share/area, ")
    )
    body = [
        [name, *(cell(found.get(key), ".2f") for key in keys)]
        for name, found in verdict.table.items()
    ]
    return [["method", *(key.removeprefix("share/area, ") for key in keys)], *body]


def _sections(verdict: Verdict) -> list[tuple[str, str, list[list[str]]]]:
    """Title, what it says, and the table of each part of the report."""
    units = next((v["faces"] for v in verdict.action_units.values() if v), 0)
    found = [
        (
            "All faces",
            "Means over the faces; what the columns mean stands below.",
            rows(verdict, verdict.table),
        ),
        (
            "Where facial action coding would look",
            "Share of the evidence on the face that lies where the answer's action units show, "
            f"less the share of the face that this is ({units:.0f} faces; neutral has none). p: "
            "how often shuffled expectations reach the same mean.",
            unit_rows(verdict),
        ),
        (
            "Regions",
            "Share of the absolute evidence over share of the area: 1 is what an even map has.",
            region_rows(verdict),
        ),
    ]
    for label, table in verdict.classes.items():
        count = max((m.faces for row in table.values() for m in row.values()), default=0)
        found.append((f"Answer: {label}", f"{count} faces.", rows(verdict, table)))
    return found


def headline(verdict: Verdict) -> str:
    """One sentence: on what, and which methods lead where."""
    count = len(verdict.rows)
    text = f"{count} method{'s' if count > 1 else ''} on {verdict.faces} faces"
    if count == 1:
        return text + "."
    full = {n: t for n, t in verdict.table.items() if "gap" in t}
    faithful = _leading({n: t["gap"].value for n, t in full.items()})
    predicts = _leading({n: -t["infidelity"].value for n, t in full.items()})
    orders = "no method orders the pixels that matter to the answer better than another"
    if faithful:
        orders = f"the pixels that matter to the answer are ordered best by {faithful}"
    hides = "none predicts better what hiding a part does"
    if predicts:
        hides = f"what hiding a part does is predicted best by {predicts}"
    return f"{text}: {orders}, and {hides}."


def _leading(values: Mapping[str, float]) -> str:
    """The methods that no digit of the table tells from the best; none where it tells no two.

    >>> _leading({"cam": 0.4, "rise": 0.50001, "regions": 0.5})
    'rise and regions'
    >>> _leading({"cam": 0.0, "rise": 0.0001})
    ''
    """
    rounded = {name: round(value, 3) for name, value in values.items()}
    best = [name for name, value in rounded.items() if value == max(rounded.values())]
    if len(best) == len(rounded):
        return ""
    return " and ".join([", ".join(best[:-1]), best[-1]] if len(best) > 1 else best)


def markdown(verdict: Verdict) -> str:
    """The report as Markdown."""
    shaken = verdict.facts.get("shaken", 0)
    parts = [
        "# Which explanation to trust",
        headline(verdict),
        f"Model: {verdict.model}. It answers {verdict.facts.get('right', 0):.0%} of these faces "
        f"rightly; the answer is what is explained. Seed {verdict.seed}. Sensitivity and the "
        f"randomised network are measured on {shaken} of the faces.{_images(verdict)}",
    ]
    for title, text, table in _sections(verdict):
        parts += [f"## {title}", text, markdown_table(table[0], table[1:]).rstrip()]
    parts += ["## What the columns mean"]
    parts += ["\n".join(f"- **{name}**: {text}" for name, text in MEANING.items())]
    return "\n\n".join(parts) + "\n"


def _images(verdict: Verdict) -> str:
    """How the faces stand to the images that the model was trained on, where that was asked."""
    known = verdict.facts.get("images")
    return f" The faces: {known}." if known else ""


STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;
color:#1e2228;background:#fff}table{border-collapse:collapse;margin:.6rem 0 1.6rem;font-size:13px}
td,th{padding:.25rem .6rem;border-bottom:1px solid #d6dae0;text-align:right}
td:first-child,th:first-child{text-align:left}tr:first-child th{color:#707680}
.wide{overflow-x:auto}img{max-width:100%}@page{size:A4 landscape;margin:12mm}
@media print{body{margin:0;font-size:11px;max-width:none}table{font-size:8px}td,th{padding:2px 4px}
.wide{overflow:visible}}
"""


def html(verdict: Verdict, picture: bytes) -> str:
    """The report as one self-contained page."""
    parts = [f"<h1>Which explanation to trust</h1><p>{escape(headline(verdict))}</p>"]
    parts += [f'<p><img alt="{escape(headline(verdict))}" src="{draw.data_url(picture)}">']
    right = verdict.facts.get("right", 0)
    parts += [
        f"<p>Model: {escape(verdict.model)}. It answers {right:.0%} of these faces rightly; "
        f"the answer is what is explained. Seed {verdict.seed}.{escape(_images(verdict))}</p>"
    ]
    for title, text, table in _sections(verdict):
        head = "".join(f"<th>{escape(c)}</th>" for c in table[0])
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in table[1:]
        )
        parts += [
            f'<h2>{escape(title)}</h2><p>{escape(text)}</p><div class="wide"><table>'
            f"<tr>{head}</tr>{body}</table></div>"
        ]
    terms = "".join(
        f"<li><b>{escape(name)}</b>: {escape(text)}</li>" for name, text in MEANING.items()
    )
    parts += [f"<h2>What the columns mean</h2><ul>{terms}</ul>"]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Which explanation to trust'
        f"</title><style>{STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


SHOWN: Final = ("gap", "infidelity", "exact Shapley", "dice 20%", "randomised", "pointing")
LOWER: Final = ("infidelity", "randomised")  # of which less is better


def figure(verdict: Verdict) -> ImageArray:
    """Bars of the main measures, a panel each, a bar per method, ``[H, W, 3] uint8``."""
    titles = {key: title for title, (key, _) in MAIN.items()}
    panels = []
    for key in SHOWN:
        values = {n: t[key].value for n, t in verdict.table.items() if key in t}
        if not values:
            continue
        texts = {name: f"{value:.2f}" for name, value in values.items()}
        best = texts[(min if key in LOWER else max)(values, key=lambda name: values[name])]
        bars = draw.bars(
            {n: float(np.clip(v, -1, 1)) for n, v in values.items()},
            300,
            texts=texts,
            colours=dict.fromkeys(values, draw.AGAINST),
            names=128,
            strong=[name for name, text in texts.items() if text == best],
        )
        title = draw.wrapped(titles[key], 300, 15)
        note = draw.wrapped(MEANING[titles[key]], 300, 11, draw.PALE)
        panels.append(draw.stack([title, bars, note], 6))
    half = [draw.side_by_side(panels[i : i + 3], 28) for i in range(0, len(panels), 3)]
    head = draw.wrapped(headline(verdict), 956, 18)
    return draw.frame(draw.stack([head, *half], 18), 22).raster()
