"""The shapes of answers, for the OpenAPI page; answers themselves are written without them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel):
    """An answer."""

    model_config = ConfigDict(extra="allow")


class Error(Shape):
    """Why a request was refused."""

    code: str = Field(examples=["too_large"])
    message: str = Field(examples=["expected an image of at most 20 MB; send a smaller one"])


class Problem(Shape):
    """Every answer that is not a success."""

    error: Error


class Image(Shape):
    """The photo, upright."""

    name: str = Field(examples=["photo.jpg"])
    width: int = Field(examples=[512])
    height: int = Field(examples=[512])


class FaceAnswer(Shape):
    """One face; the fields of the table that ``mien predict`` writes."""

    face_id: int = Field(examples=[0], description="0, 1, ... from left to right")
    box: list[float] = Field(examples=[[173, 72, 103, 103]], description="x, y, width, height")
    face_confidence: float | None = Field(examples=[0.93])
    emotions: dict[str, float] = Field(
        examples=[{"happy": 0.995, "neutral": 0.004, "surprise": 0.001}],
        description="calibrated probabilities that sum to 1",
    )
    dominant_emotion: str = Field(examples=["happy"])
    score: float = Field(examples=[0.995])
    detector: str = Field(examples=["blazeface"])


class PredictAnswer(Shape):
    """Every face of one photo; none is an empty list."""

    image: Image
    faces: list[FaceAnswer]
    model: str = Field(examples=["mien sha256:7a1c..."])


class ExplanationAnswer(Shape):
    """The evidence for one face; the record that ``mien explain`` writes."""

    method: str = Field(examples=["regions"])
    target: str = Field(examples=["happy"])
    against: str | None = Field(examples=[None])
    sentence: str = Field(
        examples=["happy, > 0.99: above all the mouth (mouth +2.3 of +5.1 logits)"]
    )
    paragraph: str = Field(
        examples=["The model reads happy (> 0.99)."],
        description="what made the answer so and how far to believe that, in plain words",
    )
    warning: str | None = Field(examples=[None])
    unit: str = Field(examples=["logits"])
    regions: dict[str, float] = Field(examples=[{"mouth": 2.29, "cheeks": 1.29, "chin": 0.62}])
    values: list[list[float]] = Field(examples=[[[0.01, 0.02], [0.0, -0.01]]])
    prediction: dict[str, Any]


class ExplainAnswer(Shape):
    """The evidence for one face, or for each."""

    image: Image
    explanations: list[ExplanationAnswer]
    model: str


class ModelsAnswer(Shape):
    """The model that answers, the methods that can explain it, the limits."""

    models: list[dict[str, Any]]
    methods: list[dict[str, Any]]
    baselines: list[str] = Field(examples=[["mean", "black", "blur", "face"]])
    detectors: list[dict[str, str]] = Field(
        examples=[[{"name": "haar", "title": "upright faces from the front"}]]
    )
    priors: list[dict[str, str]] = Field(
        examples=[[{"name": "even", "title": "each expression alike"}]]
    )
    limits: dict[str, float]
    notice: dict[str, str]
    version: str


class JobAnswer(Shape):
    """A video and how far its analysis is."""

    id: str = Field(examples=["k3J9x0wq7dQ"])
    state: Literal["waiting", "working", "done", "failed", "cancelled"]
    progress: float = Field(ge=0, le=1, examples=[0.42])
    frames: int = Field(examples=[105], description="frames done so far")
    of: int | None = Field(examples=[250], description="frames in all, where the clip says")
    error: str | None = None


class Health(Shape):
    """The process answers."""

    status: Literal["ok"]


REFUSALS: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "description": text}
    for code, text in {
        400: "a request that cannot be parsed",
        401: "no token, or a wrong one",
        403: "asked by a page of another site",
        408: "the body took too long",
        413: "too many bytes, pixels or seconds",
        415: "a body of a kind that is not read",
        421: "addressed to another host name",
        422: "no such method, expression, face or option; or no image",
        429: "too many requests of this caller at a time",
        503: "too many requests at a time, or an explanation that took too long",
    }.items()
}
