"""``mien models``: the models on this machine, and those that can be fetched."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.markup import escape

from mien.commands.terminal import out, plain, say

app = typer.Typer(
    help="The models on this machine, and those that can be fetched.", no_args_is_help=True
)


@app.command("list")
def list_models() -> None:
    """The built-in models, with what was measured, and the files that can be fetched."""
    from mien.fetch import fetched
    from mien.models.onnx import Model
    from mien.models.weights import BUILT_IN, locate
    from mien.vision import faces

    for name in BUILT_IN:
        path = locate(name)
        if not path.is_file():
            continue
        card = Model(path).card
        scores = card.metrics.get("PrivateTest", {})
        parts = [
            f"{key} {scores[key]['value']:.3f}"
            for key in ("ferplus accuracy, majority", "fer2013 accuracy")
            if key in scores
        ]
        size = path.stat().st_size / 1e6
        out.print(f"[bold]{name}[/bold]  {size:.1f} MB  {escape(plain(card.summary))}")
        out.print(f"  PrivateTest: {', '.join(parts) or 'not measured'}; {card.licence}")
    for name, remote in faces.remotes().items():
        where = fetched(remote)
        state = f"at {where}" if where else f"not here; run: mien models fetch {name}"
        out.print(f"[bold]{name}[/bold]  {remote.purpose}; {remote.licence}; {state}")


@app.command("fetch")
def fetch_model(name: Annotated[str, typer.Argument(help="yunet")]) -> None:
    """Fetch a model file once and check its SHA-256."""
    from mien.fetch import fetch
    from mien.registry import choose
    from mien.vision import faces

    known = faces.remotes()
    say(f"{name}: {fetch(known[choose('model to fetch', name, known)])}")


@app.command("card")
def show_card(
    name: Annotated[str, typer.Argument(help="A built-in name, a file, or a run.")] = "mien",
) -> None:
    """Print a model's card: data, protocol, scores, licence, intended use."""
    from mien.runs.open import open_model

    sys.stdout.write(open_model(name).card.to_json() + "\n")
