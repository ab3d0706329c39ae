"""The OpenAPI document, made from the schema that the model was trained with."""

from typing import Any

from ..schema import Column, Schema
from .keys import KEY_HEADER
from .model import ServedModel
from .request_log import REQUEST_ID_HEADER
from .requests import example_request
from .settings import ServingSettings

Json = dict[str, Any]

_SECURITY: list[Json] = [{"key": []}]


def describe_api(schema: Schema, settings: ServingSettings, model: ServedModel | None) -> Json:
    """The document; with a model, the example of a prediction is the model's own answer."""
    request = example_request(schema)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": settings.title,
            "version": "none" if model is None else model.version,
            "description": f"Predicts {schema.target} ({schema.task}).",
        },
        "paths": _describe_paths(settings, request, _example_answer(model, request)),
        "components": {
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": KEY_HEADER}},
            "schemas": {
                "Row": _describe_row(schema),
                "Request": {
                    "type": "object",
                    "required": ["rows"],
                    "additionalProperties": False,
                    "properties": {
                        "rows": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": settings.maximum_rows,
                            "items": _refer("Row"),
                        }
                    },
                },
                "Prediction": _describe_prediction(schema),
                "Answer": {
                    "type": "object",
                    "required": ["model_version", "predictions"],
                    "properties": {
                        "model_version": {"type": "string"},
                        "predictions": {
                            "type": "array",
                            "description": "One for each row, in the order of the rows.",
                            "items": _refer("Prediction"),
                        },
                    },
                },
                "Error": _ERROR,
            },
        },
    }


_ERROR: Json = {
    "type": "object",
    "required": ["detail", "errors"],
    "properties": {
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "What is wrong in the request's body; empty for other errors.",
            "items": {
                "type": "object",
                "required": ["row", "column", "message"],
                "properties": {
                    "row": {"type": ["integer", "null"], "description": "Counted from 0."},
                    "column": {"type": ["string", "null"]},
                    "message": {"type": "string"},
                },
            },
        },
    },
}

_ANSWER_HEADERS: Json = {
    REQUEST_ID_HEADER: {
        "description": "Names the request in the log; a dash and a row's place, from 0, make the row's name.",
        "required": True,
        "schema": {"type": "string"},
    }
}

_REFUSALS = {
    "401": "No key, or a wrong one.",
    "413": "The body is too long.",
    "422": "The body is not JSON, or rows break the schema; `errors` says where.",
    "503": "No model is served yet.",
}


def _describe_paths(settings: ServingSettings, request: Json, answer: Json | None) -> Json:
    content: Json = {"schema": _refer("Answer")}
    if answer is not None:
        content["example"] = answer
    answered: Json = {"description": "The predictions.", "content": {"application/json": content}}
    if settings.request_log.share:
        answered["headers"] = _ANSWER_HEADERS
    return {
        "/predict": {
            "post": {
                "operationId": "predict",
                "summary": "Predict one or more rows",
                "description": f"At most {settings.maximum_rows} rows and {settings.maximum_body_bytes} bytes.",
                "security": _SECURITY,
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": _refer("Request"), "example": request}},
                },
                "responses": {"200": answered, **_refusals("401", "413", "422", "503")},
            }
        },
        "/model": {
            "get": {
                "operationId": "model",
                "summary": "Describe the version that is served",
                "description": "Its manifest: table, features, metrics, and the hashes of data and files.",
                "security": _SECURITY,
                "responses": {"200": _json_object("The manifest."), **_refusals("401", "503")},
            }
        },
        "/health/live": {
            "get": {
                "operationId": "live",
                "summary": "Tell whether the server runs",
                "responses": {"200": _json_object("It runs.")},
            }
        },
        "/health/ready": {
            "get": {
                "operationId": "ready",
                "summary": "Tell whether a model is loaded and checked",
                "responses": {"200": _json_object("It can predict."), **_refusals("503")},
            }
        },
        "/metrics": {
            "get": {
                "operationId": "metrics",
                "summary": "Show counts and times for Prometheus",
                "responses": {
                    "200": {"description": "The metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}}
                },
            }
        },
    }


def _describe_row(schema: Schema) -> Json:
    return {
        "type": "object",
        "required": [name for name, column in schema.features.items() if not column.nullable],
        "additionalProperties": False,
        "properties": {name: _describe_column(column) for name, column in schema.features.items()},
    }


def _describe_column(column: Column) -> Json:
    kind = "string" if column.type == "category" else column.type
    described: Json = {"type": [kind, "null"] if column.nullable else kind}
    if column.categories:
        described["enum"] = [*column.categories, *([None] if column.nullable else [])]
    if column.minimum is not None:
        described["minimum"] = column.minimum
    if column.maximum is not None:
        described["maximum"] = column.maximum
    if column.description:
        described["description"] = column.description
    return described


def _describe_prediction(schema: Schema) -> Json:
    if not schema.labels:
        target = schema.columns[schema.target]
        return {
            "type": "object",
            "required": ["value"],
            "properties": {"value": {"type": "number", "description": target.description or schema.target}},
        }
    return {
        "type": "object",
        "required": ["label", "probabilities"],
        "properties": {
            "label": {"type": "string", "enum": list(schema.labels)},
            "probabilities": {
                "type": "object",
                "required": list(schema.labels),
                "properties": {label: {"type": "number", "minimum": 0, "maximum": 1} for label in schema.labels},
            },
        },
    }


def _example_answer(model: ServedModel | None, request: Json) -> Json | None:
    if model is None:
        return None
    return {"model_version": model.version, "predictions": list(model.predict(request["rows"]))}


def _json_object(description: str) -> Json:
    return {"description": description, "content": {"application/json": {"schema": {"type": "object"}}}}


def _refusals(*statuses: str) -> Json:
    return {
        status: {
            "description": _REFUSALS[status],
            "content": {"application/json": {"schema": _refer("Error")}},
        }
        for status in statuses
    }


def _refer(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}
