"""One network from several that started alike: the mean of their weights.

``python -m training.soup RECIPE FOLDER RUN/best.pt ...`` writes ``FOLDER/best.pt``. Networks that
were trained on from the same weights lie in one basin, where the mean of the weights answers as
their ensemble does, at the cost of one (Wortsman et al. 2022, arXiv:2203.05482). Networks are added
one after another, the best on PublicTest first, and one stays only if PublicTest gains by it.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from training.answers import scores_of
from training.batches import Batches
from training.examples import Examples, read_examples
from training.networks import build
from training.recipe import read_recipe

STATISTICS = 64  # batches of augmented training crops that the normalisation is measured on


def mean_of(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several networks' weights; counters are those of the first.

    >>> mean_of([{"w": torch.tensor([1.0])}, {"w": torch.tensor([2.0])}])
    {'w': tensor([1.5000])}
    """
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0)
        if first.dtype.is_floating_point
        else first
        for name, first in states[0].items()
    }


@torch.no_grad()
def measure_statistics(net: nn.Module, batches: Batches, seed: int) -> None:
    """Set the batch normalisations' means and variances by augmented training crops, in place.

    The mean of the weights has statistics of its own.
    """
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    generator = torch.Generator().manual_seed(seed)
    net.train()
    how = batches.recipe.training
    for _ in range(STATISTICS):
        rows = torch.randint(len(batches), (how.batch_size,), generator=generator)
        net(batches.make(rows, generator)[0].to(memory_format=torch.channels_last))
    net.eval()


def selected(net: nn.Module, public: Examples) -> tuple[float, str]:
    """What a network is chosen by, as in training, and its scores in words."""
    found = scores_of(net, public)
    return found["fer2013"] + found["ferplus"], "  ".join(f"{k} {v:.4f}" for k, v in found.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("networks", type=Path, nargs="+")
    args = parser.parse_args()
    recipe = read_recipe(args.recipe)
    data = read_examples(args.folder / "arrays.npz", "train")
    public = read_examples(args.folder / "arrays.npz", "val")
    batches = Batches(data, recipe, args.folder)
    net = build(recipe, data).to(memory_format=torch.channels_last)
    parts = []
    for path in args.networks:
        state = torch.load(path, weights_only=True, map_location="cpu")
        net.load_state_dict(state)
        value, text = selected(net, public)
        parts.append((value, path, state))
        print(f"{path}: {text}", flush=True)
    parts.sort(key=lambda part: -part[0])
    best, taken, final = parts[0][0], [parts[0][2]], copy.deepcopy(parts[0][2])
    for _, path, state in parts[1:]:
        net.load_state_dict(mean_of([*taken, state]))
        measure_statistics(net, batches, recipe.training.seed)
        value, text = selected(net, public)
        kept = value > best
        print(f"with {path}: {text}  {'kept' if kept else 'left out'}", flush=True)
        if kept:
            best, taken, final = value, [*taken, state], copy.deepcopy(net.state_dict())
    torch.save(final, args.folder / "best.pt")


if __name__ == "__main__":
    main()
