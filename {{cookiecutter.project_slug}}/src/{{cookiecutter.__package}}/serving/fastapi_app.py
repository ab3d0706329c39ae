"""The API on FastAPI, run by uvicorn.

Add path operations of your own to `keyed` or `public`, as FastAPI's tutorial says: they are documented and
counted, their bodies limited, and those of `keyed` ask for a key.
"""

# {% if cookiecutter.containers != "none" %}
import os
# {% endif %}
from asyncio import Future, get_running_loop
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from time import perf_counter
from typing import Annotated, Any, cast

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, PlainTextResponse
from fastapi.security import APIKeyHeader
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic_core import to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..modeling.manifest import Manifest
from ..modeling.model import Model
from . import metrics
from .rows import Answer, Error, Predictions, RefusedError, Row, refuse_body
from .service import ERRORS, KEY_HEADER, PAGE, REQUEST_ID_HEADER, TOO_LONG, Outcome, Service, refuse_failure

_KEY, _REQUEST_ID = KEY_HEADER.lower().encode(), REQUEST_ID_HEADER.lower().encode()


class Batcher:
    """Scores the rows of requests that came in one turn of the event loop together, or each alone where that fails.

    A call of NumPy and onnxruntime costs far more than a row.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._waiting: list[tuple[list[Row], Future[tuple[Model, Predictions]]]] = []

    async def predict(self, body: bytes) -> Outcome:
        """As `Service.predict`."""
        model, rows, loop = self._service.served, self._service.read(body), get_running_loop()
        if not self._waiting:
            loop.call_soon(self._score, model)
        scored = loop.create_future()
        self._waiting.append((rows, scored))
        model, predictions = await scored
        # What one of them has that the model cannot bear is not to spoil the others' answers.
        return self._service.answer(model, rows, predictions)

    def _score(self, model: Model) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            predictions = iter(self._service.score(model, [row for rows, _ in waiting for row in rows]))
        except Exception:
            predictions = iter(())
        for rows, scored in waiting:
            part = list(islice(predictions, len(rows)))
            if not scored.done():  # its request was cancelled
                scored.set_result((model, part))


async def get_service(request: Request) -> Service:
    """What the API knows, for path operations that depend on it."""
    return cast(Service, request.app.state.service)


TheService = Annotated[Service, Depends(get_service)]


async def check_key(request: Request, service: TheService) -> None:
    """Refuse a request without one good key."""
    service.check_key(",".join(request.headers.getlist(KEY_HEADER)))


_documented = APIKeyHeader(name=KEY_HEADER, scheme_name="key", auto_error=False)
_errors: dict[int | str, dict[str, Any]] = {status: {"model": Error} for status in ERRORS}
keyed = APIRouter(dependencies=[Security(_documented), Depends(check_key)], responses=_errors)
public = APIRouter()


@keyed.post("/predict", response_model=Answer, summary="Predict one or more rows")
async def predict(request: Request) -> Response:
    """Answer a request, whose body `Service` checks, and describes in the documentation."""
    request_id, answer = await request.app.state.batcher.predict(await request.body())
    return Response(to_json(answer), headers={REQUEST_ID_HEADER: request_id}, media_type="application/json")


@keyed.get("/model", summary="Describe the version that is served")
async def model(service: TheService) -> Manifest:
    """Its manifest: table, features, metrics, and the hashes of data and files."""
    return service.served.manifest


@public.get("/health/live", summary="Tell whether the server runs")
async def live() -> dict[str, str]:
    """It runs if it answers."""
    return {"status": "live"}


@public.get("/health/ready", summary="Tell whether a model is loaded and checked")
async def ready(service: TheService) -> dict[str, str]:
    """It can predict."""
    return {"status": "ready", "model_version": str(service.served.manifest.version)}


@public.get("/metrics", summary="Show counts and times", response_class=PlainTextResponse)
async def show_metrics() -> Response:
    """For Prometheus; no values of rows."""
    return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


@public.get("/", include_in_schema=False)
async def page() -> Response:
    """The page with a form."""
    return FileResponse(PAGE)


class Front:
    """ASGI middleware: counts and times every answer, limits bodies, and gives errors from further in their form.

    It answers `POST /predict` by the path operation's function, without FastAPI's cost for a request.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service, self._limit = app, service, service.settings.maximum_body_bytes
        # {% if cookiecutter.containers != "none" %}
        self._drain_file = os.environ.get("DRAIN_FILE", "")
        # {% endif %}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, size = perf_counter(), 0, 0
        # Three times as fast as the path operation, which answers where this is False.
        is_fast = (scope["method"], scope["path"]) == ("POST", "/predict")

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
            # {% if cookiecutter.containers != "none" %}
            # The server is about to end, so that clients should send their next request elsewhere.
            if self._drain_file and "status" in message and os.path.exists(self._drain_file):  # noqa: PTH110 - it is quick
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            # {% endif %}
            await send(message)

        try:
            await (self._predict if is_fast else self._app)(scope, receive_some, send_some)
        except ClientDisconnect:
            return
        except Exception as error:
            response = await refuse(Request(scope), error)
            await response(scope, receive, send_some)
        route = scope["path"] if is_fast else getattr(scope.get("route"), "path", None)
        metrics.count_request(route, status, perf_counter() - started)

    async def _predict(self, scope: Scope, receive: Receive, send: Send) -> None:
        # As the path operation, but for Starlette's request and response, which take a tenth of the time.
        given = b",".join(value for name, value in scope["headers"] if name == _KEY)
        self._service.check_key(given.decode("latin-1"))
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            body, more = body + message.get("body", b""), message.get("more_body", False)
        request_id, answer = await scope["app"].state.batcher.predict(body)
        content = to_json(answer)
        length, kind = (b"content-length", b"%d" % len(content)), (b"content-type", b"application/json")
        headers = [length, kind, (_REQUEST_ID, request_id.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


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
    app = FastAPIOffline(
        title=service.settings.title,
        description=service.description,
        static_url="/swagger",
        redoc_url=None,
        # Asking whether OpenTelemetry is set up costs each request a tenth of its time; leave out to use it.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        exception_handlers=dict.fromkeys((RefusedError, RequestValidationError, HTTPException), refuse),
        lifespan=_live,
    )
    app.state.service, app.state.batcher = service, Batcher(service)
    app.include_router(keyed)
    app.include_router(public)
    # {% if cookiecutter.containers != "none" %}
    if "SAGEMAKER_BIND_TO_PORT" in os.environ:
        # SageMaker sends no key, since it lets nobody ask whom it does not know.
        app.add_api_route("/ping", ready, include_in_schema=False)
        app.add_api_route("/invocations", predict, methods=["POST"], include_in_schema=False)
    # {% endif %}
    app.openapi_schema = service.describe(app.openapi())
    app.add_middleware(Front, service=service)
    return app


def run(host: str, port: int) -> None:
    """Serve until interrupted; requests under way then have half a minute to end."""
    quiet: dict[str, Any] = {"access_log": False, "log_level": "warning", "server_header": False}
    ends: dict[str, Any] = {"timeout_graceful_shutdown": 30, "proxy_headers": False}
    uvicorn.run(create_app(), host=host, port=port, http="httptools", **quiet, **ends)
