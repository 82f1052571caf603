"""Recognizer: a face detector and a model together; photos in, answers and evidence out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien import explainers, faces
from mien.emotions import SEVEN
from mien.explanation import Explanations
from mien.images import DISPLAY, align, box_matrix, cut, invert, rescale, transform
from mien.media import Source, read_image
from mien.results import Predictions
from mien.runtime import Model, probabilities
from mien.types import Face, FloatArray, ImageArray, InputError, MienError, Prediction
from mien.weights import locate


@dataclass(frozen=True, eq=False)
class Crop:
    """One face as the model sees it."""

    face: Face  # with landmarks, unless the image is itself the crop
    image: ImageArray  # [192, 192, 3]
    landmarks: FloatArray  # [24, 2] in 0..1 across the crop


class Recognizer:
    """Finds faces in images, says what they express, and shows why. Made by :func:`load`.

    >>> import mien, numpy as np
    >>> recognizer = mien.load(detector="none")
    >>> grey = np.full((48, 48), 128, dtype=np.uint8)
    >>> recognizer.predict(grey)[0].face_id
    0
    """

    def __init__(self, detector: faces.Detector, model: Model, *, contempt: bool = False) -> None:
        self.detector = detector
        self.model = model
        dropped = () if contempt else tuple(set(model.labels) - set(SEVEN))
        self.labels = tuple(name for name in model.labels if name not in dropped)
        if contempt and "contempt" not in self.labels:
            raise InputError(f"the head {model.head_name!r} knows no contempt; use head='ferplus'")

    def predict(
        self, images: Source | Sequence[Source], *, bgr: bool = False, names: Sequence[str] = ()
    ) -> Predictions:
        """Predictions for one image or a list of them: one row per face, in order.

        An image without a face gives one row without ``face_id``; one that cannot be read gives
        one row with its ``error``. ``names`` stand in the rows' ``input`` (paths name themselves).
        """
        rows: list[Prediction] = []
        for name, source in _named(images, names):
            rows += self.predict_one(source, name=name, bgr=bgr)
        return Predictions(tuple(rows))

    def predict_one(self, source: Source, *, name: str, bgr: bool = False) -> list[Prediction]:
        """Rows of one image; never raises for a bad image."""
        try:
            image = read_image(source, bgr=bgr)
            crops = self.crops(image)
        except MienError as error:
            return [Prediction(name, error=str(error))]
        return self._answers(name, crops) or [Prediction(name)]

    def explain(
        self,
        images: Source | Sequence[Source],
        *,
        face: int | None = None,
        method: str = "regions",
        target: str | None = None,
        against: str | None = None,
        baseline: str = "mean",
        options: dict[str, Any] | None = None,
        bgr: bool = False,
        names: Sequence[str] = (),
    ) -> Explanations:
        """Explanations of every face, or of the one whose ``face_id`` is ``face``.

        The other arguments are those of :func:`mien.explainers.explain_crop`. Raises InputError
        for an image that cannot be read, that shows no face, or not that one, and
        UnknownNameError for a method, expression, baseline or option that does not exist.
        """
        results = []
        for name, source in _named(images, names):
            crops = self.crops(read_image(source, bgr=bgr))
            if not crops:
                raise InputError(
                    f"{name}: no face found by {self.detector.name!r}; try another --detector, "
                    "or 'none' where the image is itself a face crop"
                )
            answers = self._answers(name, crops)
            if face is not None and not 0 <= face < len(crops):
                raise InputError(
                    f"{name}: expected a face in 0..{len(crops) - 1}, got {face}; "
                    "faces are numbered from left to right"
                )
            for crop, answer in zip(crops, answers, strict=True):
                if face in (None, answer.face_id):
                    results.append(
                        explainers.explain_crop(
                            self.model, crop.image, answer, landmarks=crop.landmarks,
                            method=method, target=target, against=against, baseline=baseline,
                            options=options,
                        )
                    )  # fmt: skip
        return Explanations(tuple(results))

    def crops(self, image: ImageArray) -> list[Crop]:
        """Every face of an image ``[H, W, 3] uint8``, aligned by its eyes and mouth, left to right.

        Landmarks come from the detector where it has them, else from the model itself: once
        on the square around the box, to align, and once on the aligned crop.
        """
        found = self.detector(image)
        template = self.model.template
        rough = [self._rough_matrix(face) for face in found]
        located = self._locate([cut(image, m) for m in rough])
        crops = []
        for face, matrix, points in zip(found, rough, located, strict=True):
            own = transform(points * DISPLAY - 0.5, invert(matrix))
            landmarks = face.landmarks if face.landmarks is not None else own
            if self.detector.name != "none" and len(template):
                matrix = rescale(align(landmarks, template, self.model.card.preprocess.size),
                                 DISPLAY / self.model.card.preprocess.size)  # fmt: skip
            marked = replace(face, landmarks=landmarks)
            aligned = (transform(landmarks, matrix) + 0.5) / DISPLAY
            crops.append(Crop(marked, cut(image, matrix), aligned))
        again = [i for i, face in enumerate(found) if face.landmarks is None]
        if self.detector.name != "none":
            refined = self._locate([crops[i].image for i in again])
            for i, points in zip(again, refined, strict=True):
                crops[i] = replace(crops[i], landmarks=points)
        return crops

    def _rough_matrix(self, face: Face) -> FloatArray:
        how = self.model.card.preprocess
        box = self.detector.crop_box(face)
        return box_matrix(box, DISPLAY, self.detector.margin + how.margin)

    def _locate(self, images: list[ImageArray]) -> FloatArray:
        """The model's landmarks ``[N, 24, 2]`` in 0..1, or its template for each."""
        if not images:
            return np.zeros((0, len(self.model.template), 2))
        pixels = np.stack([self.model.pixels(image) for image in images])
        found = self.model.run(pixels, landmarks=True).landmarks
        return np.stack([self.model.template] * len(images)) if found is None else found

    def _answers(self, name: str, crops: list[Crop]) -> list[Prediction]:
        if not crops:
            return []
        logits = self.model.logits(np.stack([self.model.pixels(crop.image) for crop in crops]))
        columns = [self.model.labels.index(label) for label in self.labels]
        chances = probabilities(logits[:, columns], self.model.head.temperature)
        rows = []
        for i, (crop, p) in enumerate(zip(crops, chances, strict=True)):
            best = int(p.argmax())
            rows.append(
                Prediction(
                    input=name,
                    face_id=i,
                    box=crop.face.box,
                    face_confidence=crop.face.confidence,
                    emotions={label: float(v) for label, v in zip(self.labels, p, strict=True)},
                    dominant_emotion=self.labels[best],
                    score=float(p[best]),
                    face=crop.face,
                )
            )
        return rows


