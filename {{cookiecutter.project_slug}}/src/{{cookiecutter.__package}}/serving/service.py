"""What the apps of all web frameworks share: the model that is served, keys, and the function behind `/predict`."""

import hmac
import threading
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from random import getrandbits
from typing import Any

from pydantic import ValidationError

from ..config import Project, find_project, read_settings
from ..features import RowReader
from ..modeling.model import load_model
from ..modeling.registry import Registry
from ..terminal import configure_logging, get_logger
from . import metrics
# {% if cookiecutter.monitoring == "drift" %}
from .drift import collector
# {% endif %}
from .explanation import explain_rows
# {% if cookiecutter.monitoring == "drift" %}
from .request_log import RequestLog
# {% endif %}
from .rows import RefusedError, Row, example_row, make_predictions, make_request_type, refuse_body
from .settings import SETTINGS_FILE, ServingSettings, read_keys

KEY_HEADER = "X-API-Key"
REQUEST_ID_HEADER = "X-Request-Id"
REFUSALS = {
    401: "No key, or a wrong one.",
    413: "The body is too long.",
    422: "The body is not JSON, or rows break the schema; `errors` says where.",
    503: "No model is served yet.",
}
TOO_LONG = "The body is over the limit of {} bytes; send fewer rows at a time"

PAGE = Path(__file__).with_name("page.html")
# What the pages need and no more: scripts and styles of this server, and requests to it.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
}
_SCHEMAS = "#/components/schemas/"
_ID = "Names the request; a dash and a row's place, from 0, make the row's name."

Outcome = tuple[str, dict[str, Any]]

_logger = get_logger(__name__)


def refuse_failure(error: Exception, request: str) -> RefusedError:
    """What to answer where the server failed at a request, named by its method and path; its log says why."""
    _logger.error("Unexpected error in %s", request, exc_info=error)
    return RefusedError(500, "The server failed; its log says why")


def _attempt(act: Callable[..., Any], *given: Any) -> Any:
    """What `act` gives, or else the exception that it raised."""
    try:
        return act(*given)
    except Exception as error:
        return error


class ServedModel:
    """The version in a folder, which many requests read at a time. Raises ProjectError where it cannot be loaded."""

    def __init__(self, folder: Path, maximum_rows: int) -> None:
        self.version = folder.name
        self._model = load_model(folder)
        self.manifest = self._model.manifest
        self._request_type = make_request_type(self.manifest.table, maximum_rows)
        self._row_reader = RowReader(self.manifest.table)

    def read(self, body: bytes) -> Any:
        """A request, with `rows` and `explain`. Raises RefusedError where it is not JSON, or breaks the schema."""
        try:
            return self._request_type.model_validate_json(body)
        except ValidationError as error:
            raise refuse_body(error.errors(include_url=False, include_input=False)) from None

    def score(self, rows: Sequence[Row]) -> list[Any]:
        """The probabilities, or the value, of each row."""
        scores: list[Any] = self._model.predict(self._row_reader.read(rows)).tolist()
        return scores

    def decide(self, scores: list[Any]) -> list[dict[str, Any]]:
        """The prediction of each row, from its scores. Raises RefusedError where one is not finite."""
        return make_predictions(scores, self.manifest.labels, self.manifest.weights)


