"""Recognizer: a face detector and a model together; photos in, answers and evidence out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import IOBase
from pathlib import Path
from typing import Any

import numpy as np

from mien import explainers, faces
from mien.emotions import SEVEN
from mien.explainers.base import METHODS
from mien.explanation import Explanation, Explanations
from mien.images import DISPLAY, align, box_matrix, cut, invert, sample, transform
from mien.landmarks import LANDMARKS
from mien.media import Source, read_image
from mien.metrics import probabilities
from mien.registry import choose
from mien.results import Predictions
from mien.runtime import BaseModel, Model
from mien.types import (
    Face,
    FloatArray,
    ImageArray,
    InputError,
    MienError,
    MissingExtraError,
    Prediction,
)
from mien.weights import BUILT_IN, locate


@dataclass(frozen=True, eq=False)
class Crop:
    """One face as the model sees it."""

    face: Face  # with landmarks in pixels of the photo
    pixels: FloatArray  # [C, size, size] in 0..255, the network's input
    image: ImageArray  # [192, 192, 3], for people to look at
    landmarks: FloatArray  # [24, 2] in 0..1 across the crop


class Recognizer:
    """Finds faces in images, says what they express, and shows why. Made by :func:`load`.

    >>> import mien, numpy as np
    >>> recognizer = mien.load(detector="none")
    >>> grey = np.full((48, 48), 128, dtype=np.uint8)
    >>> recognizer.predict(grey)[0].face_id
    0
    """

    def __init__(
        self, detector: faces.Detector, model: BaseModel, *, contempt: bool = False
    ) -> None:
        self.detector = detector
        self.model = model
        #: The model that places landmarks: the same, or the built-in one where it has none.
        self.locator: BaseModel = model if model.card.landmarks else Model(locate("mien"))
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
        return Predictions(tuple(rows), self.labels)

    def predict_one(self, source: Source, *, name: str, bgr: bool = False) -> list[Prediction]:
        """Rows of one image; never raises for a bad image."""
        try:
            image = read_image(source, bgr=bgr)
            crops = self.crops(image)
            return self._answers(name, crops) or [Prediction(name)]
        except MienError as error:
            return [Prediction(name, error=str(error))]
        except Exception as error:  # one image that OpenCV refuses must not cost the others
            reason = str(error).strip().splitlines()[-1][:200] if str(error).strip() else ""
            text = f"{name}: cannot be worked on ({type(error).__name__}: {reason})"
            return [Prediction(name, error=text)]

    def explain(
        self,
        images: Source | Sequence[Source],
        *,
        face: int | None = None,
        method: str = "regions",
        target: str | None = None,
        against: str | None = None,
        baseline: str | None = None,
        options: dict[str, Any] | None = None,
        bgr: bool = False,
        names: Sequence[str] = (),
        on_error: str = "raise",
    ) -> Explanations:
        """Explanations of every face, or of the one whose ``face_id`` is ``face``.

        Parameters
        ----------
        method
            ``regions``, ``dncshap`` or ``cam``.
        target, against
            Expressions: the target's logit is explained, less the other's where one is given.
            Default: the answer.
        baseline
            What stands where a part is hidden: ``mean`` (the default), ``black`` or ``blur``.
        options
            What the method takes: ``levels`` and ``contexts`` of ``dncshap``.
        on_error
            ``raise`` (InputError for an image that cannot be read or shows no such face), or
            ``collect``: such an image becomes a row of the result's ``errors``.

        Raises UnknownNameError for a method, expression, baseline or option that does not exist.
        """
        choose("on_error", on_error, ("raise", "collect"))
        METHODS.get(method)
        results: list[Explanation] = []
        errors: list[Prediction] = []
        for name, source in _named(images, names):
            try:
                results += self._explain_one(
                    name, source, face, bgr, method=method, target=target, against=against,
                    baseline=baseline, options=options,
                )  # fmt: skip
            except InputError as error:
                if on_error == "raise":
                    raise
                errors.append(Prediction(name, error=str(error)))
        return Explanations(tuple(results), tuple(errors))

    def _explain_one(
        self, name: str, source: Source, face: int | None, bgr: bool, **how: Any
    ) -> list[Explanation]:
        crops = self.crops(read_image(source, bgr=bgr))
        if not crops:
            raise InputError(
                f"{name}: no face found by {self.detector.name!r}; try another detector, "
                "or 'none' where the image is itself a face crop"
            )
        if face is not None and not 0 <= face < len(crops):
            raise InputError(
                f"{name}: expected a face in 0..{len(crops) - 1}, got {face}; "
                "faces are numbered from left to right"
            )
        answers = self._answers(name, crops)
        return [
            explainers.explain_crop(
                self.model, crop.pixels, crop.image, answer, crop.landmarks, **how
            )
            for crop, answer in zip(crops, answers, strict=True)
            if face in (None, answer.face_id)
        ]

    def crops(self, image: ImageArray) -> list[Crop]:
        """Every face of an image ``[H, W, 3] uint8``, aligned by its eyes and mouth, left to right.

        Landmarks come from the detector where it has them, else from the model itself: once
        on the square around the box, to align, and once on the aligned crop.
        """
        found = self.detector(image)
        matrices = [self._rough_matrix(face) for face in found]
        points = self._locate(image, matrices)
        if self.detector.name != "none":
            known = [
                transform(own * DISPLAY - 0.5, invert(matrix))
                if face.landmarks is None else face.landmarks
                for face, matrix, own in zip(found, matrices, points, strict=True)
            ]  # fmt: skip
            matrices = [align(marks, self.locator.template, DISPLAY) for marks in known]
            points = self._locate(image, matrices)
        crops = []
        for face, matrix, own in zip(found, matrices, points, strict=True):
            back = invert(matrix)
            own_marks = transform(own * DISPLAY - 0.5, back)
            marks = own_marks if face.landmarks is None else face.landmarks
            crops.append(
                Crop(
                    face=replace(face, landmarks=marks),
                    pixels=sample(image, matrix, self.model.card.preprocess),
                    image=cut(image, matrix),
                    landmarks=(transform(marks, matrix) + 0.5) / DISPLAY,
                )
            )
        return crops

    def _rough_matrix(self, face: Face) -> FloatArray:
        how = self.model.card.preprocess
        box = self.detector.crop_box(face)
        return box_matrix(box, DISPLAY, self.detector.margin + how.margin)

    def _locate(self, image: ImageArray, matrices: list[FloatArray]) -> FloatArray:
        """The locator's landmarks ``[N, 24, 2]`` in 0..1 of the crops that matrices cut."""
        if not matrices:
            return np.zeros((0, len(LANDMARKS), 2))
        how = self.locator.card.preprocess
        pixels = np.stack([sample(image, matrix, how) for matrix in matrices])
        found = self.locator.run(pixels, landmarks=True).landmarks
        assert found is not None  # that is what made it the locator
        return found

    def _answers(self, name: str, crops: list[Crop]) -> list[Prediction]:
        if not crops:
            return []
        logits = self.model.logits(np.stack([crop.pixels for crop in crops]))
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
    several = isinstance(images, Iterable) and not isinstance(
        images, str | bytes | bytearray | memoryview | np.ndarray | IOBase
    )
    items: list[Any] = list(images) if several else [images]  # type: ignore[arg-type]  # mypy forgets the check
    if names and len(names) != len(items):
        raise InputError(f"expected {len(items)} names, got {len(names)}")
    for i, item in enumerate(items):
        is_path = isinstance(item, str | Path)
        yield names[i] if names else str(item) if is_path else f"image {i}", item


