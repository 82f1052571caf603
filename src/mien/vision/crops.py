"""Faces of many images, found, aligned and answered together: one model call for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, Protocol

import numpy as np

from mien.forks import unforked
from mien.types import Face, FloatArray, ImageArray
from mien.vision import faces
from mien.vision.framing import Framing, shown, whole_matrix
from mien.vision.geometry import (
    DISPLAY,
    Preprocess,
    align,
    box_matrix,
    cut,
    invert,
    largest,
    sample,
    transform,
)

TILTED: Final = 0.12  # radians
PORTRAIT: Final = 128  # pixels: whole pictures this large may show more than a face
CLOSE: Final = 0.8  # of a picture's shorter side: where a face has more, the picture is its crop


class Answers(Protocol):
    """What a network says of N crops."""

    @property
    def logits(self) -> FloatArray:
        """``[N, K]`` of the chosen head."""

    @property
    def cam(self) -> FloatArray | None:
        """``[N, K, h, w]`` where it was asked for and the network has it."""

    @property
    def landmarks(self) -> FloatArray | None:
        """``[N, 24, 2]`` in 0..1 across the crop, likewise."""


class WithPreprocess(Protocol):
    """What says how pixels become a network's input."""

    @property
    def preprocess(self) -> Preprocess:
        """Size, channels, mean, std and margin."""

    @property
    def framing(self) -> Framing | None:
        """What its training images were, where that is known."""


class CropModel(Protocol):
    """What a :class:`Finder` needs of a model."""

    @property
    def card(self) -> WithPreprocess:
        """The model's card."""

    @property
    def template(self) -> FloatArray:
        """Mean landmarks ``[24, 2]`` of the crops it was trained on, in 0..1 across the crop."""

    def run(self, pixels: FloatArray, *, cam: bool = False, landmarks: bool = False) -> Answers:
        """Answers for pixels ``[N, C, size, size]`` in 0..255."""


@dataclass(frozen=True, eq=False)
class Crop:
    """One face as the model sees it, and what the model says of it."""

    face: Face  # with landmarks in pixels of the photo
    pixels: FloatArray  # [C, size, size] in 0..255, the network's input
    landmarks: FloatArray  # [24, 2] in 0..1 across the crop
    matrix: FloatArray  # [2, 3], from pixels of the photo to pixels of the crop of DISPLAY
    photo: ImageArray = field(repr=False)  # [H, W, 3], what the crop is cut from
    logits: FloatArray  # [K] of the model's chosen head
    cam: FloatArray | None = None  # [K, h, w], where it was asked for

    @cached_property
    def image(self) -> ImageArray:
        """``[192, 192, 3]``, the crop for people to look at."""
        return cut(self.photo, self.matrix)


