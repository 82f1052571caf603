"""The application: a recognizer, the service, the page, and the guard around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.staticfiles import StaticFiles

from mien import __version__
from mien.loading import load
from mien.types import MissingExtraError
from mien.web import examples, schemas, service, videos
from mien.web.describe import NOTICE
from mien.web.guard import WITH_TOKEN, Guard
from mien.web.jobs import Jobs
from mien.web.limits import Refusal
from mien.web.service import Service
from mien.web.settings import ServiceSettings

STATIC = Path(__file__).parent / "static"
KEEP = {"Cache-Control": "max-age=3600"}  # of what is the same each time
CODES = {404: "not_found", 405: "wrong_method", 400: "bad_request"}


def create_app(settings: ServiceSettings = ServiceSettings()) -> FastAPI:  # noqa: B008 - frozen
    """The ASGI application of ``mien serve``; loads the model.

    Raises the errors of :func:`mien.load` for a model or a detector that cannot be used.

    >>> create_app().title
    'Mien'
    """
    recognizer = load(
        settings.model,
        head=settings.head,
        contempt=settings.contempt,
        prior=settings.prior,
        flip=settings.flip,
        detector=settings.detector,
    )
    shared = Service(recognizer, settings)
    jobs = Jobs(shared.engine.choices, settings.limits, shared.metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await shared.start()
        sweeping = asyncio.create_task(jobs.sweep_periodically())
        try:
            yield
        finally:
            sweeping.cancel()
            await shared.close()
            await jobs.close()

    app = FastAPI(
        title="Mien",
        version=__version__,
        lifespan=lifespan,
        description=" ".join(NOTICE.values()),
        docs_url=None,
        redoc_url=None,  # their pages ask other hosts
    )
    app.state.service, app.state.jobs = shared, jobs
    app.include_router(service.router)
    app.include_router(videos.router)
    _add_plain_routes(app, shared)
    _add_errors(app)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_middleware(Guard, settings=settings, seen=shared.metrics.seen)
    _describe_openapi(app, shared)
    return app


def _add_plain_routes(app: FastAPI, shared: Service) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    @app.get("/examples/{name}.jpg", include_in_schema=False)
    def example(name: str) -> Response:
        found = examples.drawn_photo(name)
        if found is None:
            raise HTTPException(404, "no such example")
        return Response(found, media_type="image/jpeg", headers=KEEP)

    @app.get("/examples/clip.mp4", include_in_schema=False)
    def clip() -> Response:
        try:
            return Response(examples.drawn_clip(), media_type="video/mp4", headers=KEEP)
        except MissingExtraError as error:
            raise Refusal(501, "not_installed", str(error)) from error

    @app.get("/healthz", response_model=schemas.Health, responses=_few(403, 421))
    async def healthz() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @app.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **_few(401, 403, 421),
        },
    )
    async def metrics() -> Response:
        """Counts and times in the text format of Prometheus."""
        return Response(shared.metrics.text(), media_type="text/plain; version=0.0.4")


def _few(*codes: int) -> dict[int | str, dict[str, Any]]:
    return {code: schemas.REFUSALS[code] for code in codes}


def _add_errors(app: FastAPI) -> None:
    """Every error is the same JSON."""

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return JSONResponse(error.body(), error.status, error.headers)

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = CODES.get(error.status_code, "failed")
        body = Refusal(error.status_code, code, str(error.detail).lower()).body()
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_methods(app, request))
        return JSONResponse(body, error.status_code, headers)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return JSONResponse(Refusal(422, "invalid", f"{where}: {first['msg']}").body(), 422)

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)


def _methods(app: FastAPI, request: Request) -> list[str]:
    """The methods that a path answers to, of all its routes: Starlette names those of one."""
    found = [
        method
        for method in ("DELETE", "GET", "POST")
        if any(r.matches({**request.scope, "method": method})[0] is Match.FULL for r in app.routes)
    ]
    return found + (["HEAD"] if "GET" in found else [])


def _describe_openapi(app: FastAPI, shared: Service) -> None:
    """The OpenAPI document, with the names that this server's model knows."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            _name_choices(found, shared)
            if shared.settings.token is not None:
                _ask_token(found)
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _name_choices(document: dict[str, Any], shared: Service) -> None:
    labels = list(shared.recognizer.labels)
    about = shared.description
    names = {
        "method": [m["name"] for m in about["methods"]],
        "baseline": about["baselines"],
        "target": labels,
        "against": labels,
        "detector": [d["name"] for d in about["detectors"]],
        "prior": [p["name"] for p in about["priors"]],
        "overlay": ["none", *(m["name"] for m in about["methods"] if m["overlay"])],
    }
    paths = [document["paths"][f"/v1/{name}"]["post"] for name in ("predict", "explain", "video")]
    for parameter in (one for path in paths for one in path["parameters"]):
        if known := names.get(parameter["name"]):
            default = parameter["schema"].get("default")
            parameter["schema"] = {"type": "string", "enum": known}
            if default is not None:
                parameter["schema"]["default"] = default


def _ask_token(document: dict[str, Any]) -> None:
    """The token, of what the guard asks it of, and of nothing else."""
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{"token": []}]
    for path, operations in document["paths"].items():
        if not path.startswith(WITH_TOKEN):
            for operation in operations.values():
                operation["security"] = []