class Service:
    """What the API of a project, the present one if none is given, knows while it runs.

    `latest` is the version that `models/latest` points to or, where that one is damaged, the one before; None until
    one is loaded. A thread replaces it by a single assignment, so a request that took the former one ends with it.
    Raises ProjectError where there is no project, or its `config/serving.yaml` is wrong.
    """

    def __init__(self, project: Project | None = None) -> None:
        self.project = project or find_project()
        self.settings = read_settings(self.project.root, SETTINGS_FILE, ServingSettings)
        configure_logging(self.project.logs / "inference.log")
        # {% if cookiecutter.monitoring == "drift" %}
        collector.file = self.project.reports / "drift.json"
        self.log = RequestLog(self.settings.request_log, self.project.requests, self.project.schema.sensitive)
        # {% endif %}
        self.latest: ServedModel | None = None
        self._digests = [sha256(key.encode()).digest() for key in read_keys()]
        self._stamp: tuple[int, int] | None = None
        self._problem = ""
        self._closed = threading.Event()
        self.refresh()
        if self.latest is None:
            _logger.warning("No model is served yet; /predict answers 503 until one is promoted")
        threading.Thread(target=self._follow, name="follow-latest", daemon=True).start()

    @property
    def served(self) -> ServedModel:
        """The model that answers now. Raises RefusedError where none was promoted yet."""
        if self.latest is None:
            raise RefusedError(503, "No model is served yet; promote one")
        return self.latest

    def check_key(self, given: Sequence[bytes]) -> None:
        """Check the header's values, in the same time whichever key it is. Raises RefusedError but for one good key."""
        digest = sha256(b"".join(given)).digest()
        matches = [hmac.compare_digest(digest, each) for each in self._digests]
        if len(given) != 1 or not any(matches):
            raise RefusedError(401, f"Send a good key in the header {KEY_HEADER}")

    def predict(self, body: bytes) -> Outcome:
        """A request's identifier, and its `Answer` as a dictionary. Raises RefusedError where it has none."""
        (outcome,) = self.predict_together([body])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def predict_together(self, bodies: Sequence[bytes]) -> list[Outcome | Exception]:
        """What `predict` gives, or raises, for each body; NumPy and onnxruntime cost a call far more than a row.

        Raises RefusedError where no model is served.
        """
        served = self.served
        requests = [_attempt(served.read, body) for body in bodies]
        rows = [row for request in requests if not isinstance(request, Exception) for row in request.rows]
        scores = _attempt(served.score, rows) if rows else []
        if isinstance(scores, Exception):
            # What one of them has that the model cannot bear is not to spoil the others' answers.
            return [scores] if len(bodies) == 1 else [self.predict_together([body])[0] for body in bodies]
        left = iter(scores)
        return [
            request
            if isinstance(request, Exception)
            else _attempt(self._answer, served, request, list(islice(left, len(request.rows))))
            for request in requests
        ]

    def _answer(self, served: ServedModel, request: Any, scores: list[Any]) -> Outcome:
        rows, request_id, predictions = request.rows, f"{getrandbits(64):016x}", served.decide(scores)
        answer: dict[str, Any] = {"model_version": served.version, "predictions": predictions}
        if request.explain:
            answer["explanations"] = explain_rows(served.manifest, served.score, rows, scores, predictions)
        metrics.count_predictions(predictions)
        # {% if cookiecutter.monitoring == "drift" %}
        self.log.record(request_id, served.manifest, rows, predictions)
        # {% endif %}
        return request_id, answer

    def refresh(self) -> None:
        """Load the latest version if the pointer has moved; log why if that cannot be done."""
        registry = Registry(self.project.models)
        try:
            status = registry.pointer.stat() if registry.pointer.exists() else None
            stamp = status and (status.st_mtime_ns, status.st_ino)
            # A version that was refused is not hashed again until the pointer is written anew, unless
            # nothing is served, when each attempt may be the one that helps.
            if stamp == self._stamp and self.latest is not None:
                return
            self._stamp = stamp
            version = registry.latest()
            former = self.latest
            if version is not None and (former is None or version != former.version):
                served = ServedModel(registry.folder(version), self.settings.maximum_rows)
                metrics.show_model(served.manifest, former.manifest if former else None)
                self.latest = served
                _logger.info("Serving %s (%s)", version, served.manifest.estimator)
            self._problem = ""
        except Exception as error:
            # Whatever it is, it must not end the thread that follows the pointer.
            if str(error) != self._problem:
                self._problem = str(error)
                metrics.loads.labels("refused").inc()
                kept = f"{self.latest.version} stays served" if self.latest else "no model is served"
                _logger.error("The latest model was not loaded, %s: %s", kept, error)

    def _follow(self) -> None:
        while not self._closed.wait(self.settings.reload_seconds):
            self.refresh()

    def close(self) -> None:
        """Follow no more, and write what there is left to write."""
        self._closed.set()
        # {% if cookiecutter.monitoring == "drift" %}
        self.log.close()
        # {% endif %}

    def describe(self, document: dict[str, Any]) -> dict[str, Any]:
        """An OpenAPI document that tells of the table and labels of the model that is served, else of the schema."""
        served, limits = self.latest, self.settings
        schema, typical = (served.manifest.table, served.manifest.typical) if served else (self.project.schema, {})
        version = served.version if served else "none"
        document["info"] |= {"version": version, "description": f"Predicts {schema.target} ({schema.task})."}
        request = make_request_type(schema, limits.maximum_rows).model_json_schema(ref_template=_SCHEMAS + "{model}")
        if not typical:
            del request["properties"]["explain"]
        kind, other = ("LabelPrediction", "ValuePrediction")[:: 1 if schema.labels else -1]
        schemas = document["components"]["schemas"]
        schemas |= request.pop("$defs") | {"Request": request}
        schemas["Answer"]["properties"]["predictions"]["items"] = {"$ref": _SCHEMAS + kind}
        del schemas[other]
        rows = [example_row(schema, typical)]
        content = {"schema": {"$ref": f"{_SCHEMAS}Request"}, "example": {"rows": rows}}
        predict = document["paths"]["/predict"]["post"]
        predict["description"] = f"At most {limits.maximum_rows} rows and {limits.maximum_body_bytes} bytes."
        predict["requestBody"] = {"required": True, "content": {"application/json": content}}
        answered = predict["responses"]["200"]
        answered["headers"] = {REQUEST_ID_HEADER: {"description": _ID, "required": True, "schema": {"type": "string"}}}
        if served:
            example = {"model_version": version, "predictions": served.decide(served.score(rows))}
            answered["content"]["application/json"]["example"] = example
        return document
