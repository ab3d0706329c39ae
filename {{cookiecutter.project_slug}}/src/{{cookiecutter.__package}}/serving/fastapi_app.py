"""The API on FastAPI, run by uvicorn.

Add path operations of your own to `keyed` or `public`, as FastAPI's tutorial says: they are documented and
counted, their bodies limited, and those of `keyed` ask for a key.
"""

from asyncio import Future, get_running_loop, sleep
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Annotated, Any, cast

import fastapi_offline
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, PlainTextResponse
from fastapi.security import APIKeyHeader
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..modeling.manifest import Manifest
from . import metrics
# {% if cookiecutter.containers != "none" %}
from .hosting import adapt
# {% endif %}
from .rows import Answer, Error, Predictions, RefusedError, Row, refuse_body
from .service import (
    KEY_HEADER,
    PAGE,
    PAGE_HEADERS,
    REFUSALS,
    REQUEST_ID_HEADER,
    TOO_LONG,
    Outcome,
    ServedModel,
    Service,
    refuse_failure,
)

_CLOSING_SECONDS = 0.5


class Batcher:
    """Scores the rows of requests that came in one turn of the event loop together, or each alone where that fails.

    A call of NumPy and onnxruntime costs far more than a row.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._waiting: dict[ServedModel, list[tuple[list[Row], Future[Predictions]]]] = {}
        self._bytes = 0

    async def predict(self, body: bytes) -> Outcome:
        """As `Service.predict`."""
        while self._bytes > self._service.settings.maximum_body_bytes:  # bounds the memory
            await sleep(0)
        served, loop = self._service.served, get_running_loop()
        request, predictions = served.read(body), loop.create_future()
        if not self._waiting:
            loop.call_soon(self._score)
        self._waiting.setdefault(served, []).append((request.rows, predictions))
        self._bytes += len(body)
        # What one of them has that the model cannot bear is not to spoil the others' answers.
        return self._service.answer(served, request, await predictions or served.predict(request.rows))

    def _score(self) -> None:
        waiting, self._waiting, self._bytes = self._waiting, {}, 0
        for served, requests in waiting.items():
            try:
                scored = iter(served.predict([row for rows, _ in requests for row in rows]))
            except Exception:
                scored = iter(())
            for rows, predictions in requests:
                part = list(islice(scored, len(rows)))
                if not predictions.done():  # its request was cancelled
                    predictions.set_result(part)


async def get_service(request: Request) -> Service:
    """What the API knows, for path operations that depend on it."""
    return cast(Service, request.app.state.service)


TheService = Annotated[Service, Depends(get_service)]


async def check_key(request: Request, service: TheService) -> None:
    """Refuse a request without one good key."""
    service.check_key([key.encode("latin-1") for key in request.headers.getlist(KEY_HEADER)])


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a path operation, for its documentation."""
    return {status: {"model": Error, "description": REFUSALS[status]} for status in statuses}


_documented = APIKeyHeader(name=KEY_HEADER, scheme_name="key", auto_error=False)
keyed = APIRouter(dependencies=[Security(_documented), Depends(check_key)], responses=refusals(401))
public = APIRouter()


@keyed.post(
    "/predict",
    response_model=Answer,
    response_model_exclude_unset=True,
    summary="Predict one or more rows",
    responses=refusals(413, 422, 503),
)
async def predict(request: Request, response: Response) -> Any:
    """Answer a request, whose rows are checked, and documented, by the model that is served now."""
    response.headers[REQUEST_ID_HEADER], answer = await request.app.state.batcher.predict(await request.body())
    return answer


@keyed.get("/model", summary="Describe the version that is served", responses=refusals(503))
async def model(service: TheService) -> Manifest:
    """Its manifest: table, features, metrics, and the hashes of data and files."""
    return service.served.manifest


@public.get("/health/live", summary="Tell whether the server runs")
async def live() -> dict[str, str]:
    """It runs if it answers."""
    return {"status": "live"}


@public.get("/health/ready", summary="Tell whether a model is loaded and checked", responses=refusals(503))
async def ready(service: TheService) -> dict[str, str]:
    """It can predict."""
    return {"status": "ready", "model_version": service.served.version}


@public.get("/metrics", name="metrics", summary="Show counts and times", response_class=PlainTextResponse)
async def show_metrics() -> Response:
    """All workers' counts, for Prometheus; no values of rows."""
    return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST)


@public.get("/", include_in_schema=False)
async def page() -> Response:
    """The page with a form."""
    return FileResponse(PAGE, headers=PAGE_HEADERS)


