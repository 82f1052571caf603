"""What a caller may choose besides the question: the detector and the prior."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final

from mien.priors import EVEN
from mien.recognizer import Recognizer
from mien.registry import choose
from mien.types import InputError, MienError, UnknownNameError
from mien.vision import faces
from mien.web.limits import Refusal


@dataclass(frozen=True)
class Choice:
    """A detector and a prior by their names; None is what the server was started with."""

    detector: str | None = None
    prior: str | None = None


OWN: Final = Choice()


class Choices:
    """The recognizers of one server: one set of networks, and a detector for each that is asked."""

    def __init__(self, recognizer: Recognizer) -> None:
        self.recognizer = recognizer
        own = recognizer.detector.name
        found = [n for n in faces.names() if n == own or faces.DETECTORS.get(n).available()]
        #: What a detector is for, by its name; the server's own is the first.
        self.detectors = {n: faces.DETECTORS.get(n).title or n for n in [own, *found]}
        self.priors = _priors(recognizer)
        self._lock = threading.Lock()
        self._made: dict[Choice, Recognizer] = {OWN: recognizer}
        self._tools = {own: recognizer.detector}

    def get(self, choice: Choice) -> Recognizer:
        """The recognizer of a choice; Refusal for a name that there is not."""
        try:
            if choice.detector is not None:
                choose("detector", choice.detector, self.detectors)
            if choice.prior is not None:
                choose("prior", choice.prior, self.priors)
            with self._lock:
                if choice not in self._made:
                    self._made[choice] = self._make(choice)
                return self._made[choice]
        except MienError as error:
            code = "unknown_name" if isinstance(error, UnknownNameError) else "invalid"
            raise Refusal(422, code, str(error)) from error

    def _make(self, choice: Choice) -> Recognizer:
        name = choice.detector or self.recognizer.detector.name
        if name not in self._tools:
            self._tools[name] = faces.create(name)
        return self.recognizer.using(detector=self._tools[name], prior=choice.prior)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready names, with what they mean."""
        return {
            "detectors": [{"name": n, "title": t} for n, t in self.detectors.items()],
            "priors": [{"name": n, "title": t} for n, t in self.priors.items()],
        }


def _priors(recognizer: Recognizer) -> dict[str, str]:
    """The priors that a model's answers can be put under, and what they mean."""
    heads = recognizer.model.card.heads
    titles = {name: f"as often as in {name}" for name, head in heads.items() if head.prior}
    found = {}
    for name in (EVEN, *titles):
        try:
            recognizer.using(prior=name)
        except InputError:  # its head says nothing of what it expects
            continue
        found[name] = titles.get(name, "each expression alike")
    return found
