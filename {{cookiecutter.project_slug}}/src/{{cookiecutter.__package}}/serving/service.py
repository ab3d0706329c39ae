"""The API without a web framework: bytes in, bytes out. The adapters only carry them."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

from pydantic_core import to_json

from ..config import Project, find_project, read_settings
from ..modeling.registry import Registry
from ..terminal import configure_logging, get_logger
from .keys import KEY_HEADER, KeyRing, read_keys
from .loading import LatestModel
from .metrics import METRICS_TYPE, Metrics
from .model import ServedModel
from .openapi import describe_api
from .request_log import REQUEST_ID_HEADER, RequestLog
from .requests import RequestError, RequestRefusedError
from .settings import SETTINGS_FILE, ServingSettings

_logger = get_logger(__name__)

_JSON = "application/json"
_HTML = "text/html; charset=utf-8"
_DOCS_PAGE = Path(__file__).with_name("docs.html")
_UNKNOWN_ROUTE = "other"

Headers = tuple[tuple[str, str], ...]

# What the page needs and no more: its own script and style, and requests to the API it came from.
_DOCS_HEADERS: Headers = (
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
)
_CLOSE: Headers = (("Connection", "close"),)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; the adapters add its length, and leave out the body of an answer to HEAD."""

    status: int
    body: bytes
    content_type: str = _JSON
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    needs_key: bool
    answer: Callable[[bytes], Response]


class Service:
    """The routes, and what they share: keys, limits, the model and the metrics.

    An adapter calls `admit` with what it knows before the body, then, unless that refused, reads
    the body (one byte over `maximum_body_bytes` is enough) and calls `answer`.
    """

    def __init__(
        self,
        settings: ServingSettings,
        keys: KeyRing,
        latest: LatestModel,
        metrics: Metrics,
        project: Project,
        log: RequestLog | None = None,
    ) -> None:
        self.maximum_body_bytes = settings.maximum_body_bytes
        self._settings = settings
        self._keys = keys
        self._latest = latest
        self._metrics = metrics
        self._project = project
        self._log = log
        self._routes = {
            "/predict": _Route("POST", True, self._predict),
            "/model": _Route("GET", True, self._describe_model),
            "/health/live": _Route("GET", False, self._report_life),
            "/health/ready": _Route("GET", False, self._report_readiness),
            "/metrics": _Route("GET", False, self._show_metrics),
            "/openapi.json": _Route("GET", False, self._show_openapi),
            "/docs": _Route("GET", False, self._show_docs),
            "/": _Route("GET", False, self._show_way_to_docs),
        }

    def close(self) -> None:
        """Write what the request log still holds; call it when the server stops."""
        if self._log is not None:
            self._log.close()

    def owns(self, path: str) -> bool:
        """Whether the path is one of the service's own; a slash at its end does not matter."""
        return path in self._routes or _without_slash(path) in self._routes

    def handle(self, method: str, path: str, key: bytes | None, body: bytes) -> Response:
        """The answer to a whole request."""
        return self.admit(method, path, key, len(body)) or self.answer(method, path, body)

    def admit(self, method: str, path: str, key: bytes | None, length: int) -> Response | None:
        """Refuse what can be refused before the body is read; None lets the request in.

        `length` is the body's length in bytes as far as the client gave it, else 0.
        """
        route = self._find(path)
        if route is None:
            return self.refuse(404, "Not Found")
        name, found = route
        if method != found.method and not (method == "HEAD" and found.method == "GET"):
            allowed = "GET, HEAD" if found.method == "GET" else found.method
            return self.refuse(405, f"{name} takes {allowed}", (("Allow", allowed),), route=name)
        if found.needs_key and not self._keys.accepts(key):
            return self.refuse(401, f"Send a good key in the header {KEY_HEADER}", route=name)
        if length > self.maximum_body_bytes:
            return self._refuse_length(name)
        return None

    def answer(self, method: str, path: str, body: bytes) -> Response:
        """Answer a request that `admit` let in."""
        started = perf_counter()
        route = self._find(path)
        if route is None:
            raise ValueError(f"{method} {path} was not admitted")
        name, found = route
        if len(body) > self.maximum_body_bytes:
            return self._refuse_length(name)
        try:
            response = found.answer(body)
        except Exception:
            _logger.exception("Unexpected error in %s %s", method, name)
            response = _error(500, "The server failed; its log says why")
        self._metrics.count_request(name, response.status)
        self._metrics.time_request(name, perf_counter() - started)
        return response

    def refuse(self, status: int, detail: str, headers: Headers = (), route: str = _UNKNOWN_ROUTE) -> Response:
        """An error in the API's form, counted."""
        self._metrics.count_request(route, status)
        return _error(status, detail, headers=headers)

    def _find(self, path: str) -> tuple[str, _Route] | None:
        route = self._routes.get(path)
        if route is not None:
            return path, route
        shorter = _without_slash(path)
        route = self._routes.get(shorter)
        return None if route is None else (shorter, route)

    def _refuse_length(self, route: str) -> Response:
        # The rest of the body is not read, so the connection cannot carry another request.
        detail = f"The body is over the limit of {self.maximum_body_bytes} bytes; send fewer rows at a time"
        return self.refuse(413, detail, _CLOSE, route)

    def _predict(self, body: bytes) -> Response:
        model = self._latest.served
        if model is None:
            return _no_model()
        try:
            rows = model.requests.read(body)
            predictions = model.predict(rows)
        except RequestRefusedError as refusal:
            return _error(422, refusal.detail, refusal.errors)
        self._metrics.count_predictions(predictions)
        encoded = to_json(predictions)
        headers: Headers = ()
        if self._log is not None:
            headers = ((REQUEST_ID_HEADER, self._log.record(model, rows, predictions, encoded)),)
        body = b'{"model_version":%b,"predictions":%b}' % (to_json(model.version), encoded)
        return Response(200, body, headers=headers)

    def _describe_model(self, _body: bytes) -> Response:
        model = self._latest.served
        return _no_model() if model is None else Response(200, model.manifest.model_dump_json().encode())

    def _report_life(self, _body: bytes) -> Response:
        return Response(200, to_json({"status": "live"}))

    def _report_readiness(self, _body: bytes) -> Response:
        model = self._latest.served
        if model is None:
            return _no_model()
        return Response(200, to_json({"status": "ready", "model_version": model.version}))

    def _show_metrics(self, _body: bytes) -> Response:
        return Response(200, self._metrics.render(), METRICS_TYPE)

    def _show_openapi(self, _body: bytes) -> Response:
        model: ServedModel | None = self._latest.served
        schema = self._project.schema if model is None else model.manifest.table
        return Response(200, to_json(describe_api(schema, self._settings, model)))

    def _show_docs(self, _body: bytes) -> Response:
        return Response(200, _DOCS_PAGE.read_bytes(), _HTML, _DOCS_HEADERS)

    def _show_way_to_docs(self, _body: bytes) -> Response:
        return Response(307, b"", headers=(("Location", "docs"),))


