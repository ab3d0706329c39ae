"""What the apps of all web frameworks share: keys, the function that answers `/predict`, and its documentation."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from ..config import Project, find_project, read_settings
from ..modeling.registry import Registry
from ..terminal import configure_logging, get_logger
from . import metrics
from .model import LatestModel, ServedModel
# {% if cookiecutter.monitoring == "drift" %}
from .request_log import RequestLog
# {% endif %}
from .rows import Error, RefusedError, example_row, make_request_type
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
FAILURE = Error(detail="The server failed; its log says why")
UNKNOWN_ROUTE = "other"
"""What metrics call a path that the API does not have."""

PAGE = Path(__file__).with_name("page.html")
# What the pages need and no more: scripts and styles of this server, and requests to it.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
}


@dataclass(frozen=True)
class Service:
    """What the API knows while it runs; without keys, every key is refused."""

    project: Project
    settings: ServingSettings
    latest: LatestModel
    key_digests: Sequence[bytes]
    # {% if cookiecutter.monitoring == "drift" %}
    log: RequestLog
    # {% endif %}

    @property
    def served(self) -> ServedModel:
        """The model that answers now.

        Raises:
            RefusedError: none was promoted yet.
        """
        if self.latest.served is None:
            raise RefusedError(503, "No model is served yet; promote one")
        return self.latest.served

    def check_key(self, given: Sequence[bytes]) -> None:
        """Check the values of the header `X-API-Key`, in the same time whichever key it is.

        Raises:
            RefusedError: there is not exactly one, or it is not one of the keys.
        """
        digest = _digest(b"".join(given))
        matches = [hmac.compare_digest(digest, each) for each in self.key_digests]
        if len(given) != 1 or not any(matches):
            raise RefusedError(401, f"Send a good key in the header {KEY_HEADER}")

    def predict(self, body: bytes) -> tuple[str, dict[str, Any]]:
        """The identifier of a request, of which `<identifier>-<place>` is a row's, and its `Answer` as a dictionary.

        Raises:
            RefusedError: no model is served, or the body or a row is refused.
        """
        served = self.served
        rows = served.read(body)
        predictions = served.predict(rows)
        metrics.count_predictions(predictions)
        request_id = secrets.token_hex(8)
        # {% if cookiecutter.monitoring == "drift" %}
        self.log.record(request_id, served, rows, predictions)
        # {% endif %}
        return request_id, {"model_version": served.version, "predictions": predictions}

    def describe(self, document: dict[str, Any]) -> None:
        """Tell an OpenAPI document of the table and labels of the model that is served, else of the schema."""
        served = self.latest.served
        schema = self.project.schema if served is None else served.manifest.table
        document["info"]["version"] = "none" if served is None else served.version
        document["info"]["description"] = f"Predicts {schema.target} ({schema.task})."
        request = make_request_type(schema, self.settings.maximum_rows)
        types = [(request, "validation"), (Error, "serialization")]
        schemas = document["components"]["schemas"]
        schemas |= models_json_schema(types, ref_template="#/components/schemas/{model}")[1]["$defs"]  # type: ignore[arg-type]
        unused = schemas.pop("ValuePrediction" if schema.labels else "LabelPrediction")["title"]
        predictions = schemas["Answer"]["properties"]["predictions"]
        [kind] = [kind for kind in predictions.pop("anyOf") if unused not in kind["items"]["$ref"]]
        predictions |= kind
        if schema.labels:
            schemas["LabelPrediction"]["properties"]["label"]["enum"] = schema.labels
        rows = [example_row(schema)]
        predict = document["paths"]["/predict"]["post"]
        limits = f"At most {self.settings.maximum_rows} rows and {self.settings.maximum_body_bytes} bytes."
        content = {"schema": {"$ref": "#/components/schemas/Request"}, "example": {"rows": rows}}
        predict |= {"description": limits, "requestBody": {"required": True, "content": {"application/json": content}}}
        answered = predict["responses"]["200"]
        answered["headers"] = {REQUEST_ID_HEADER: {"description": _ID, "required": True, "schema": {"type": "string"}}}
        if served is not None:
            answered["content"]["application/json"]["example"] = {
                "model_version": served.version,
                "predictions": served.predict(rows),
            }


_ID = "Names the request; a dash and a row's place, from 0, make the row's name."


def open_service(project: Project | None = None) -> Service:
    """The service of a project, with its latest model loaded and followed from now on.

    Raises:
        ProjectError: there is no project, or `config/serving.yaml` is wrong.
    """
    project = project or find_project()
    settings = read_settings(project.root, SETTINGS_FILE, ServingSettings)
    configure_logging(project.logs / "inference.log")
    latest = LatestModel(Registry(project.models), settings.maximum_rows)
    latest.refresh()
    if latest.served is None:
        get_logger(__name__).warning("No model is served yet; /predict answers 503 until one is promoted")
    latest.follow(settings.reload_seconds)
    return Service(
        project,
        settings,
        latest,
        [_digest(key.encode()) for key in read_keys(os.environ)],
        # {% if cookiecutter.monitoring == "drift" %}
        RequestLog(settings.request_log, project.requests, project.schema.sensitive),
        # {% endif %}
    )


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
