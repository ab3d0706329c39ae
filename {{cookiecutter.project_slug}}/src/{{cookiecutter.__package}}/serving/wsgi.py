"""The service on Flask, run by granian."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Flask
from flask import Response as HttpResponse
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels
from werkzeug.exceptions import HTTPException

from .keys import KEY_HEADER
from .service import Response, Service, open_service

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

# How long requests under way may take once the server is told to stop.
_SHUTDOWN_SECONDS = 30

_KEY_VARIABLE = f"HTTP_{KEY_HEADER.upper().replace('-', '_')}"


class ServiceApp(Flask):
    """A Flask application that answers the service's own paths around Flask's cost for a request.

    Routes that you add are Flask's own, and need no key by themselves.
    """

    def __init__(self, service: Service) -> None:
        super().__init__(__name__, static_folder=None)
        self.service = service
        self.register_error_handler(HTTPException, self._refuse)

    def wsgi_app(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer one request."""
        # WSGI carries bytes as Latin-1 characters.
        path = environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace")
        if not self.service.owns(path):
            return super().wsgi_app(environ, start_response)
        method = environ["REQUEST_METHOD"]
        key = environ.get(_KEY_VARIABLE)
        length = environ.get("CONTENT_LENGTH") or "0"
        known = int(length) if length.isdecimal() else 0
        response = self.service.admit(method, path, None if key is None else key.encode("latin-1"), known)
        if response is None:
            # One byte over the limit is enough for the service to refuse the body.
            body = environ["wsgi.input"].read(self.service.maximum_body_bytes + 1)
            response = self.service.answer(method, path, body)
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", _list_headers(response))
        return [] if method == "HEAD" else [response.body]

    def _refuse(self, error: HTTPException) -> HttpResponse:
        status = HTTPStatus(error.code or HTTPStatus.INTERNAL_SERVER_ERROR)
        detail = error.description
        if detail is None or detail == type(error).description:
            detail = status.phrase
        response = self.service.refuse(status, detail)
        return HttpResponse(response.body, response.status, content_type=response.content_type)


def create_app(service: Service | None = None) -> ServiceApp:
    """The application, of the project that the process runs in if no service is given.

    Raises:
        ProjectError: there is no project, or `config/serving.yaml` is wrong.
    """
    return ServiceApp(service or open_service())


def run(host: str, port: int, workers: int) -> None:
    """Serve until interrupted."""
    Granian(
        f"{__name__}:create_app",
        factory=True,
        interface=Interfaces.WSGI,
        address=host,
        port=port,
        workers=workers,
        # A worker that is told to stop while it still loads does not hear it, and would be waited for forever.
        workers_kill_timeout=_SHUTDOWN_SECONDS,
        # It warns of its many threads, which are wanted: a client that sends its body slowly holds one.
        log_level=LogLevels.error,
    ).serve()


def _list_headers(response: Response) -> list[tuple[str, str]]:
    return [
        ("Content-Type", response.content_type),
        ("Content-Length", str(len(response.body))),
        *response.headers,
    ]
