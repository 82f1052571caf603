"""The endpoints for videos: a job with progress and a result."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from mien.types import MienError, UnknownNameError
from mien.video import VideoOptions
from mien.web import schemas
from mien.web.choices import Choice
from mien.web.job import Job
from mien.web.jobs import Jobs
from mien.web.limits import Body, Refusal, caller_of, known_only, limited
from mien.web.service import DetectorName, PriorName

_GONE = {"model": schemas.Problem, "description": "no such job"}
_EARLY = {"model": schemas.Problem, "description": "not done"}
_LACKS = {"model": schemas.Problem, "description": "PyAV is not installed"}
router = APIRouter(
    prefix="/v1/video",
    responses={code: schemas.REFUSALS[code] for code in (400, 401, 403, 421, 422)},
)

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The video's file as it is.",
        "content": {
            kind: {"schema": {"type": "string", "format": "binary"}}
            for kind in ("video/mp4", "video/webm", "application/octet-stream")
        },
    }
}
CHUNK = 1 << 20  # bytes written at a time


def _jobs(request: Request) -> Jobs:
    found = request.app.state.jobs
    assert isinstance(found, Jobs)
    return found


@router.post(
    "",
    status_code=202,
    openapi_extra=BODY,
    dependencies=[Depends(known_only)],
    response_model=schemas.JobAnswer,
    responses={**{code: schemas.REFUSALS[code] for code in (408, 413, 415, 429, 503)}, 501: _LACKS},
)
async def submit(
    request: Request,
    overlay: Annotated[
        str, Query(description="Evidence to draw on the faces: none, or a method for videos.")
    ] = "none",
    every: Annotated[int, Query(ge=1, le=1000, description="Look at every n-th frame.")] = 1,
    fps: Annotated[
        float | None, Query(gt=0, le=240, description="Analyse this many frames per second.")
    ] = None,
    smoothing: Annotated[
        float, Query(ge=0, le=10, description="Seconds over which answers are smoothed.")
    ] = 0.3,
    detector: DetectorName = None,
    prior: PriorName = None,
) -> Response:
    """Send a video; the answer is a job to ask for.

    The clip is a temporary file until the work is done; what came of it is deleted after a quarter
    of an hour, or by DELETE.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith("video/") and kind != "application/octet-stream":
        raise Refusal(
            415,
            "wrong_type",
            f"expected the file itself (video/mp4, application/octet-stream), got {kind[:60]!r}",
        )
    jobs = _jobs(request)
    try:
        options = VideoOptions(every=every, fps=fps, smoothing=smoothing, overlay=overlay)
        choice = Choice(detector, prior)
        options.check(jobs.choices.get(choice).model)
    except MienError as error:
        code = "unknown_name" if isinstance(error, UnknownNameError) else "invalid"
        raise Refusal(422, code, str(error)) from error
    job = jobs.open(options, caller_of(request), choice)
    try:
        await _receive(request, job, jobs)
        await asyncio.to_thread(jobs.check, job)
    except BaseException:
        jobs.abandon(job)
        raise
    jobs.start(job)
    place = f"/v1/video/{job.id}"
    return JSONResponse(job.to_dict(), 202, {"Location": place})


async def _receive(request: Request, job: Job, jobs: Jobs) -> None:
    """The body into the job's file, a megabyte at a time, in threads."""
    limits = jobs.limits
    body = Body(
        "a video",
        limits.video_body,
        limits.video_upload_seconds,
        limits.idle_seconds,
        limits.upload_rate,
    )
    with job.upload.open("wb") as file:
        parts, size = [], 0
        async for chunk in limited(request, body):
            parts.append(chunk)
            size += len(chunk)
            if size >= CHUNK:
                await asyncio.to_thread(file.write, b"".join(parts))
                parts, size = [], 0
        await asyncio.to_thread(file.write, b"".join(parts))


@router.get("/{key}", response_model=schemas.JobAnswer, responses={404: _GONE})
async def progress(request: Request, key: str) -> Response:
    """How far a job is."""
    return JSONResponse(_jobs(request).get(key).to_dict())


@router.get("/{key}/result", responses={404: _GONE, 409: _EARLY})
async def result(request: Request, key: str) -> Response:
    """What a clip came to: faces, shares, peaks with pictures, and each face's curve."""
    return JSONResponse(_done(request, key).result)


@router.get(
    "/{key}/clip.mp4",
    response_class=FileResponse,
    responses={
        200: {"content": {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}},
        404: _GONE,
        409: _EARLY,
    },
)
async def clip(request: Request, key: str) -> Response:
    """The clip with its faces drawn, and its sound."""
    return FileResponse(_done(request, key).clip, media_type="video/mp4")


@router.get(
    "/{key}/table.csv",
    response_class=FileResponse,
    responses={
        200: {"content": {"text/csv": {"schema": {"type": "string"}}}},
        404: _GONE,
        409: _EARLY,
    },
)
async def table(request: Request, key: str) -> Response:
    """One row per face and frame."""
    return FileResponse(_done(request, key).table, media_type="text/csv", filename="mien.csv")


@router.delete("/{key}", response_model=schemas.JobAnswer, responses={404: _GONE})
async def cancel(request: Request, key: str) -> Response:
    """Stop a job and delete all that is kept of it."""
    jobs = _jobs(request)
    job = jobs.get(key)
    jobs.drop(job)
    return JSONResponse(job.to_dict())


def _done(request: Request, key: str) -> Job:
    job = _jobs(request).get(key)
    if job.state != "done":
        text = job.error or f"the job is {job.state}; ask again when it is done"
        raise Refusal(409, "not_done", text)
    return job
