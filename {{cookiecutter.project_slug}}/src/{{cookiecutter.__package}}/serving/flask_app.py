"""The API on Flask with flask-openapi3, run by granian.

Add views of your own to `keyed` or `public`, as flask-openapi3's guide says: they are documented and counted,
their bodies limited, and those of `keyed` ask for a key.
"""

# {% if cookiecutter.containers != "none" %}
import os
# {% endif %}
from multiprocessing.util import Finalize
from time import perf_counter
from typing import Any, cast

from flask import Response, current_app, g, request
from flask_openapi3 import APIBlueprint, Info, OpenAPI
from flask_openapi3_swagger.plugins import RegisterPlugin as Swagger
from granian import Granian
from granian.constants import Interfaces
from granian.log import LogLevels
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError
from pydantic_core import to_json
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from ..modeling.manifest import Manifest
from . import metrics
from .rows import Answer, Error, RefusedError, refuse_body
from .service import ERRORS, KEY_HEADER, PAGE, REQUEST_ID_HEADER, TOO_LONG, Service, refuse_failure


def get_service() -> Service:
    """What the API knows, for views."""
    return cast(Service, current_app.extensions["service"])


keyed = APIBlueprint("keyed", __name__, abp_security=[{"key": []}], abp_responses=dict.fromkeys(ERRORS, Error))
public = APIBlueprint("public", __name__)


@keyed.before_request
def admit() -> None:
    """Refuse a request without one good key, or with too long a body."""
    # WSGI joins the values of a header that is sent twice.
    get_service().check_key(request.headers.get(KEY_HEADER, ""))
    # Where the client did not say how long the body is, Flask cuts it at its limit.
    if len(request.get_data()) > get_service().settings.maximum_body_bytes:
        raise RequestEntityTooLarge


@keyed.post("/predict", responses={200: Answer})
def predict() -> Response:
    """Predict one or more rows."""
    request_id, answer = get_service().predict(request.get_data())
    return _respond(answer, headers={REQUEST_ID_HEADER: request_id})


@keyed.get("/model", responses={200: Manifest})
def model() -> Response:
    """Describe the version that is served."""
    return _respond(get_service().served.manifest)


@public.get("/health/live", responses={200: {"description": "It runs."}})
def live() -> dict[str, str]:
    """Tell whether the server runs."""
    return {"status": "live"}


@public.get("/health/ready", responses={200: {"description": "It can predict."}})
def ready() -> dict[str, str]:
    """Tell whether a model is loaded and checked."""
    return {"status": "ready", "model_version": str(get_service().served.manifest.version)}


@public.get("/metrics", responses={200: {"description": "The metrics, as text."}})
def show_metrics() -> Response:
    """Show counts and times."""
    return Response(generate_latest(metrics.registry), content_type=CONTENT_TYPE_LATEST)


@public.get("/", doc_ui=False)
def page() -> Response:
    """The page with a form."""
    return Response(PAGE.read_bytes())


def create_app(service: Service | None = None) -> OpenAPI:
    """The application, of the project that the process runs in if no service is given; raises what `Service` does."""
    service = service or Service()
    app = OpenAPI(
        __name__,
        info=Info(title=service.settings.title, version="0.1.0", description=service.description),
        security_schemes={"key": {"type": "apiKey", "in": "header", "name": KEY_HEADER}},
        validation_error_model=Error,
        validation_error_callback=_refuse,
        doc_ui=False,
        static_folder=None,
    )
    app.extensions["service"] = service
    app.config |= {"PROVIDE_AUTOMATIC_OPTIONS": False, "SWAGGER_CONFIG": {"validatorUrl": None}}
    app.config["MAX_CONTENT_LENGTH"] = service.settings.maximum_body_bytes + 1
    app.before_request(_start)
    app.after_request(_count)
    app.register_error_handler(Exception, _refuse)
    app.register_api(keyed)
    app.register_api(public)
    app.register_blueprint(Swagger.register(doc_url="openapi.json"))
    # {% if cookiecutter.containers != "none" %}
    if "SAGEMAKER_BIND_TO_PORT" in os.environ:
        # SageMaker sends no key, since it lets nobody ask whom it does not know.
        app.add_url_rule("/ping", view_func=ready)
        app.add_url_rule("/invocations", view_func=predict, methods=["POST"])
    # {% endif %}
    app.add_url_rule("/docs", view_func=app.view_functions["swagger.swagger"])
    document = service.describe(app.api_doc)
    app.add_url_rule("/openapi.json", "openapi", lambda: _respond(document))
    # granian ends its workers without `atexit`.
    Finalize(None, service.close, exitpriority=0)
    return app


def _start() -> None:
    g.started = perf_counter()
    # granian's input ends where the body does, also where the client did not say how long it is.
    request.environ["wsgi.input_terminated"] = True


def _count(response: Response) -> Response:
    route = request.url_rule.rule if request.url_rule else None
    metrics.count_request(route, response.status_code, perf_counter() - g.started)
    # {% if cookiecutter.containers != "none" %}
    # The server is about to end, so that clients should send their next request elsewhere.
    if os.path.exists(os.environ.get("DRAIN_FILE", "")):  # noqa: PTH110 - asked at each answer
        response.headers["Connection"] = "close"
    # {% endif %}
    return response


def _respond(content: Any, status: int = 200, headers: Any = None) -> Response:
    return Response(to_json(content), status, headers, content_type="application/json")


def _refuse(error: Exception) -> Response:
    headers: Any = None
    match error:
        case RefusedError():
            refused = error
        case ValidationError():
            refused = refuse_body(error.errors(include_url=False))
        case RequestEntityTooLarge():
            # The rest of the body is not read, so the connection cannot carry another request.
            headers = {"Connection": "close"}
            refused = RefusedError(413, TOO_LONG.format(get_service().settings.maximum_body_bytes))
        case HTTPException(code=int(status)):
            refused, headers = RefusedError(status, str(error.description)), error.get_headers()
        case _:
            refused = refuse_failure(error, f"{request.method} {request.path}")
    return _respond(refused.error, refused.status, headers)


def run(host: str, port: int) -> None:
    """Serve until interrupted; requests under way then have half a minute to end."""
    # A worker that is told to stop while it still loads does not hear it, and would be waited for forever. granian
    # warns of its many threads, which are wanted: a client that sends its body slowly holds one.
    options: dict[str, Any] = {"workers_kill_timeout": 30, "log_level": LogLevels.error}
    Granian(f"{__name__}:create_app", host, port, interface=Interfaces.WSGI, factory=True, **options).serve()
