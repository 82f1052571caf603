"""FER2013's label as its crowd would give it: the chance of each label, given the votes.

A label is one opinion and often wrong; ten raters saw the same face. Their votes are known for
training images alone, and say what a network that sees only the image should learn: distillation
from privileged information (Lopez-Paz et al. 2016, arXiv:1511.03643).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.examples import Examples

HIDDEN = 16
DECAY = 1e-5


def features(votes: Tensor) -> Tensor:
    """Shares of the raters and their logarithms, ``[N, 20]`` for votes ``[N, 10]``."""
    return torch.cat([votes / 10, torch.log(votes + 0.5)], dim=1)


def label_chances(train: Examples, others: Examples) -> tuple[Tensor, Tensor]:
    """Chances of the seven labels ``[N, 7]`` for two splits, by a model fitted on the first."""
    torch.manual_seed(0)
    inputs = features(train.votes)
    net = nn.Sequential(nn.Linear(inputs.shape[1], HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 7))
    weights = [p for p in net.parameters() if p.dim() > 1]
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=150, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(inputs), train.labels)
        loss = loss + DECAY * torch.stack([(p**2).sum() for p in weights]).sum()
        torch.autograd.backward(loss)
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]  # torch types all but this one
    with torch.no_grad():
        return net(inputs).softmax(dim=1), net(features(others.votes)).softmax(dim=1)