def open_model(
    model: str | Path | BaseModel = "mien", *, head: str | None = None, threads: int = 0
) -> BaseModel:
    """A model by its built-in name, its ONNX file, or the folder of a finished run.

    A run is opened in torch, on a GPU where there is one, with its layers open to every
    explanation method. A model that is open already passes as it is.
    Raises MissingExtraError for a run without torch.

    >>> open_model("mien").card.name
    'mien'
    """
    if isinstance(model, BaseModel):
        if head not in (None, model.head_name):
            raise InputError(
                f"expected a head for a name or a path, got {head!r} for an open model"
            )
        return model
    if str(model) in BUILT_IN or not Path(model).is_dir():
        return Model(locate(model), head, threads)
    try:
        from mien.train.serve import load_run
    except ImportError as error:
        raise MissingExtraError(
            f"{model}: expected torch to open a run, which is not installed; "
            f"pip install 'mien[explain]', or take its ONNX file ({error})"
        ) from error
    return load_run(model, head=head)


def load(
    model: str | Path | BaseModel = "mien",
    *,
    head: str | None = None,
    contempt: bool = False,
    detector: str = "auto",
    threads: int = 0,
) -> Recognizer:
    """A recognizer: a model and a face detector.

    Parameters
    ----------
    model
        ``mien``, ``mien-int8`` (smaller and faster), the path of an ONNX file with its card, the
        folder of a finished run (which takes torch), or a model such as
        :class:`mien.models.torch_model.TorchModel`.
    head
        ``ferplus`` (crowd votes, the default) or ``fer2013`` (the original labels).
    contempt
        Answer with eight classes instead of seven (``ferplus`` only).
    detector
        ``auto``, ``blazeface``, ``yunet``, ``haar``, or ``none`` for face crops.
    threads
        CPU threads of an ONNX network; 0 takes all cores.

    >>> load(detector="haar").labels
    ('angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral')
    """
    opened = open_model(model, head=head, threads=threads)
    return Recognizer(faces.create(detector), opened, contempt=contempt)


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
