"""The API on FastAPI, run by uvicorn.

Add path operations of your own to `keyed` or `public`, as FastAPI's tutorial says: they are documented and
counted, their bodies limited, and those of `keyed` ask for a key.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any, cast

import fastapi_offline
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, PlainTextResponse
from fastapi.security import APIKeyHeader
from fastapi.staticfiles import StaticFiles
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..modeling.manifest import Manifest
from ..terminal import get_logger
from . import metrics, service
from .model import ServedModel
from .rows import Answer, Error, RefusedError, explain

# How long requests under way may take once the server is told to stop.
_SHUTDOWN_SECONDS = 30

_logger = get_logger(__name__)


async def get_service(request: Request) -> service.Service:
    """What the API knows, for path operations that depend on it."""
    return cast(Api, request.app).service


TheService = Annotated[service.Service, Depends(get_service)]


async def get_model(service: TheService) -> ServedModel:
    """The model that answers now, for path operations that depend on it; 503 before the first."""
    return service.served


TheModel = Annotated[ServedModel, Depends(get_model)]
_KEY_HEADER = APIKeyHeader(name=service.KEY_HEADER, scheme_name="key", auto_error=False)


async def check_key(request: Request, the_service: TheService, _: Annotated[str, Security(_KEY_HEADER)]) -> None:
    """Refuse a request without one good key."""
    the_service.check_key([key.encode("latin-1") for key in request.headers.getlist(service.KEY_HEADER)])


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a path operation, for its documentation."""
    return {status: {"model": Error, "description": service.REFUSALS[status]} for status in statuses}


keyed = APIRouter(dependencies=[Security(check_key)], responses=refusals(401))
public = APIRouter()


@keyed.post("/predict", response_model=Answer, summary="Predict one or more rows", responses=refusals(413, 422, 503))
async def predict(request: Request, response: Response, the_service: TheService) -> Any:
    """Answer a request, whose rows are checked, and documented, by the model that is served now."""
    response.headers[service.REQUEST_ID_HEADER], answer = the_service.predict(await request.body())
    return answer


@keyed.get("/model", summary="Describe the version that is served", responses=refusals(503))
async def model(model: TheModel) -> Manifest:
    """Its manifest: table, features, metrics, and the hashes of data and files."""
    return model.manifest


@public.get("/health/live", summary="Tell whether the server runs")
async def live() -> dict[str, str]:
    """It runs if it answers."""
    return {"status": "live"}


@public.get("/health/ready", summary="Tell whether a model is loaded and checked", responses=refusals(503))
async def ready(model: TheModel) -> dict[str, str]:
    """It can predict."""
    return {"status": "ready", "model_version": model.version}


@public.get("/metrics", name="metrics", summary="Show counts and times", response_class=PlainTextResponse)
async def show_metrics() -> Response:
    """All workers' counts, for Prometheus; no values of rows."""
    return Response(metrics.render(), media_type=metrics.METRICS_TYPE)


@public.get("/", include_in_schema=False)
async def page() -> Response:
    """The page with a form."""
    return FileResponse(service.PAGE, headers=service.PAGE_HEADERS)


@public.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """Swagger UI, from this server alone."""
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title=request.app.title,
        swagger_js_url="swagger/swagger-ui-bundle.js",
        swagger_css_url="swagger/swagger-ui.css",
        swagger_favicon_url="swagger/favicon.png",
    )
    page.headers.update(service.PAGE_HEADERS)
    return page


