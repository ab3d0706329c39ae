"""What the apps of all web frameworks share: the model that is served, keys, and the function behind `/predict`."""

import hmac
import logging
import os
import threading
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from random import getrandbits
from typing import Any, cast

from pydantic import PositiveFloat, PositiveInt, ValidationError

from ..config import Project, Settings, find_project, read_settings
from ..errors import ProjectError
from ..features import RowReader
from ..modeling.model import Model, load_model
from ..modeling.registry import Registry
from ..schema import Schema
from ..terminal import configure_logging
from . import metrics
# {% if cookiecutter.monitoring == "drift" %}
from .monitoring import RequestLog, RequestLogSettings, collector
# {% endif %}
from .rows import Predictions, RefusedError, Row, example_row, make_predictions, make_request_type, refuse_body

SETTINGS_FILE = "serving.yaml"
KEYS_VARIABLE = "API_KEYS"
KEY_HEADER = "X-API-Key"
REQUEST_ID_HEADER = "X-Request-Id"
ERRORS = (401, 413, 422, 503)
TOO_LONG = "The body is over the limit of {} bytes; send fewer rows at a time"

PAGE = Path(__file__).with_name("page.html")
_SCHEMAS = "#/components/schemas/"

Outcome = tuple[str, dict[str, Any]]

_logger = logging.getLogger(__name__)


class ServingSettings(Settings):
    """`config/serving.yaml`."""

    title: str = "Predictions"
    maximum_body_bytes: PositiveInt = 1_000_000
    maximum_rows: PositiveInt = 1000
    reload_seconds: PositiveFloat = 2.0
    # {% if cookiecutter.monitoring == "drift" %}
    request_log: RequestLogSettings = RequestLogSettings()
    # {% endif %}


def refuse_failure(error: Exception, request: str) -> RefusedError:
    """What to answer where the server failed at a request, named by its method and path; its log says why."""
    _logger.error("Unexpected error in %s", request, exc_info=error)
    return RefusedError(500, "The server failed; its log says why")


class Service:
    """What the API of a project, the present one if none is given, knows while it runs.

    `latest` is the model that `models/latest` points to or, where that one cannot be served, the one before; None until
    one is loaded. A thread replaces it by a single assignment, so a request that took the former one ends with it.
    Rows are those of the table of the first, or else of the project; a model of another table waits for a restart.
    Raises ProjectError where there is no project, or its `config/serving.yaml` is wrong.
    """

    def __init__(self, project: Project | None = None) -> None:
        self.project = project or find_project()
        self.settings = read_settings(self.project.root, SETTINGS_FILE, ServingSettings)
        configure_logging(self.project.logs / "inference.log")
        self.latest: Model | None = None
        self._table: Schema | None = None
        keys = [key.strip() for key in os.environ.get(KEYS_VARIABLE, "").split(",")]
        self._digests = [sha256(key.encode()).digest() for key in keys if key]
        self._tried: str | None = None
        self._problem = ""
        self._closed = threading.Event()
        self.refresh()
        self._table = table = self.latest.manifest.table if self.latest else self.project.schema
        self.description = f"Predicts {table.target} ({table.task})."
        self._example = example_row(table, self.latest.manifest.typical if self.latest else {})
        self._request_type = make_request_type(table, self.settings.maximum_rows)
        self._row_reader = RowReader(table)
        # {% if cookiecutter.monitoring == "drift" %}
        collector.file = self.project.reports / "drift.json"
        hidden = self.project.schema.sensitive | table.sensitive
        self.log = RequestLog(self.settings.request_log, self.project.requests, table.target, hidden)
        # {% endif %}
        threading.Thread(target=self._follow, name="follow-latest", daemon=True).start()

    @property
    def served(self) -> Model:
        """The model that answers now. Raises RefusedError where none was promoted yet."""
        if self.latest is None:
            raise RefusedError(503, "No model is served yet; promote one")
        return self.latest

    def check_key(self, given: str) -> None:
        """Check the header's value, in the same time whichever key it is. Raises RefusedError but for one good key."""
        digest = sha256(given.encode("latin-1")).digest()
        matches = [hmac.compare_digest(digest, each) for each in self._digests]
        if not any(matches):
            raise RefusedError(401, f"Send a good key in the header {KEY_HEADER}")

    def read(self, body: bytes) -> list[Row]:
        """The rows of a request. Raises RefusedError where it is not JSON, or breaks the schema."""
        try:
            return cast(list[Row], self._request_type.model_validate_json(body).rows)  # type: ignore[attr-defined]
        except ValidationError as error:
            raise refuse_body(error.errors(include_url=False, include_input=False)) from None

    def score(self, model: Model, rows: Sequence[Row]) -> Predictions:
        """The prediction of each row. Raises RefusedError where one has no finite scores."""
        scores = model.predict(self._row_reader.read(rows))
        return make_predictions(scores, model.manifest.labels, model.manifest.weights)

    def answer(self, model: Model, rows: list[Row], predictions: Predictions | None = None) -> Outcome:
        """A request's identifier, and its `Answer` as a dictionary, counted and logged.

        Rows that come without predictions are scored. Raises RefusedError where that gives no answer.
        """
        predictions = predictions or self.score(model, rows)
        request_id, version = f"{getrandbits(64):016x}", str(model.manifest.version)
        metrics.count_predictions(predictions)
        # {% if cookiecutter.monitoring == "drift" %}
        self.log.record(request_id, version, rows, predictions)
        # {% endif %}
        return request_id, {"model_version": version, "predictions": predictions}

    def predict(self, body: bytes) -> Outcome:
        """What `answer` gives for a request by itself."""
        return self.answer(self.served, self.read(body))

    def refresh(self) -> None:
        """Load the latest version if it is another; log why if that cannot be done."""
        registry = Registry(self.project.models)
        try:
            version = registry.latest()
            # A version that was refused is not hashed again, unless nothing is served, when each attempt may help.
            if version is None or (version == self._tried and self.latest is not None):
                return
            self._tried = version
            model = load_model(registry.folder(version))
            if self._table not in (None, model.manifest.table):
                raise ProjectError(f"{version} has another table than this server started with; restart the server")
            metrics.show_model(model.manifest)
            self.latest = model
            _logger.info("Serving %s (%s)", version, model.manifest.estimator)
            self._problem = ""
        except Exception as error:
            # Whatever it is, it must not end the thread that follows the pointer.
            if str(error) != self._problem:
                self._problem = str(error)
                metrics.loads.labels("refused").inc()
                _logger.error("The latest model was not loaded: %s", error)

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
        """The framework's OpenAPI document, told what the body of `/predict` is, with an example."""
        request = self._request_type.model_json_schema(ref_template=_SCHEMAS + "{model}")
        document["components"]["schemas"] |= request.pop("$defs") | {"Request": request}
        content = {"schema": {"$ref": f"{_SCHEMAS}Request"}, "example": {"rows": [self._example]}}
        operation = document["paths"]["/predict"]["post"]
        operation["requestBody"] = {"required": True, "content": {"application/json": content}}
        return document