@public.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """Swagger UI, from this server alone."""
    names = {"js": "swagger-ui-bundle.js", "css": "swagger-ui.css", "favicon": "favicon.png"}
    files: dict[str, Any] = {f"swagger_{kind}_url": f"swagger/{name}" for kind, name in names.items()}
    page = get_swagger_ui_html(openapi_url="openapi.json", title=request.app.title, **files)
    page.headers.update(PAGE_HEADERS)
    return page


def answer_fast(app: ASGIApp, service: Service) -> ASGIApp:
    """`POST /predict` in front of FastAPI and its cost for a request, by the same function as the path operation."""
    route = SimpleNamespace(path="/predict")

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != route.path or scope["method"] != "POST":
            await app(scope, receive, send)
            return
        scope["route"] = route  # to be counted as such
        service.check_key([value for name, value in scope["headers"] if name == b"x-api-key"])
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            body, more = body + message.get("body", b""), message.get("more_body", False)
        request_id, prediction = await scope["app"].state.batcher.predict(body)
        content = to_json(prediction)
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        headers.append((b"x-request-id", request_id.encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return answer


class Front:
    """ASGI middleware: counts and times every answer, limits bodies, and gives errors from further in their form."""

    def __init__(self, app: ASGIApp, maximum_body_bytes: int) -> None:
        self._app, self._limit = app, maximum_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The server leaves out the body of an answer to HEAD.
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        scope = {**scope, "method": method, "path": scope["path"].removesuffix("/") or "/"}
        started, status, size = perf_counter(), 0, 0

        async def receive_some() -> Message:
            nonlocal size, started
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limit:
                # The rest of the body is not read, so the connection cannot carry another request.
                raise HTTPException(413, TOO_LONG.format(self._limit), {"Connection": "close"})
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
        except Exception as error:
            if status:
                raise
            response = await refuse(Request(scope), error)
            await response(scope, receive, send_some)
        metrics.count_request(getattr(scope.get("route"), "path", None), status, perf_counter() - started)


async def refuse(request: Request, error: Exception) -> Response:
    """The answer to a request that was refused, or that the server failed at."""
    headers = None
    match error:
        case RefusedError():
            refused = error
        case RequestValidationError():
            refused = refuse_body(error.errors())
        case HTTPException():
            refused, headers = RefusedError(error.status_code, error.detail), error.headers
        case _:
            refused = refuse_failure(error, f"{request.method} {request.url.path}")
    return Response(to_json(refused.error), refused.status, headers, "application/json")


@asynccontextmanager
async def _live(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.service.close()


def create_app(service: Service | None = None) -> FastAPI:
    """The application, of the project that the process runs in if no service is given; raises what `Service` does."""
    service = service or Service()
    app = FastAPI(
        title=service.settings.title,
        docs_url=None,
        redoc_url=None,
        # Asking whether OpenTelemetry is set up costs each request a tenth of its time; leave out to use it.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        generate_unique_id_function=lambda route: route.name,
        exception_handlers=dict.fromkeys((RefusedError, RequestValidationError, HTTPException), refuse),
        lifespan=_live,
    )
    app.state.service, app.state.batcher = service, Batcher(service)
    make_document = app.openapi

    @lru_cache(1)
    def describe(_served: object) -> dict[str, Any]:
        app.openapi_schema = None
        return service.describe(make_document())

    app.openapi = lambda: describe(service.latest)  # type: ignore[method-assign]
    app.include_router(keyed)
    app.include_router(public)
    app.mount("/swagger", StaticFiles(directory=Path(fastapi_offline.__file__).with_name("static")))
    # Three times as fast as the path operation, which answers if this line is deleted.
    app.add_middleware(answer_fast, service=service)
    app.add_middleware(Front, maximum_body_bytes=service.settings.maximum_body_bytes)
    # {% if cookiecutter.containers != "none" %}
    app.add_middleware(adapt)
    # {% endif %}
    return app


class Protocol(HttpToolsProtocol):
    """uvicorn's, but a server that stops first says so in its answers, or requests under way to it would be lost."""

    def shutdown(self) -> None:
        """End the connection soon."""
        headers, close = self.server_state.default_headers, (b"connection", b"close")
        if close not in headers:
            headers.append(close)
        self.loop.call_later(_CLOSING_SECONDS, super().shutdown)


def run(host: str, port: int, workers: int) -> None:
    """Serve until interrupted; requests under way then have half a minute to end."""
    app = f"{__name__}:create_app"
    quiet: dict[str, Any] = {"access_log": False, "log_level": "warning", "server_header": False}
    ends: dict[str, Any] = {"timeout_graceful_shutdown": 30, "proxy_headers": False}
    uvicorn.run(app, factory=True, host=host, port=port, workers=workers, http=Protocol, **quiet, **ends)