@dataclass(frozen=True, eq=False)
class Finder:
    """A detector, the model that answers, and the one that places landmarks."""

    detector: faces.Detector
    model: CropModel
    locator: CropModel

    def __call__(
        self,
        images: Sequence[ImageArray],
        *,
        cam: bool = False,
        found: Sequence[list[Face]] | None = None,
    ) -> list[list[Crop]]:
        """Every face of every image, aligned by its eyes and mouth, left to right in each.

        Landmarks come from the detector where it has them, else from the locator on the aligned
        crop; what aligns it, where the detector knows no eyes either, are the locator's landmarks
        on the square around the box. Each network sees all faces of all images in one call.
        ``found`` are the detector's faces of each image, where it was asked already.
        """
        with unforked():
            if found is None:
                found = [self.detector(image) for image in images]
            pairs = [(i, face) for i, faces in enumerate(found) for face in faces]
            return self._crops(images, pairs, cam)

    def _crops(
        self, images: Sequence[ImageArray], found: list[tuple[int, Face]], cam: bool
    ) -> list[list[Crop]]:
        crops: list[list[Crop]] = [[] for _ in images]
        if not found:
            return crops
        matrices = self.matrices(images, found)
        how = self.model.card.preprocess
        framing, whole = self.model.card.framing, self.detector.name == "none"
        pixels = np.stack(
            [
                shown(images[i], m, how, framing, whole=whole)
                for (i, _), m in zip(found, matrices, strict=True)
            ]
        )
        if whole and framing is not None:
            found = self._placed(images, found)
        lacking = [k for k, (_, face) in enumerate(found) if face.landmarks is None]
        own = bool(lacking) and self.locator is self.model  # then one call gives both
        output = self.model.run(pixels, cam=cam, landmarks=own)
        points: dict[int, FloatArray] = {}
        if own and output.landmarks is not None:
            points = {k: output.landmarks[k] for k in lacking}
        elif lacking:
            points = self._locate(images, found, matrices, lacking)
        for k, (i, face) in enumerate(found):
            marks = face.landmarks
            if marks is None:
                marks = transform(points[k] * DISPLAY - 0.5, invert(matrices[k]))
            crops[i].append(
                Crop(
                    face=replace(face, landmarks=marks),
                    pixels=pixels[k],
                    landmarks=(transform(marks, matrices[k]) + 0.5) / DISPLAY,
                    matrix=matrices[k],
                    photo=images[i],
                    logits=output.logits[k],
                    cam=None if output.cam is None else output.cam[k],
                )
            )
        return crops

    def _placed(
        self, images: Sequence[ImageArray], found: list[tuple[int, Face]]
    ) -> list[tuple[int, Face]]:
        """Landmarks of the faces in whole pictures that show more than a face.

        The locator knows close crops alone: in a portrait it must be shown where the face is.
        """
        large = [k for k, (i, _) in enumerate(found) if min(images[i].shape[:2]) >= PORTRAIT]
        if not large:
            return found
        seek = Finder(faces.create("auto"), self.locator, self.locator)
        placed = list(found)
        for k, crops in zip(large, seek([images[found[k][0]] for k in large]), strict=True):
            i, face = found[k]
            best = largest(crops, lambda crop: crop.face.box)
            if best and max(best.face.box[2:]) < CLOSE * min(images[i].shape[:2]):
                placed[k] = (i, replace(face, landmarks=best.face.landmarks))
        return placed

    def matrices(
        self, images: Sequence[ImageArray], found: list[tuple[int, Face]]
    ) -> list[FloatArray]:
        """What cuts each face out of its image, as the model's training images were cut.

        ``found`` are pairs of an image's number and a face in it; each matrix ``[2, 3]`` leads to
        pixels of a crop of :data:`DISPLAY`.
        """
        framing = self.model.card.framing
        if self.detector.name == "none":
            fit = "pad" if framing is None else framing.fit
            return [whole_matrix(images[i], fit) for i, _ in found]
        if framing is not None and framing.crop == "box":
            boxes = [self.detector.crop_box(face) for _, face in found]
            return [box_matrix(box, DISPLAY, framing.margin) for box in boxes]
        margin = self.detector.margin + self.model.card.preprocess.margin
        rough = [box_matrix(self.detector.crop_box(face), DISPLAY, margin) for _, face in found]
        known = [face.anchors if face.landmarks is None else face.landmarks for _, face in found]
        lacking = [k for k, marks in enumerate(known) if marks is None]
        points = self._locate(images, found, rough, lacking)
        for k in lacking:
            known[k] = transform(points[k] * DISPLAY - 0.5, invert(rough[k]))
        aligned = [align(m, self.locator.template, DISPLAY) for m in known if m is not None]
        # five points of a face that is tilted are rough: the locator sees it nearly level now
        tilted = [k for k, (_, face) in enumerate(found) if _tilt(face) > TILTED]
        for k, marks in self._locate(images, found, aligned, tilted).items():
            known[k] = transform(marks * DISPLAY - 0.5, invert(aligned[k]))
        template = self.locator.template if framing is None else self.model.template
        return [align(marks, template, DISPLAY) for marks in known if marks is not None]

    def _locate(
        self,
        images: Sequence[ImageArray],
        found: list[tuple[int, Face]],
        matrices: list[FloatArray],
        which: list[int],
    ) -> dict[int, FloatArray]:
        """The locator's landmarks ``[24, 2]`` in 0..1 of the chosen crops that matrices cut."""
        if not which:
            return {}
        how = self.locator.card.preprocess
        pixels = np.stack([sample(images[found[k][0]], matrices[k], how) for k in which])
        points = self.locator.run(pixels, landmarks=True).landmarks
        assert points is not None  # that is what made it the locator
        return dict(zip(which, points, strict=True))


def _tilt(face: Face) -> float:
    """By how much the eyes of a face without landmarks are out of level, in radians."""
    if face.landmarks is not None or face.anchors is None:
        return 0.0
    across = face.anchors[1] - face.anchors[0]
    return float(abs(np.arctan2(across[1], across[0])))


def enlarged(face: Face, times: float) -> Face:
    """The same face in a photo that is ``times`` as large."""
    x, y, width, height = face.box
    marks = face.landmarks
    return replace(
        face,
        box=(x * times, y * times, width * times, height * times),
        landmarks=None if marks is None else (marks + 0.5) * times - 0.5,
        anchors=None if face.anchors is None else (face.anchors + 0.5) * times - 0.5,
    )
