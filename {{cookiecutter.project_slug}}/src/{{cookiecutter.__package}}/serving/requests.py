"""The requests that a model takes: bytes in, rows out, or every reason for refusing them."""

from dataclasses import dataclass
from typing import Any

from pydantic_core import CoreSchema, ErrorDetails, SchemaValidator, ValidationError, core_schema

from ..schema import Column, Schema

MAXIMUM_ERRORS = 100
_LONGEST_NAME = 100

Row = dict[str, Any]

_BODY = '{"rows": [{column: value, …}, …]}'
_MESSAGES = {
    (0, "dict_type"): f"The body must be an object: {_BODY}",
    (1, "missing"): f"The body has no rows: send {_BODY}",
    (1, "extra_forbidden"): f"The body has a key that is not known: send {_BODY}",
    (1, "list_type"): f"Rows must be a list: send {_BODY}",
    (1, "too_short"): "Send at least one row",
    (2, "dict_type"): "A row must be an object: {column: value, …}",
    (3, "missing"): "This column is required",
    (3, "extra_forbidden"): "The model has no such column",
    (3, "int_parsing_size"): "Input is too large",
}
"""What to say of an error, by how deep in the body it is and its type in pydantic."""


@dataclass(frozen=True)
class RequestError:
    """One thing that is wrong: the row, counted from 0, and the column, where it is about them."""

    row: int | None
    column: str | None
    message: str


class RequestRefusedError(Exception):
    """A request that the model does not take."""

    def __init__(self, detail: str, errors: list[RequestError]) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors


class RequestReader:
    """Checks request bodies against a schema; made once a model, called once a request."""

    def __init__(self, schema: Schema, maximum_rows: int) -> None:
        self._maximum_rows = maximum_rows
        self._validator = SchemaValidator(_body_schema(schema, maximum_rows))

    def read(self, body: bytes) -> list[Row]:
        """The rows of `body`; a column that may be missing can be null or left out.

        Raises:
            RequestRefusedError: the body is not JSON, not of the right shape, or breaks the schema.
        """
        try:
            rows: list[Row] = self._validator.validate_json(body)["rows"]
        except ValidationError as error:
            raise self._refusal(error) from None
        return rows

    def _refusal(self, error: ValidationError) -> RequestRefusedError:
        details = error.errors(include_url=False, include_input=False)
        errors = [self._explain(detail) for detail in details[:MAXIMUM_ERRORS]]
        count = error.error_count()
        first = f"{count} things are" if count > 1 else "One thing is"
        shown = f", the first {MAXIMUM_ERRORS} of them" if count > MAXIMUM_ERRORS else ""
        return RequestRefusedError(f"{first} wrong in the request; see errors{shown}", errors)

    def _explain(self, detail: ErrorDetails) -> RequestError:
        place, kind = detail["loc"], detail["type"]
        row = place[1] if len(place) > 1 else None
        column = place[2] if len(place) > 2 else None
        if kind == "json_invalid":
            message = detail["msg"].replace("Invalid JSON", "The body is not JSON", 1)
        elif kind == "too_long":
            message = f"Send at most {self._maximum_rows} rows in a request"
        else:
            message = _MESSAGES.get((len(place), kind), detail["msg"])
        return RequestError(
            row if isinstance(row, int) else None,
            _shorten(column) if isinstance(column, str) else None,
            message,
        )


def example_row(schema: Schema) -> Row:
    """A row that the schema takes: the middle of each range, the first of each category."""
    return {name: _example(column) for name, column in schema.features.items()}


def example_request(schema: Schema) -> dict[str, list[Row]]:
    """The body of a request for one such row."""
    return {"rows": [example_row(schema)]}


def _example(column: Column) -> float | int | bool | str:
    if column.type == "category":
        return column.categories[0]
    if column.type == "boolean":
        return True
    limits = [limit for limit in (column.minimum, column.maximum) if limit is not None]
    middle = sum(limits) / len(limits) if limits else 0.0
    return int(middle) if column.type == "integer" else middle


def _body_schema(schema: Schema, maximum_rows: int) -> CoreSchema:
    fields = {
        name: core_schema.typed_dict_field(_value_schema(column), required=not column.nullable)
        for name, column in schema.features.items()
    }
    rows = core_schema.list_schema(_closed_schema(fields), min_length=1, max_length=maximum_rows)
    return _closed_schema({"rows": core_schema.typed_dict_field(rows)})


def _closed_schema(fields: dict[str, core_schema.TypedDictField]) -> CoreSchema:
    return core_schema.typed_dict_schema(fields, extra_behavior="forbid")


def _value_schema(column: Column) -> CoreSchema:
    value: CoreSchema
    if column.type == "category":
        value = core_schema.literal_schema(list(column.categories))
    elif column.type == "boolean":
        value = core_schema.bool_schema(strict=True)
    else:
        value = core_schema.float_schema(strict=True, allow_inf_nan=False, ge=column.minimum, le=column.maximum)
        if column.type == "integer":
            # As in JSON Schema, 181.0 is an integer: what many clients send for columns with gaps.
            value = core_schema.chain_schema([value, core_schema.int_schema()])
    return core_schema.nullable_schema(value) if column.nullable else value


def _shorten(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…"
