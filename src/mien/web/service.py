"""The endpoints for photos: ``/v1/predict``, ``/v1/explain``, ``/v1/models``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from starlette.formparsers import MultiPartException, MultiPartParser

from mien.recognizer import Recognizer
from mien.web import schemas
from mien.web.batching import Batcher
from mien.web.choices import Choice
from mien.web.describe import describe
from mien.web.engine import Engine, Photo, Question
from mien.web.guard import LEFT
from mien.web.limits import Body, Gate, Refusal, caller_of, known_only, limited, stated_length
from mien.web.memory import give_back
from mien.web.metrics import Metrics
from mien.web.settings import ServiceSettings

#: Media types of answers that are files.
FILES: Final = {
    "csv": "text/csv; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
}
TRIM_SECONDS = 5.0  # between two times that freed memory is given back
router = APIRouter(prefix="/v1", responses=schemas.REFUSALS)

DetectorName = Annotated[
    str | None, Query(description="What finds faces; default: what the server was started with.")
]
PriorName = Annotated[
    str | None,
    Query(description="How often each expression is expected; default: as the server has it."),
]

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The image's file as it is, or a form with one part named file.",
        "content": {
            "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
            "image/png": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}


class Service:
    """What the endpoints share: the recognizer, the queues, the counters."""

    def __init__(self, recognizer: Recognizer, settings: ServiceSettings) -> None:
        limits = settings.limits
        self.settings, self.limits, self.recognizer = settings, limits, recognizer
        self.engine = Engine(recognizer, limits)
        self.metrics = Metrics()
        self.gate = Gate(limits.accepted, limits.per_caller, limits.held)
        self.batcher: Batcher[Photo, bytes | dict[str, Any]] = Batcher(
            self.engine.predict,
            most=limits.batch,
            wait=limits.wait,
            workers=settings.threads,
            seen=self.metrics.batches.observe,
        )
        self.explainers = ThreadPoolExecutor(max(1, settings.threads // 2), "mien-explain")
        self.description = describe(recognizer, limits, self.engine.choices)
        self._trimming: asyncio.Task[None] | None = None
        self._answered = 0  # photos, since memory was last given back
        self.metrics.gauge(
            "mien_waiting", "Photos no thread has taken.", lambda: self.batcher.waiting
        )
        self.metrics.gauge(
            "mien_accepted", "Requests accepted, not answered.", lambda: self.gate.count
        )

    async def start(self) -> None:
        """Begin to answer; the first photo need not wait for the networks to wake up."""
        await asyncio.to_thread(self.engine.warm)
        await self.batcher.start()
        self._trimming = asyncio.create_task(self._trim_periodically())

    async def close(self) -> None:
        """Answer what was accepted, then stop."""
        if self._trimming is not None:
            self._trimming.cancel()
        await self.batcher.close()
        await asyncio.to_thread(self.explainers.shutdown)

    async def _trim_periodically(self) -> None:
        while True:
            await asyncio.sleep(TRIM_SECONDS)
            if self._answered:
                self._answered = 0
                await asyncio.to_thread(give_back)

    @contextlib.asynccontextmanager
    async def photo(
        self, request: Request, choice: Choice, *, csv: bool = False
    ) -> AsyncIterator[Photo]:
        """The photo in a request's body, within the limits; its place is kept until the end."""
        self.engine.choices.get(choice)  # a wrong name is refused before the body is read
        kind = media_type(request)
        limits = self.limits
        body = Body(
            "an image", limits.body, limits.upload_seconds, limits.idle_seconds, limits.upload_rate
        )
        stated = stated_length(request)
        # a body that does not state its length may take all that a body may
        most = limits.body if stated is None else min(stated, limits.body)
        with self.gate.enter(caller_of(request)), self.gate.reserve(most) as reserved:
            data = b"".join([chunk async for chunk in limited(request, body)])
            reserved.shrink(len(data))
            form = kind == "multipart/form-data"
            found = await _part(request, data) if form else Photo(data)
            yield replace(found, choice=choice, csv=csv)
            self._answered += 1


