"""The service on FastAPI, run by uvicorn."""

from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, cast

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import Response as HttpResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from .keys import KEY_HEADER
from .service import Response, Service, open_service

# How long requests under way may take once the server is told to stop.
_SHUTDOWN_SECONDS = 30

_KEY_HEADER = KEY_HEADER.lower().encode()


class ServiceApp(FastAPI):
    """A FastAPI application that answers the service's own paths around FastAPI's cost for a request.

    Routes that you add are FastAPI's own, and need no key by themselves.
    """

    def __init__(self, service: Service) -> None:
        super().__init__(docs_url=None, redoc_url=None, openapi_url=None, lifespan=self._live)
        self.service = service
        self.add_exception_handler(HTTPException, self._refuse)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not self.service.owns(scope["path"]):
            await super().__call__(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        key, length = _read_headers(scope)
        response = self.service.admit(method, path, key, length)
        if response is None:
            body = await _read_body(receive, self.service.maximum_body_bytes)
            if body is None:
                return
            response = self.service.answer(method, path, body)
        await send({"type": "http.response.start", "status": response.status, "headers": _encode_headers(response)})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else response.body})

    @asynccontextmanager
    async def _live(self, _app: FastAPI) -> AsyncIterator[None]:
        yield
        self.service.close()

    async def _refuse(self, _request: Request, error: Exception) -> HttpResponse:
        refusal = cast(HTTPException, error)
        response = self.service.refuse(refusal.status_code, str(refusal.detail))
        return HttpResponse(response.body, response.status, refusal.headers, response.content_type)


def create_app(service: Service | None = None) -> ServiceApp:
    """The application, of the project that the process runs in if no service is given.

    Raises:
        ProjectError: there is no project, or `config/serving.yaml` is wrong.
    """
    return ServiceApp(service or open_service())


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


def _read_headers(scope: Scope) -> tuple[bytes | None, int]:
    """The key, and the body's length if it is known, else 0."""
    key, length = None, 0
    for name, value in scope["headers"]:
        if name == _KEY_HEADER:
            key = value if key is None else key + b"," + value
        elif name == b"content-length" and value.isdigit():
            length = int(value)
    return key, length


async def _read_body(receive: Receive, limit: int) -> bytes | None:
    """The body, or what came of it until it was over the limit; None if the client went away."""
    message: MutableMapping[str, Any] = await receive()
    body: bytes = message.get("body", b"")
    while message["type"] == "http.request" and message.get("more_body") and len(body) <= limit:
        message = await receive()
        body += message.get("body", b"")
    return None if message["type"] == "http.disconnect" else body


def _encode_headers(response: Response) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"content-type", response.content_type.encode()),
        (b"content-length", str(len(response.body)).encode()),
    ]
    headers += [(name.lower().encode(), value.encode()) for name, value in response.headers]
    return headers
