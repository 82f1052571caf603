"""What the service can do, as data: the model's card, its methods and their options, the limits."""

from __future__ import annotations

import math
from typing import Any

from mien import __version__
from mien.emotions import COLOURS
from mien.explainers import BASELINES, METHODS, supported
from mien.models.card import Card
from mien.recognizer import Recognizer
from mien.results.draw import AGAINST, FOR, LOOK
from mien.web import examples
from mien.web.choices import Choices
from mien.web.settings import Limits

#: What the page and the service say of what they are for.
NOTICE = {
    "privacy": "Nothing leaves this machine: photos are answered in memory and forgotten.",
    "reads": "The model reads a perceived expression, not a feeling.",
    "not_for": (
        "Not for decisions about people: not at work, in education, hiring, policing or medicine. "
        "In the European Union, inferring emotions at work and in education is prohibited (AI Act, "
        "Article 5(1)(f)), and people must be told where such a system is used on them "
        "(Article 50(3))."
    ),
}


def methods(recognizer: Recognizer) -> list[dict[str, Any]]:
    """The methods that can explain this model, with their options and defaults."""
    found = [METHODS.get(name) for name in supported(recognizer.model)]
    return [
        {
            "name": method.name,
            "title": method.title,
            "summary": method.summary,
            "overlay": method.overlay,
            "baseline": method.baseline,
            "about_target": method.about_target,
            "options": [
                {
                    "name": option.name,
                    "title": option.title,
                    "choices": dict(option.choices),
                    "type": option.kind.__name__,
                    "default": option.default,
                    "most": method.most.get(option.name),
                }
                for option in method.options.values()
            ],
        }
        for method in found
    ]


def describe(recognizer: Recognizer, limits: Limits, choices: Choices) -> dict[str, Any]:
    """The model that answers, and all that one may ask of it."""
    model = recognizer.model
    return {
        "models": [
            {
                "name": model.card.name,
                "identity": model.identity,
                "sha256": model.sha256,
                "head": model.head_name,
                "prior": recognizer.prior,
                "flip": model.flip,
                "labels": list(recognizer.labels),
                "detector": recognizer.detector.name,
                "card": _card(model.card),
            }
        ],
        "methods": methods(recognizer),
        "baselines": list(BASELINES),
        **choices.to_dict(),
        "limits": vars(limits),
        "notice": NOTICE,
        "examples": examples.listed(),
        "colours": {"for": FOR, "against": AGAINST, "look": LOOK, "expressions": COLOURS},
        "version": __version__,
    }


def _card(card: Card) -> dict[str, Any]:
    return {
        "summary": card.summary,
        "licence": card.licence,
        "data": card.data,
        "protocol": card.protocol,
        "intended_use": card.intended_use,
        "metrics": _plain(card.metrics),
        "input": f"{card.preprocess.size} x {card.preprocess.size} pixels, "
        f"{card.preprocess.channels} channel{'s' if card.preprocess.channels > 1 else ''}",
        "temperatures": {name: head.temperature for name, head in card.heads.items()},
        "recipe_hash": card.recipe_hash,
        "versions": card.versions,
    }


def _plain(value: Any) -> Any:
    """The same without numbers that JSON cannot hold."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