def open_service(project: Project | None = None) -> Service:
    """The service of a project, with its latest model loaded and followed from now on.

    Raises:
        ProjectError: there is no project, or `config/serving.yaml` is wrong.
    """
    project = project or find_project()
    settings = read_settings(project.root, SETTINGS_FILE, ServingSettings)
    configure_logging(project.logs / "inference.log")
    metrics = Metrics()
    latest = LatestModel(Registry(project.models), metrics, settings.maximum_rows)
    latest.refresh()
    if latest.served is None:
        _logger.warning("No model is served yet; /predict answers 503 until one is promoted")
    latest.follow(settings.reload_seconds)
    return Service(
        settings, KeyRing(read_keys(os.environ)), latest, metrics, project, _open_log(project, settings, metrics)
    )


def _open_log(project: Project, settings: ServingSettings, metrics: Metrics) -> RequestLog | None:
    if not settings.request_log.share:
        return None
    log = RequestLog(settings.request_log, project.requests, project.schema.sensitive, metrics)
    log.start()
    return log


def _error(status: int, detail: str, errors: list[RequestError] | None = None, headers: Headers = ()) -> Response:
    content = {"detail": detail, "errors": [asdict(error) for error in errors or []]}
    return Response(status, to_json(content), headers=headers)


def _no_model() -> Response:
    return _error(503, "No model is served yet; promote one")


def _without_slash(path: str) -> str:
    return path.removesuffix("/")
