"""How often a work unit was begun and not finished, and which image ended its workers."""

from __future__ import annotations

import json
from collections import Counter

from mien.batch.storage import Place

MOST_ATTEMPTS = 3  # of a unit as a whole; after them its images are done one by one
MOST_DEATHS = 2  # of workers while they had begun one image, before it is given up


class Attempts:
    """The attempts at one unit, noted in a file that is removed when the unit is done.

    A note that is there when the unit begins says that the last worker died, by an image or by
    chance. After :data:`MOST_ATTEMPTS` of them the images are done one by one, each noted before
    it is begun; one that was begun at :data:`MOST_DEATHS` deaths is given up.
    """

    def __init__(self, note: Place) -> None:
        self.note = note
        before = _read(note)
        self.count = before[0] + 1
        self.deaths = before[1]
        self.one_by_one = self.count > MOST_ATTEMPTS
        self._write(None)

    def given_up(self, i: int) -> bool:
        """Whether image ``i`` of the unit is not to be tried again."""
        return self.deaths[str(i)] >= MOST_DEATHS

    def begin(self, i: int | None) -> None:
        """Note the image that is begun; None where it may be any of them."""
        self._write(i)

    def finish(self) -> None:
        """The unit is done."""
        self.note.remove()

    def _write(self, begun: int | None) -> None:
        note = {"attempts": self.count, "begun": begun, "deaths": self.deaths}
        self.note.write(json.dumps(note).encode())


def _read(note: Place) -> tuple[int, Counter[str]]:
    """Attempts and deaths by image so far; none where the note is absent or damaged."""
    try:
        found = json.loads(note.read())
        count, begun = int(found["attempts"]), found["begun"]
        deaths: Counter[str] = Counter({str(k): int(v) for k, v in found["deaths"].items()})
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return 0, Counter()
    if begun is not None:
        deaths[str(begun)] += 1
    return count, deaths
