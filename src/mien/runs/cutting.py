"""What cuts pictures as a policy says, by the very code that cuts photos for a network."""

from __future__ import annotations

from copy import copy
from dataclasses import replace

from mien.data.crop import Cut
from mien.models.onnx import Model
from mien.models.weights import locate
from mien.types import ImageArray
from mien.vision import faces
from mien.vision.crops import Finder
from mien.vision.framing import Framing
from mien.vision.geometry import largest


def framing(
    crop: str,
    *,
    fit: str = "squash",
    size: int = 192,
    detector: str = "auto",
    margin: float | None = None,
) -> Framing:
    """A policy from what is asked: its detector by that one's name, with its usual margin.

    >>> framing("aligned", size=96, detector="haar").words
    'aligned crops of 96 pixels, faces found by haar'
    """
    if crop == "none":
        return Framing(fit=fit, size=size if fit == "pad" else 0)
    found = faces.create(detector)
    own = found.margin if margin is None else margin
    return Framing(crop, fit, size, found.name, own if crop == "box" else 0.0)


def cutter(policy: Framing) -> Cut:
    """A function that cuts the largest face of a picture ``[H, W, 3] uint8``, as a policy says.

    It gives the crop ``[size, size, 3] uint8``, or None where no face is found. Landmarks to align
    by are the detector's, else those that the built-in model places.
    """
    model = Model(locate("mien"))
    framed = copy(model)
    framed.card = replace(model.card, framing=policy)
    finder = Finder(faces.create(policy.detector or "none"), framed, model)

    def cut(image: ImageArray) -> ImageArray | None:
        face = largest(finder.detector(image), lambda face: face.box)
        if face is None:
            return None
        (matrix,) = finder.matrices([image], [(0, face)])
        return policy.stored(image, matrix)

    return cut
