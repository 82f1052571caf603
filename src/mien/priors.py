"""Priors: how often each expression is expected before a face is seen, and how to change that.

A network that was trained where half of the faces were neutral expects as many elsewhere. Its
probabilities under one prior determine those under another (Saerens et al. 2002,
doi:10.1162/089976602753284446): each is multiplied by the ratio of the two priors, and the rest
is scaling. Where many faces were answered, the prior that they have can be estimated from them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from mien.emotions import label
from mien.options import pairs
from mien.types import FloatArray, InputError, UnknownNameError

Prior = str | Mapping[str, float]

EVEN: Final = "even"
ESTIMATE: Final = "estimate"


def read_prior(
    prior: Prior,
    labels: Sequence[str],
    named: Mapping[str, Mapping[str, float]] | None = None,
) -> FloatArray:
    """Shares ``[K]`` of the labels, which sum to 1.

    ``prior`` is ``even``, one of the ``named``, or shares: a mapping, or a text such as
    ``happy=.4,sad=.6``. Of a named prior, labels that are not asked for are left out and the rest
    is rescaled. Raises UnknownNameError for another name or label, InputError for shares that are
    not positive numbers, do not sum to 1, or lack a label.

    Parameters
    ----------
    labels
        The expressions, in the order of the shares.

    >>> read_prior("even", ("happy", "sad")).tolist()
    [0.5, 0.5]
    >>> read_prior("joy=.8,sad=.2", ("happy", "sad")).tolist()
    [0.8, 0.2]
    """
    known = {} if named is None else named
    if isinstance(prior, str) and prior == EVEN:
        return np.full(len(labels), 1 / len(labels))
    if isinstance(prior, str) and prior in known:
        shares = known[prior]
        if missing := [name for name in labels if name not in shares]:
            raise InputError(
                f"the prior {prior!r} says nothing of {', '.join(missing)}; "
                "give a share for each expression"
            )
        found = np.array([shares[name] for name in labels], dtype=np.float64)
        return np.asarray(found / found.sum())
    if isinstance(prior, str) and "=" not in prior:
        raise UnknownNameError(
            f"expected a prior ({', '.join((EVEN, *known))}, or a share for each expression, as "
            f"happy=.4,sad=.1,...), got {prior!r}"
        )
    return _shares(pairs(prior.split(",")) if isinstance(prior, str) else prior, labels)


def _shares(given: Mapping[str, Any], labels: Sequence[str]) -> FloatArray:
    """Shares that were given one by one, checked."""
    found: dict[str, float] = {}
    for name, value in given.items():
        known = label(str(name), labels)
        if known in found:
            raise InputError(f"prior: expected one share for {known}, got two")
        found[known] = _share(known, value)
    if missing := [name for name in labels if name not in found]:
        raise InputError(f"prior: expected a share for each expression; {', '.join(missing)} lack")
    shares = np.array([found[name] for name in labels])
    if abs(shares.sum() - 1) > 0.01:
        raise InputError(f"prior: expected shares that sum to 1, got a sum of {shares.sum():.4g}")
    return np.asarray(shares / shares.sum())


def _share(name: str, value: Any) -> float:
    try:
        share = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        share = math.nan
    if not 0 < share <= 1:
        raise InputError(f"prior: expected a share above 0 and up to 1 for {name}, got {value!r}")
    return share


def shares_of(prior: Mapping[str, float], labels: Sequence[str]) -> dict[str, float] | None:
    """A prior narrowed to some of its labels and rescaled; None where it is empty.

    >>> shares_of({"happy": 0.4, "sad": 0.4, "contempt": 0.2}, ("happy", "sad"))
    {'happy': 0.5, 'sad': 0.5}
    """
    if not prior:
        return None
    whole = sum(prior[name] for name in labels)
    return {name: prior[name] / whole for name in labels}


def shifted(probability: FloatArray, of: FloatArray, to: FloatArray) -> FloatArray:
    """Probabilities ``[..., K]`` under the prior ``of`` as they are under the prior ``to``.

    Equation 4 of Saerens et al. 2002.

    >>> import numpy as np
    >>> shifted(np.array([0.5, 0.5]), np.array([0.5, 0.5]), np.array([0.9, 0.1])).round(3).tolist()
    [0.9, 0.1]
    """
    odds = np.asarray(probability, dtype=np.float64) * (np.asarray(to) / np.asarray(of))
    return np.asarray(odds / odds.sum(axis=-1, keepdims=True))


def estimated(
    probability: FloatArray, of: FloatArray, *, rounds: int = 1000, tolerance: float = 1e-7
) -> FloatArray:
    """The prior ``[K]`` of the faces whose probabilities ``[N, K]`` under ``of`` are given.

    Saerens et al. 2002, section 2.2: expectation maximisation of the likelihood of the prior,
    from ``of`` on. It supposes that faces of one expression look as they did in training, and
    probabilities that are calibrated. No share falls below one in a million. Raises InputError
    without rows.

    Parameters
    ----------
    probability
        Answers ``[N, K]`` under the prior that they were made with.
    rounds
        At most so many.
    tolerance
        The change of a share at which it ends.

    >>> import numpy as np
    >>> sure = np.array([[0.99, 0.01]] * 30 + [[0.01, 0.99]] * 10)
    >>> estimated(sure, np.array([0.5, 0.5])).round(2).tolist()
    [0.76, 0.24]
    """
    if probability.ndim != 2 or not len(probability):
        raise InputError("expected at least one answer to estimate a prior from, got none")
    start = np.asarray(of, dtype=np.float64)
    now = start
    for _ in range(rounds):
        before, now = now, np.maximum(shifted(probability, start, now).mean(axis=0), 1e-6)
        now = now / now.sum()
        if np.abs(now - before).max() < tolerance:
            break
    return np.asarray(now)
