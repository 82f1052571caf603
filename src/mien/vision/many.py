"""Rows of many images: read ahead, answered together; a failure costs no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from mien.types import Face, ImageArray, Prediction
from mien.vision.crops import Crop
from mien.vision.faces import Detector
from mien.vision.inputs import ReadImage, failure
from mien.vision.read import Source, read_image, read_reduced


class FindCrops(Protocol):
    """What makes the crops of each image, of faces that were ``found`` already or not."""

    def __call__(
        self, images: Sequence[ImageArray], *, found: Sequence[list[Face]] | None
    ) -> list[list[Crop]]:
        """Crops left to right, for each image."""


class Answers(Protocol):
    """What makes rows of the faces of one image that was read at ``scale`` times its size."""

    def __call__(self, name: str, crops: Sequence[Crop], *, scale: float) -> list[Prediction]:
        """One row per face."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Groups of images that were read as rows; never raises for a bad image.

    ``detector`` is asked while images are read, where several threads may; ``crops_of`` makes the
    crops of a group by one call of the model; ``size`` is the side in pixels
    of what the model sees; ``bgr`` says the channel order of arrays.
    """

    detector: Detector
    crops_of: FindCrops
    answers: Answers
    size: int
    bgr: bool = False

    def reader(self, longest: int | None) -> Callable[[tuple[str, Source]], ReadImage]:
        """What reads one image; of large JPEGs at least ``longest`` pixels where that is given."""

        def read(item: tuple[str, Source]) -> ReadImage:
            try:
                read_one = read_reduced(item[1], longest, bgr=self.bgr)
                return self._searched(ReadImage(*item, *read_one))
            except Exception as error:  # one bad image must not cost the others
                return ReadImage(*item, error=failure(item[0], error))

        return read

    def __call__(self, group: list[ReadImage]) -> list[list[Prediction]]:
        """Rows of each image, by one model call, or one each where that fails."""
        good = [item for item in group if item.image is not None]
        try:
            crops = self.crops_of(
                [item.image for item in good if item.image is not None],
                found=[item.faces for item in good if item.faces is not None] or None,
            )
        except Exception as error:
            if len(group) > 1:
                return [rows for item in group for rows in self([item])]
            return [[Prediction(group[0].name, error=failure(group[0].name, error))]]
        found = {id(item): part for item, part in zip(good, crops, strict=True)}
        rows = []
        for item in group:
            mine = found.get(id(item), [])
            if item.scale < 1 and any(max(c.face.box[2:]) < 2 * self.size for c in mine):
                rows += self([self._whole(item)])
            elif item.error is not None:
                rows.append([Prediction(item.name, error=item.error)])
            else:
                answers = self.answers(item.name, mine, scale=item.scale)
                rows.append(answers or [Prediction(item.name)])
        return rows

    def _searched(self, item: ReadImage) -> ReadImage:
        """An image with its faces, where the detector may be asked by any thread."""
        if item.image is None or not self.detector.threads:
            return item
        return replace(item, faces=self.detector(item.image))

    def _whole(self, item: ReadImage) -> ReadImage:
        """The image again, at its full size: it shows a small face."""
        try:
            image = read_image(item.source, bgr=self.bgr)
            return self._searched(ReadImage(item.name, item.source, image))
        except Exception as error:
            return ReadImage(item.name, item.source, error=failure(item.name, error))