def _named(images: Source | Sequence[Source], names: Sequence[str]) -> Iterator[tuple[str, Source]]:
    several = isinstance(images, Iterable) and not isinstance(images, str | bytes | np.ndarray)
    items: list[Any] = list(images) if several else [images]  # type: ignore[arg-type]  # mypy forgets the check
    if names and len(names) != len(items):
        raise InputError(f"expected {len(items)} names, got {len(names)}")
    for i, item in enumerate(items):
        is_path = isinstance(item, str | Path)
        yield names[i] if names else str(item) if is_path else f"image {i}", item


def load(
    model: str | Path = "mien",
    *,
    head: str | None = None,
    contempt: bool = False,
    detector: str = "auto",
    threads: int = 0,
) -> Recognizer:
    """A recognizer: a model (built-in name or ONNX file with a card) and a face detector.

    Parameters
    ----------
    model
        ``mien``, ``mien-int8`` (smaller and faster), or the path of a model file.
    head
        ``ferplus`` (crowd votes, the default) or ``fer2013`` (the original labels).
    contempt
        Answer with eight classes instead of seven (``ferplus`` only).
    detector
        ``auto``, ``blazeface``, ``yunet``, ``haar``, or ``none`` for face crops.
    threads
        CPU threads of the network; 0 takes all cores.

    >>> load(detector="haar").labels
    ('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral')
    """
    return Recognizer(
        faces.create(detector), Model(locate(model), head, threads), contempt=contempt
    )


def explain(image: Source | Sequence[Source], **options: Any) -> Explanations:
    """Explain the faces of an image with a recognizer made for this call.

    Options of :func:`load` and of :meth:`Recognizer.explain` together; to explain many images,
    call ``load`` once.

    >>> import numpy as np
    >>> grey = np.full((48, 48), 128, dtype=np.uint8)
    >>> explain(grey, detector="none", target="happy")[0].target
    'happy'
    """
    mine = ("model", "head", "contempt", "detector", "threads")
    recognizer = load(**{key: options.pop(key) for key in mine if key in options})
    return recognizer.explain(image, **options)
