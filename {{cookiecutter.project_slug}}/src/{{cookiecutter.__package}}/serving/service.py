"""What the apps of all web frameworks share: the model that is served, keys, and the function behind `/predict`."""

import hmac
import threading
from collections.abc import Sequence
from hashlib import sha256
from math import isfinite
from pathlib import Path
from random import getrandbits
from typing import Any

from pydantic import ValidationError

from ..config import Project, find_project, read_settings
from ..features import RowReader
from ..modeling.model import Scores, load_model
from ..modeling.registry import Registry
from ..terminal import configure_logging, get_logger
from . import metrics
# {% if cookiecutter.monitoring == "drift" %}
from .drift import collector
from .request_log import RequestLog
# {% endif %}
from .rows import Predictions, RefusedError, Row, example_row, make_predictions, make_request_type, refuse_body
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
_MOST_EFFECTS = 10
_MOST_REPLACEMENTS = 20_000  # in an explanation
_CELLS_AT_ONCE = 5_000_000  # bounds its memory where there are thousands of columns

Outcome = tuple[str, dict[str, Any]]

_logger = get_logger(__name__)


def refuse_failure(error: Exception, request: str) -> RefusedError:
    """What to answer where the server failed at a request, named by its method and path; its log says why."""
    _logger.error("Unexpected error in %s", request, exc_info=error)
    return RefusedError(500, "The server failed; its log says why")


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

    def score(self, rows: Sequence[Row]) -> Scores:
        """The probabilities, or the value, of each row."""
        return self._model.predict(self._row_reader.read(rows))

    def predict(self, rows: Sequence[Row]) -> Predictions:
        """The prediction of each row. Raises RefusedError where one has no finite scores."""
        return make_predictions(self.score(rows), self.manifest.labels, self.manifest.weights)

    def explain(self, rows: Sequence[Row], predictions: Predictions) -> list[list[dict[str, Any]]]:
        """An `Effect` of each column that moved the prediction of a row, the largest ten first, for each of `rows`.

        By how much the answer would differ with the typical value in one column (ablation: Zeiler and Fergus,
        Visualizing and Understanding Convolutional Networks, 2014); what only several do together is not seen.
        Raises RefusedError where the version has no typical values, or there is too much to compute.
        """
        typical, labels = self.manifest.typical, self.manifest.labels
        if not typical:
            problem = f"{self.version} has no typical values, without which it cannot explain; train and promote again"
            raise RefusedError(422, problem)
        most = _MOST_REPLACEMENTS // len(typical)
        if len(rows) > most:
            problem = f"At most {most} rows of {len(typical)} columns are explained in a request; send fewer"
            raise RefusedError(422, problem)
        changes = [
            (place, name) for place, row in enumerate(rows) for name in typical if row.get(name) != typical[name]
        ]
        found: list[list[dict[str, Any]]] = [[] for _ in rows]
        step = max(1, _CELLS_AT_ONCE // len(typical))
        for start in range(0, len(changes), step):
            part = changes[start : start + step]
            scores = self.score([rows[place] | {name: typical[name]} for place, name in part]).tolist()
            for (place, name), score in zip(part, scores, strict=True):
                prediction, label = predictions[place], predictions[place].get("label")
                before = prediction["probabilities"][label] if labels else prediction["value"]
                after = score[labels.index(label)] if labels else score
                # A difference that is not finite says nothing.
                if isfinite(after) and before != after:
                    found[place].append({"column": name, "value": rows[place].get(name), "effect": before - after})
        return [sorted(effects, key=lambda each: -abs(each["effect"]))[:_MOST_EFFECTS] for effects in found]


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
        self._stamp = b""
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
        served = self.served
        request = served.read(body)
        return self.answer(served, request, served.predict(request.rows))

    def answer(self, served: ServedModel, request: Any, predictions: Predictions) -> Outcome:
        """What `predict` gives, from a request that `served` read, and its predictions."""
        request_id = f"{getrandbits(64):016x}"
        answer: dict[str, Any] = {"model_version": served.version, "predictions": predictions}
        if request.explain:
            answer["explanations"] = served.explain(request.rows, predictions)
        metrics.count_predictions(predictions)
        # {% if cookiecutter.monitoring == "drift" %}
        self.log.record(request_id, served.manifest, request.rows, predictions)
        # {% endif %}
        return request_id, answer

    def refresh(self) -> None:
        """Load the latest version if the pointer has moved; log why if that cannot be done."""
        registry = Registry(self.project.models)
        try:
            stamp = registry.pointer.read_bytes() if registry.pointer.exists() else b""
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
            example = {"model_version": version, "predictions": served.predict(rows)}
            answered["content"]["application/json"]["example"] = example
        return document
