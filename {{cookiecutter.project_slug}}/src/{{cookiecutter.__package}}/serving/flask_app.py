"""The API on Flask with flask-openapi3, run by granian.

Add views of your own to `keyed` or `public`, as flask-openapi3's guide says: they are documented and counted,
their bodies limited, and those of `keyed` ask for a key.
"""

from copy import deepcopy
from http import HTTPStatus
# {% if cookiecutter.monitoring == "drift" %}
from multiprocessing.util import Finalize
# {% endif %}
from time import perf_counter
from typing import Any, cast

from flask import Response, current_app, g, make_response, request
from flask_openapi3 import APIBlueprint, Info, OpenAPI
from flask_openapi3_swagger.plugins import RegisterPlugin as Swagger
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels
from pydantic import ValidationError
from pydantic_core import to_json
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from ..modeling.manifest import Manifest
from ..terminal import get_logger
from . import metrics, service
from .rows import Answer, Error, RefusedError, explain

# How long requests under way may take once the server is told to stop.
_SHUTDOWN_SECONDS = 30

_logger = get_logger(__name__)


def get_service() -> service.Service:
    """What the API knows, for views."""
    return cast(service.Service, current_app.extensions["service"])


def refusals(*statuses: int) -> Any:
    """The errors of a view, for its documentation."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {status: {"description": service.REFUSALS[status], "content": content} for status in statuses}


keyed = APIBlueprint("keyed", __name__, abp_security=[{"key": []}], abp_responses=refusals(401))
public = APIBlueprint("public", __name__)


@keyed.before_request
def admit() -> None:
    """Refuse a request without one good key, or with too long a body."""
    # WSGI joins the values of a header that is sent twice.
    key = request.headers.get(service.KEY_HEADER)
    get_service().check_key([] if key is None else [key.encode("latin-1")])
    # Where the client did not say how long the body is, Flask cuts it at its limit.
    if len(request.get_data()) > get_service().settings.maximum_body_bytes:
        raise RequestEntityTooLarge


@keyed.post("/predict", responses={200: Answer, **refusals(413, 422, 503)})
def predict() -> Response:
    """Predict one or more rows."""
    request_id, answer = get_service().predict(request.get_data())
    return _respond(answer, headers={service.REQUEST_ID_HEADER: request_id})


@keyed.get("/model", responses={200: Manifest, **refusals(503)})
def model() -> Response:
    """Describe the version that is served."""
    return _respond(get_service().served.manifest)


@public.get("/health/live", responses={200: {"description": "It runs."}})
def live() -> dict[str, str]:
    """Tell whether the server runs."""
    return {"status": "live"}


@public.get("/health/ready", responses={200: {"description": "It can predict."}, **refusals(503)})
def ready() -> dict[str, str]:
    """Tell whether a model is loaded and checked."""
    return {"status": "ready", "model_version": get_service().served.version}


_TEXT = {"description": "The metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}}


@public.get("/metrics", operation_id="metrics", responses={200: _TEXT})
def show_metrics() -> Response:
    """Show counts and times."""
    return Response(metrics.render(), content_type=metrics.METRICS_TYPE)


@public.get("/openapi.json", doc_ui=False)
def openapi() -> Response:
    """The document, which follows the model that is served."""
    document = deepcopy(cast(OpenAPI, current_app).api_doc)
    for path in document["paths"].values():
        for operation in path.values():
            # flask-openapi3 lists a 422 for views that read nothing.
            if operation["responses"]["422"]["description"] != service.REFUSALS[422]:
                del operation["responses"]["422"]
    get_service().describe(document)
    return Response(to_json(document), content_type="application/json")


@public.get("/", doc_ui=False)
def page() -> Response:
    """The page with a form."""
    return Response(service.PAGE.read_bytes(), headers=service.PAGE_HEADERS)


@public.get("/docs", doc_ui=False)
def docs() -> Response:
    """Swagger UI, from this server alone."""
    response = make_response(current_app.view_functions["swagger.swagger"]())
    response.headers.update(service.PAGE_HEADERS)
    return response


def create_app(the_service: service.Service | None = None) -> OpenAPI:
    """The application, of the project that the process runs in if no service is given.

    Raises:
        ProjectError: there is no project, or `config/serving.yaml` is wrong.
    """
    the_service = the_service or service.open_service()
    app = OpenAPI(
        __name__,
        info=Info(title=the_service.settings.title, version="none"),
        security_schemes={"key": {"type": "apiKey", "in": "header", "name": service.KEY_HEADER}},
        operation_id_callback=lambda name, **_: name,
        validation_error_model=Error,
        validation_error_callback=_refuse_values,
        doc_ui=False,
        static_folder=None,
    )
    app.extensions["service"] = the_service
    # {% if cookiecutter.monitoring == "drift" %}
    # granian ends its workers without `atexit`.
    Finalize(None, the_service.log.close, exitpriority=0)
    # {% endif %}
    app.config |= {
        "MAX_CONTENT_LENGTH": the_service.settings.maximum_body_bytes + 1,
        "PROVIDE_AUTOMATIC_OPTIONS": False,
        "SWAGGER_CONFIG": {"validatorUrl": None},
    }
    app.url_map.strict_slashes = False
    app.before_request(_start)
    app.after_request(_count)
    app.register_error_handler(RefusedError, _refuse)
    app.register_error_handler(HTTPException, _refuse_request)
    app.register_error_handler(Exception, _fail)
    app.register_api(keyed)
    app.register_api(public)
    app.register_blueprint(Swagger.register(doc_url="openapi.json"))
    return app


def _start() -> None:
    g.started = perf_counter()
    # granian's input ends where the body does, also where the client did not say how long it is.
    request.environ["wsgi.input_terminated"] = True


def _count(response: Response) -> Response:
    route = service.UNKNOWN_ROUTE if request.url_rule is None else request.url_rule.rule
    metrics.count_request(route, response.status_code, perf_counter() - g.started)
    return response


def _respond(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(to_json(content), status, headers, content_type="application/json")


def _refuse(error: RefusedError) -> Response:
    return _respond(error.error, error.status)


def _refuse_values(error: ValidationError) -> Response:
    return _refuse(explain(error.errors(include_url=False)))


def _refuse_request(error: HTTPException) -> Response:
    response = cast(Response, error.get_response())
    is_default = error.description == type(error).description
    detail = HTTPStatus(response.status_code).phrase if is_default else error.description
    if isinstance(error, RequestEntityTooLarge):
        # The rest of the body is not read, so the connection cannot carry another request.
        response.headers["Connection"] = "close"
        detail = service.TOO_LONG.format(get_service().settings.maximum_body_bytes)
    response.data, response.content_type = to_json(Error(detail=detail or "")), "application/json"
    return response


def _fail(_error: Exception) -> Response:
    _logger.exception("Unexpected error in %s %s", request.method, request.path)
    return _respond(service.FAILURE, 500)


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
