"""Explanations with other numbers, and crops that no detector has found, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

import mien
from mien.explainers.masks import paint
from mien.models.base import BaseModel
from mien.types import Face, FloatArray, ImageArray
from mien.vision.crops import Crop
from mien.vision.geometry import DISPLAY, box_matrix
from mien.vision.regions import REGIONS


def changed(
    e: mien.Explanation, regions: Mapping[str, float] | None = None, **evidence: Any
) -> mien.Explanation:
    """The same explanation with other values of regions, and other fields of its evidence."""
    if regions is not None:
        values = np.array([regions.get(name, 0.0) for name in REGIONS])
        evidence["values"] = paint(values, e.labels)
    return replace(e, evidence=replace(e.evidence, **evidence))


def crop_of(model: BaseModel, image: ImageArray, landmarks: FloatArray) -> Crop:
    """A whole image as a crop, with landmarks ``[24, 2]`` in 0..1 and no answer yet."""
    side = float(image.shape[0])
    return Crop(
        face=Face((0.0, 0.0, side, side), None, "none"),
        pixels=model.pixels(image),
        landmarks=landmarks,
        matrix=box_matrix((0.0, 0.0, side, side), DISPLAY),
        photo=image,
        logits=np.zeros(len(model.labels)),
    )
