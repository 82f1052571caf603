"""``mien models``: the models on this machine, and those that can be fetched."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from mien.commands.terminal import out, plain, say

if TYPE_CHECKING:
    from mien.models.card import Head

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
        for head, found in card.heads.items():
            default = " (default)" if head == card.default_head else ""
            say(f"  head {head}{default}: {len(found.labels)} expressions, {_prior(found)}")
        out.print(f"  PrivateTest: {', '.join(parts) or 'not measured'}; {card.licence}")
    for name, remote in faces.remotes().items():
        where = fetched(remote)
        state = f"at {where}" if where else f"not here; run: mien models fetch {name}"
        out.print(f"[bold]{name}[/bold]  {remote.purpose}; {remote.licence}; {state}")


def _prior(head: Head) -> str:
    """The prior of a head's answers in words."""
    if not head.prior:
        return "its prior is not stated"
    if max(head.prior) - min(head.prior) < 1e-3:
        return "even prior"
    shares = zip(head.labels, head.prior, strict=True)
    return "prior " + ", ".join(f"{name} {share:.3f}" for name, share in shares)


@app.command("fetch")
def fetch_model(
    name: Annotated[str, typer.Argument(help="The detector whose file is wanted.")],
) -> None:
    """Fetch a model file once and check its SHA-256."""
    from mien.fetch import fetch
    from mien.registry import choose
    from mien.types import InputError
    from mien.vision import faces

    known = faces.remotes()
    if not known:
        raise InputError("nothing to fetch: the models and detectors of Mien are in the package")
    say(f"{name}: {fetch(known[choose('model to fetch', name, known)])}")


@app.command("card")
def show_card(
    name: Annotated[str, typer.Argument(help="A built-in name, a file, or a run.")] = "mien",
) -> None:
    """Print a model's card: data, protocol, scores, licence, intended use."""
    from mien.runs.open import open_model

    sys.stdout.write(open_model(name).card.to_json() + "\n")