def media_type(request: Request) -> str:
    """The body's kind; 415 for one that is not read."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith("image/") or kind in ("application/octet-stream", "multipart/form-data"):
        return kind
    raise Refusal(
        415,
        "wrong_type",
        "expected the file itself (image/jpeg, image/png, ..., application/octet-stream) or "
        f"multipart/form-data with a part named file, got {kind[:60]!r}",
    )


class _InMemory(MultiPartParser):
    spool_max_size = 2**62  # never a temporary file: the body's limit bounds it


async def _part(request: Request, data: bytes) -> Photo:
    async def once() -> AsyncIterator[bytes]:
        yield data

    wrong = Refusal(422, "no_file", "expected a form with one file in a part named file")
    try:
        form = await _InMemory(request.headers, once(), max_files=1, max_fields=8).parse()  # type: ignore[arg-type]  # any iterator does
    except (MultiPartException, AssertionError, ValueError) as error:
        raise wrong from error
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(form.close)
        file = form.get("file")
        if file is None or isinstance(file, str):
            raise wrong
        other = next((name for name in form if name != "file"), None)
        if other is not None:  # it would change nothing, silently
            raise Refusal(
                422,
                "unknown_name",
                f"expected a form with one part, named file, got another, {other[:40]!r}; "
                "parameters stand in the address, as in ?method=gradcam",
            )
        name = (file.filename or "image").replace("\\", "/").rpartition("/")[2][:200]
        return Photo(await file.read(), name or "image")


def _service(request: Request) -> Service:
    found = request.app.state.service
    assert isinstance(found, Service)
    return found


def _json(value: Any) -> bytes:
    return json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8", "replace")


@router.post(
    "/predict",
    openapi_extra=BODY,
    dependencies=[Depends(known_only)],
    response_model=schemas.PredictAnswer,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def predict(
    request: Request,
    format: Annotated[  # noqa: A002 - the parameter's name
        Literal["json", "csv"], Query(description="A record, or a table of all faces.")
    ] = "json",
    detector: DetectorName = None,
    prior: PriorName = None,
) -> Response:
    """Every face in a photo, and what it expresses.

    Photos of many callers are answered together. The photo is never written to disk.
    """
    service = _service(request)
    async with service.photo(request, Choice(detector, prior), csv=format == "csv") as photo:
        began = time.perf_counter()
        answer = await service.batcher(photo)
        if isinstance(answer, bytes):
            service.metrics.faces.inc(answer.count(b"\n") - 1)
            return Response(answer, media_type=FILES["csv"])
        service.metrics.faces.inc(len(answer["faces"]))
        took = {"seconds": round(time.perf_counter() - began, 4)}
        return Response(_json(answer | took), media_type="application/json")


@router.post(
    "/explain",
    openapi_extra=BODY,
    dependencies=[Depends(known_only)],
    response_model=schemas.ExplainAnswer,
    responses={
        200: {
            "content": {
                kind.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}}
                for kind in FILES.values()
            }
        }
    },
)
async def explain(
    request: Request,
    method: Annotated[
        str, Query(description="One of /v1/models' methods, with options: dncshap:levels=4.")
    ] = "regions",
    target: Annotated[
        str | None, Query(description="The expression to explain; default: the answer.")
    ] = None,
    against: Annotated[
        str | None, Query(description="Explain the target's lead over this one.")
    ] = None,
    face: Annotated[
        int | None, Query(ge=0, le=9999, description="Only this face; default: each.")
    ] = None,
    baseline: Annotated[
        str | None, Query(description="What stands where a part is hidden; default: mean.")
    ] = None,
    option: Annotated[
        list[str], Query(description="key=value of the method's options.", max_length=16)
    ] = [],  # noqa: B006 - FastAPI copies it
    seed: Annotated[
        int, Query(ge=0, le=2**32 - 1, description="Of methods that draw at random.")
    ] = 0,
    format: Annotated[  # noqa: A002 - the parameter's name
        Literal["json", "csv", "png", "svg", "pdf"],
        Query(description="The record, a table of faces and regions, or the picture."),
    ] = "json",
    scale: Annotated[
        float, Query(ge=0.5, le=4, description="Of a PNG: times as many pixels, 96 to the inch.")
    ] = 1,
    view: Annotated[bool, Query(description="Add the crop and the map as it is painted.")] = False,
    detector: DetectorName = None,
    prior: PriorName = None,
) -> Response:
    """Why a face was answered so: which parts of it speak for the target, and which against."""
    service = _service(request)
    async with service.photo(request, Choice(detector, prior)) as photo:
        fields = {"target": target, "against": against, "baseline": baseline, "seed": seed}
        query = service.engine.query(method, option, **fields)
        question = Question(photo, query, face, view, format, scale)
        began = time.perf_counter()
        work = asyncio.get_running_loop().run_in_executor(
            service.explainers, lambda: _explained(service, question)
        )
        answer = await _while_there(request, work, question)
        service.metrics.explanations.labels(query.method).observe(time.perf_counter() - began)
        return Response(answer, media_type=FILES.get(format, "application/json"))


def _explained(service: Service, question: Question) -> bytes:
    if question.left.is_set():
        return b""
    found = service.engine.explain(question)
    return found if isinstance(found, bytes) else _json(found)


async def _while_there(request: Request, work: asyncio.Future[bytes], question: Question) -> bytes:
    """The work's result; tells the work to stop where its caller hangs up."""
    while not work.done():
        await asyncio.wait([work], timeout=0.2)
        if not work.done() and await request.is_disconnected():
            question.left.set()
            with contextlib.suppress(Refusal):
                await work
            raise Refusal(LEFT, "left", "the caller has left")
    return work.result()


@router.get("/models", response_model=schemas.ModelsAnswer)
async def models(request: Request) -> Response:
    """The model that answers, with its card; the methods and their options; the limits."""
    return Response(_json(_service(request).description), media_type="application/json")
