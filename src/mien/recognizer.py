"""Recognizer: a face detector and a model together; photos in, answers and evidence out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import partial
from typing import Any

import numpy as np

from mien.explainers import Query
from mien.explainers.explaining import given_or_made
from mien.explainers.many import explain_many
from mien.explainers.method import go_on
from mien.metrics import probabilities
from mien.models.base import BaseModel
from mien.models.onnx import Model
from mien.models.weights import BUILT_IN, locate
from mien.priors import ESTIMATE, Prior, shares_of
from mien.results.explanation import Explanations
from mien.results.predictions import Predictions
from mien.types import (
    Face,
    FloatArray,
    ImageArray,
    InputError,
    MienError,
    Prediction,
)
from mien.vision import faces
from mien.vision.crops import Crop, Finder, enlarged
from mien.vision.inputs import failure, named_images, raises
from mien.vision.many import Rows
from mien.vision.measures import MEASURES, measured
from mien.vision.read import Source, check_kind, read_image
from mien.vision.stream import in_groups, read_ahead


class Recognizer:
    """Finds faces in images, says what they express, and shows why. Made by :func:`mien.load`.

    >>> import mien, numpy as np
    >>> recognizer = mien.load(detector="none")
    >>> grey = np.full((48, 48), 128, dtype=np.uint8)
    >>> recognizer.predict(grey)[0].face_id
    0
    """

    def __init__(
        self,
        detector: faces.Detector,
        model: BaseModel,
        *,
        contempt: bool = False,
        prior: Prior | None = None,
        flip: bool = False,
        measures: bool = False,
    ) -> None:
        self.detector = detector  # what finds the faces
        #: Names of the geometry that rows hold, none where it was not asked for.
        self.measured: tuple[str, ...] = tuple(MEASURES) if measures else ()
        if contempt and "contempt" not in model.labels:
            raise InputError(f"the head {model.head_name!r} knows no contempt; use head='ferplus'")
        # of the built-in model; another one answers every class that it was trained on
        hidden = "contempt" if model.card.name in BUILT_IN and not contempt else None
        #: The expressions that are answered, in the order of tables.
        self.labels = tuple(name for name in model.labels if name != hidden)
        if prior == ESTIMATE:
            raise InputError(
                "a prior is estimated from the answers for many faces: predict them first, then "
                "call under('estimate') on the predictions, or use mien.predict or a command"
            )
        if prior is not None or flip:
            model = model.answering(prior, labels=self.labels, flip=flip or None)
        self.model = model  # what answers
        #: The model that places landmarks: the same, or the built-in one where it has none.
        self.locator: BaseModel = model if model.card.landmarks else Model(locate("mien"))
        #: Makes it once more in another process; None where it is around a model in memory.
        self.again: partial[Recognizer] | None = None

    @property
    def prior(self) -> dict[str, float] | None:
        """The share of each expression that the answers expect, None where that is not known.

        >>> import mien
        >>> sorted(mien.load(prior="fer2013").prior.items(), key=lambda item: -item[1])[0][0]
        'happy'
        """
        return shares_of(self.model.prior, self.labels)

    def using(
        self, *, detector: faces.Detector | None = None, prior: Prior | None = None
    ) -> Recognizer:
        """The same networks behind another detector, or under another prior.

        Parameters
        ----------
        detector
            What finds the faces; None keeps the one there is.
        prior
            As of :func:`mien.load`; None keeps the one there is.

        Raises InputError for a prior that cannot be had, as :func:`mien.load`.

        >>> import mien
        >>> other = mien.load().using(detector=faces.create("none"), prior="fer2013")
        >>> other.detector.name, round(other.prior["disgust"], 3)
        ('none', 0.015)
        """
        twin = copy(self)
        twin.detector = detector or self.detector
        if prior is not None:
            twin.model = self.model.answering(prior, labels=self.labels)
            if self.locator is self.model:
                twin.locator = twin.model
        if self.again is not None:
            changed = {} if prior is None else {"prior": prior}
            twin.again = partial(self.again, detector=twin.detector.name, **changed)
        return twin

    def predict(
        self,
        images: Source | Sequence[Source],
        *,
        bgr: bool = False,
        names: Sequence[str] = (),
        on_error: str = "auto",
    ) -> Predictions:
        """Predictions for one image or a list of them: one row per face, in order.

        Parameters
        ----------
        images
            A path, an image file's bytes, an open file, a PIL image, an array or a tensor, as
            :func:`mien.vision.read.read_image` takes them, or a list of such.
        bgr
            Set it for arrays in OpenCV's channel order.
        names
            What stands in the rows' ``input``; paths name themselves.
        on_error
            ``raise`` (InputError for an image that cannot be read), ``collect`` (such an image is
            a row with its ``error``), or ``auto``: raise for one image, collect for a list.

        An image without a face gives one row without ``face_id``, which is no error.
        """
        items = list(named_images(images, names))
        fail = raises(on_error, images)
        if fail:
            for _, image in items:
                check_kind(image)
        rows: list[Prediction] = []
        for part in self.predict_many(items, bgr=bgr, readers=2 if len(items) > 1 else 0):
            if fail and part[0].error is not None:
                raise InputError(part[0].error)
            rows += part
        return Predictions(tuple(rows), self.labels, self.prior, self.measured)

    def predict_many(
        self,
        named: Iterable[tuple[str, Source]],
        *,
        bgr: bool = False,
        reduced: bool = False,
        batch: int = 32,
        readers: int = 2,
    ) -> Iterator[list[Prediction]]:
        """Rows of each ``(name, image)``, in order, as they come; never raises for a bad image.

        Images are read, and searched by a detector that several threads may use, ahead in
        ``readers`` threads; all faces of up to ``batch`` images are one model call. With
        ``reduced``, a large JPEG is decoded at a half, a quarter or an eighth of its size where
        the detector would shrink it anyway; where that leaves a face with less than twice the
        pixels that the model sees, the whole photo is read after all.

        Parameters
        ----------
        named
            Pairs of a name and an image.
        bgr
            Set it for arrays in OpenCV's channel order.

        >>> import mien, numpy as np
        >>> grey = np.full((48, 48), 128, dtype=np.uint8)
        >>> many = mien.load(detector="none").predict_many([("a", grey), ("b", b"damaged")])
        >>> [(rows[0].input, rows[0].error is None) for rows in many]
        [('a', True), ('b', False)]
        """
        # crops must be those of the training images, to the pixel, where these are known
        longest = self.detector.longest if reduced and self.model.card.framing is None else None
        size = self.model.card.preprocess.size
        rows = Rows(self.detector, self.crops_of, self.answers, size, bgr)
        ahead = read_ahead(named, rows.reader(longest), readers, held=lambda r: 3 * r.pixels)
        for group in in_groups(ahead, batch, lambda r: r.pixels):
            yield from rows(group)

    def explain(
        self,
        images: Source | Sequence[Source],
        query: Query | Sequence[Query] | None = None,
        *,
        face: int | None = None,
        method: str | Sequence[str] | None = None,
        target: str | None = None,
        against: str | None = None,
        baseline: str | None = None,
        options: Mapping[str, Any] | None = None,
        seed: int = 0,
        bgr: bool = False,
        names: Sequence[str] = (),
        on_error: str = "auto",
        stop: Callable[[], None] = go_on,
        on_query: Callable[[Query, int, int], None] = lambda _query, _done, _all: None,
    ) -> Explanations:
        """Explanations of every face, or of the one whose ``face_id`` is ``face``.

        Parameters
        ----------
        images, bgr, names
            One image or a list, as :meth:`predict` takes them.
        query
            What is asked, or several such; else it is made from method, target, against, baseline,
            options and seed.
        method
            ``regions`` (the default), ``dncshap``, or another of
            :func:`mien.explainers.supported`; several, which may carry options
            (``dncshap:levels=4,contexts=owen``), or ``all``: a face's explanations in that order.
        target, against
            Expressions: the target's logit is explained, less the other's where one is given.
            Default: the answer.
        baseline
            What stands where a part is hidden: ``mean`` (the default), ``black``, ``blur`` or
            ``face``; of several methods it goes to those that take one.
        options
            What the one method takes, such as ``levels`` and ``contexts`` of ``dncshap``.
        seed
            Of methods that draw at random.
        on_error
            ``raise`` (InputError for an image that cannot be read or shows no such face),
            ``collect`` (such an image, or a method that fails on one, becomes a row of the
            result's ``errors``, and all else is done), or ``auto``: raise for one, collect many.
        stop
            Called before each forward pass; it raises :class:`mien.types.Stopped` to end the work.
        on_query
            Called before each explanation with its query, and which it is of how many of its image.

        Raises UnknownNameError for a method, expression, baseline or option that does not exist.
        """
        fail = raises(on_error, images)
        question = {"target": target, "against": against, "baseline": baseline, "seed": seed}
        asked = given_or_made(self.model, query, method, options=options, **question)
        faces_of = partial(self._faces_to_explain, face=face, bgr=bgr)
        named = named_images(images, names)
        return explain_many(
            self.model, named, asked, faces_of, face=face, fail=fail, stop=stop, on_query=on_query
        )

    def _faces_to_explain(
        self, name: str, source: Source, face: int | None, bgr: bool
    ) -> list[tuple[Crop, Prediction]]:
        """All faces of an image with their answers; InputError where there is none to explain."""
        try:
            crops = self.crops(read_image(source, bgr=bgr))
        except MienError:
            raise
        except Exception as error:  # a lazy or closed image fails while it is read
            raise InputError(failure(name, error)) from error
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
        return list(zip(crops, self.answers(name, crops), strict=True))

    def crops(self, image: ImageArray) -> list[Crop]:
        """Every face of an image ``[H, W, 3] uint8``, aligned by its eyes and mouth, left to right.

        Landmarks come from the detector where it has them, else from the model itself.

        Parameters
        ----------
        image
            ``[H, W, 3] uint8``, RGB.
        """
        return self.crops_of([image])[0]

    def crops_of(
        self,
        images: Sequence[ImageArray],
        *,
        cam: bool = False,
        found: Sequence[list[Face]] | None = None,
    ) -> list[list[Crop]]:
        """Every face of every image, with one call of the model for all of them.

        ``cam`` asks for the class activation maps ``[K, h, w]`` of the faces, too; ``found`` are
        each image's faces, where the detector was asked already.

        Parameters
        ----------
        images
            Each ``[H, W, 3] uint8``, RGB.
        """
        return Finder(self.detector, self.model, self.locator)(images, cam=cam, found=found)

    def chances(self, logits: FloatArray) -> FloatArray:
        """Calibrated probabilities ``[N, K]`` of :attr:`labels` for the model's logits.

        Parameters
        ----------
        logits
            ``[N, K]``, of the model's own labels.
        """
        columns = [self.model.labels.index(label) for label in self.labels]
        return probabilities(logits[:, columns], self.model.head.temperature)

    def answers(self, name: str, crops: Sequence[Crop], *, scale: float = 1.0) -> list[Prediction]:
        """Rows for the crops of one image, which was read at ``scale`` times its size.

        Parameters
        ----------
        name
            What stands in the rows' ``input``.
        crops
            Faces of one image, left to right.
        """
        if not crops:
            return []
        chances = self.chances(np.stack([crop.logits for crop in crops]))
        rows = []
        for i, (crop, p) in enumerate(zip(crops, chances, strict=True)):
            best = int(p.argmax())
            face = crop.face if scale == 1 else enlarged(crop.face, 1 / scale)
            rows.append(
                Prediction(
                    input=name,
                    face_id=i,
                    box=face.box,
                    face_confidence=face.confidence,
                    emotions={label: float(v) for label, v in zip(self.labels, p, strict=True)},
                    dominant_emotion=self.labels[best],
                    score=float(p[best]),
                    face=face,
                    measures=measured(crop) if self.measured else {},
                )
            )
        return rows

    def __repr__(self) -> str:
        """What answers, and what finds faces.

        >>> import mien
        >>> mien.load(detector="none")
        <Recognizer: mien, faces by none>
        """
        return f"<Recognizer: {self.model.card.name}, faces by {self.detector.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as the call of :func:`mien.load` that made it: sessions cannot travel."""
        if self.again is None:
            raise TypeError(
                f"expected a recognizer of a model's name or path, got one around "
                f"{self.model.card.name!r} in memory, which cannot be pickled; save the model, or "
                "call mien.load in the other process"
            )
        return self.again, ()