class FastPredict:
    """`POST /predict` in front of FastAPI and its cost for a request, by the same function as the path operation."""

    path = "/predict"

    def __init__(self, app: ASGIApp, the_service: service.Service) -> None:
        self._app = app
        self._service = the_service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or scope["path"] != self.path or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["route"] = self
        try:
            self._service.check_key([value for name, value in scope["headers"] if name == b"x-api-key"])
            request_id, answer = self._service.predict(await _read_body(receive))
        except (RefusedError, HTTPException) as error:
            response = await _refuse(Request(scope), error)
            await response(scope, receive, send)
            return
        content = to_json(answer)
        headers = [
            (b"x-request-id", request_id.encode()),
            (b"content-length", b"%d" % len(content)),
            (b"content-type", b"application/json"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


async def _read_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


class Front:
    """ASGI middleware: counts every answer, limits bodies, answers HEAD, and does not mind a slash at a path's end."""

    def __init__(self, app: ASGIApp, maximum_body_bytes: int) -> None:
        self._app = app
        self._limit = maximum_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD" or (scope["path"].endswith("/") and not _is_mounted(scope)):
            # The server leaves the body of an answer to HEAD out.
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            scope = {**scope, "method": method, "path": scope["path"].removesuffix("/") or "/"}
        started, status, size = perf_counter(), 0, 0

        async def receive_some() -> Message:
            nonlocal size, started
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limit:
                # The rest of the body is not read, so the connection cannot carry another request.
                raise HTTPException(413, service.TOO_LONG.format(self._limit), {"Connection": "close"})
            started = perf_counter()
            return message

        async def send_some(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive_some, send_some)
        except ClientDisconnect:
            return
        except Exception:
            _logger.exception("Unexpected error in %s %s", scope["method"], scope["path"])
            if status:
                raise
            await _respond(500, service.FAILURE)(scope, receive, send_some)
        metrics.count_request(_name_route(scope), status, perf_counter() - started)


def _name_route(scope: Scope) -> str:
    routes, endpoint = scope["app"].routes, scope.get("endpoint")
    found = scope.get("route") or next((each for each in routes if getattr(each, "endpoint", each) is endpoint), None)
    return getattr(found, "path", service.UNKNOWN_ROUTE)


def _is_mounted(scope: Scope) -> bool:
    mounts = (route for route in scope["app"].routes if isinstance(route, Mount))
    return any(scope["path"].startswith(f"{mount.path}/") for mount in mounts)


class Api(FastAPI):
    """FastAPI, with a document that follows the model that is served."""

    def __init__(self, the_service: service.Service) -> None:
        super().__init__(
            title=the_service.settings.title,
            docs_url=None,
            redoc_url=None,
            # Asking whether OpenTelemetry is set up costs each request a tenth of its time; leave out to use it.
            telemetry={"tracing": False, "metrics": False, "logs": False},
            generate_unique_id_function=lambda route: route.name,
            lifespan=_live,
        )
        self.service = the_service
        self._described: object = self

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made anew for each version."""
        if self._described is not self.service.latest.served:
            self._described, self.openapi_schema = self.service.latest.served, None
            self.service.describe(super().openapi())
        return super().openapi()


def create_app(the_service: service.Service | None = None) -> FastAPI:
    """The application, of the project that the process runs in if no service is given.

    Raises:
        ProjectError: there is no project, or `config/serving.yaml` is wrong.
    """
    the_service = the_service or service.open_service()
    app = Api(the_service)
    app.include_router(keyed)
    app.include_router(public)
    app.mount("/swagger", StaticFiles(directory=Path(fastapi_offline.__file__).with_name("static")))
    # Twice as fast as the path operation, which answers if this line is deleted.
    app.add_middleware(FastPredict, the_service=the_service)
    app.add_middleware(Front, maximum_body_bytes=the_service.settings.maximum_body_bytes)
    for kind in (RefusedError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _refuse)
    return app


async def _refuse(_request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _respond(error.status_code, Error(detail=error.detail), error.headers)
    refused = explain(error.errors()) if isinstance(error, RequestValidationError) else cast(RefusedError, error)
    return _respond(refused.status, refused.error)


def _respond(status: int, error: Error, headers: Any = None) -> Response:
    return Response(to_json(error), status, headers, "application/json")


@asynccontextmanager
async def _live(_app: FastAPI) -> AsyncIterator[None]:
    yield
    # {% if cookiecutter.monitoring == "drift" %}
    cast(Api, _app).service.log.close()
    # {% endif %}


def run(host: str, port: int, workers: int) -> None:
    """Serve until interrupted."""
    uvicorn.run(
        f"{__name__}:create_app",
        factory=True,
        host=host,
        port=port,
        workers=workers,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
